//! A process that writes, checkpoints and compacts is killed at random points; what it had
//! acknowledged is there afterwards, batch by batch, and found by search.
//!
//! `PFS_VEC_KILLS` says how often (6 when it does not). The program runs itself as the writer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pfs_vec::wal::Fsync;
use pfs_vec::{
    Batch, Collection, Effort, Maintenance, Metric, Options, Put, Query, Raw, Settings, StoreError,
};

/// Set in the writer: the collection's folder.
const FOLDER: &str = "PFS_VEC_CRASH_FOLDER";
const DIM: usize = 8;
/// Ids that batches are about.
const IDS: u64 = 400;
/// The record that says in its text how many batches there are; written with each.
const COUNT: &[u8] = b"count";

const OPTIONS: Options = Options { fsync: Fsync::Never, least_recall: 0.5 };

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn vector(seed: &mut u64) -> [f32; DIM] {
    std::array::from_fn(|_| (random(seed) % 201) as f32 - 100.0)
}

/// What batch `number` does: a vector for each id, or none when it is deleted.
fn edits(number: u64) -> Vec<(u64, Option<[f32; DIM]>)> {
    let mut seed = number;
    let count = 1 + random(&mut seed) % 40;
    (0..count)
        .map(|_| {
            let id = random(&mut seed) % IDS;
            (id, (!random(&mut seed).is_multiple_of(5)).then(|| vector(&mut seed)))
        })
        .collect()
}

fn fill(batch: &mut Batch, edits: &[(u64, Option<[f32; DIM]>)]) -> Result<(), StoreError> {
    for (id, vector) in edits {
        match vector {
            Some(vector) => {
                let text = format!("words of {id}");
                batch.put(&Put { text: &text, ..Put::new(&id.to_le_bytes(), vector) })?;
            }
            None => batch.delete(&id.to_le_bytes())?,
        }
    }
    Ok(())
}

/// How many batches a collection has.
fn count(collection: &Collection) -> Result<u64, StoreError> {
    let record = collection.get(COUNT)?;
    Ok(record.and_then(|record| record.text.parse().ok()).unwrap_or(0))
}

/// Writes batch after batch, every third one as a transaction in two parts, and a line with its
/// number for each that is acknowledged. A thread of its own checkpoints and compacts meanwhile.
fn write(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let collection = Arc::new(Collection::open(folder, OPTIONS)?);
    let _upkeep = Maintenance::start(&collection)?;
    let mut out = std::io::stdout();
    for number in count(&collection)? + 1.. {
        let (edits, text) = (edits(number), number.to_string());
        let (first, second) = edits.split_at(edits.len() / 2);
        let mut batch = collection.batch();
        let done = Put { text: &text, ..Put::new(COUNT, &[1e4; DIM]) };
        if number.is_multiple_of(3) {
            let mut open = collection.begin()?;
            fill(&mut batch, first)?;
            open.add(&mut batch)?;
            batch.clear();
            fill(&mut batch, second)?;
            batch.put(&done)?;
            open.add(&mut batch)?;
            open.commit()?;
        } else {
            fill(&mut batch, &edits)?;
            batch.put(&done)?;
            collection.write(&mut batch)?;
        }
        writeln!(out, "{number}")?;
        out.flush()?;
        if number.is_multiple_of(97) {
            collection.compact()?;
        }
    }
    Ok(())
}

fn score(a: &[f32; DIM], b: &[f32; DIM]) -> f32 {
    a.iter().zip(b).map(|(a, b)| -(a - b).powi(2)).sum()
}

/// What a search finds.
fn found(collection: &Collection, query: &Query<'_>) -> Result<Vec<(Vec<u8>, f32)>, StoreError> {
    let answer = collection.search(query)?;
    assert_eq!(answer.refused, []);
    Ok(answer.hits.into_iter().map(|hit| (hit.id, hit.score)).collect())
}

/// Opens the collection, and holds it against the batches; returns how many it has.
fn check(folder: &Path, acknowledged: u64) -> Result<u64, StoreError> {
    let collection = Collection::open(folder, OPTIONS)?;
    let batches = count(&collection)?;
    assert!(batches == acknowledged || batches == acknowledged + 1, "{batches} {acknowledged}");
    let mut model: BTreeMap<u64, [f32; DIM]> = BTreeMap::new();
    for (id, vector) in (1..=batches).flat_map(edits) {
        match vector {
            Some(vector) => drop(model.insert(id, vector)),
            None => drop(model.remove(&id)),
        }
    }
    assert_eq!(collection.len(), model.len() as u64 + u64::from(batches > 0));
    for id in 0..IDS {
        let record = collection.get(&id.to_le_bytes())?;
        let (got, want) = (record.map(|record| record.vector), model.get(&id));
        assert_eq!(got.as_deref(), want.map(|vector| &vector[..]), "record {id}");
    }
    let mut seed = batches;
    let queries: Vec<[f32; DIM]> = (0..5).map(|_| vector(&mut seed)).collect();
    let mut answers = Vec::new();
    for query in &queries {
        let mut all: Vec<(Vec<u8>, f32)> = model
            .iter()
            .map(|(id, vector)| (id.to_le_bytes().to_vec(), score(vector, query)))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all.truncate(7);
        let exact = Query { effort: Effort::Exact, ..Query::new(query, 7) };
        let got = found(&collection, &exact)?;
        assert_eq!(got[..all.len().min(7)], all, "{batches} batches");
        answers.push(found(&collection, &Query::new(query, 7))?);
    }
    assert_eq!(collection.verify().damaged, []);
    drop(collection);
    let again = Collection::open(folder, OPTIONS)?;
    for (query, answer) in queries.iter().zip(answers) {
        assert_eq!(found(&again, &Query::new(query, 7))?, answer);
    }
    Ok(batches)
}

fn kill_often(kills: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        metric: Metric::L2,
        raw: Raw::F32,
        memory_rows: 256,
        fanout: 2,
        ..Settings::new(DIM)
    };
    drop(Collection::create(folder.path(), &settings, OPTIONS)?);
    let mut seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    println!("seed {seed}");
    let mut batches = 0;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe()?)
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let reader = std::thread::spawn(move || {
            lines.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok()).last()
        });
        std::thread::sleep(Duration::from_micros(2_000 + random(&mut seed) % 150_000));
        child.kill()?;
        child.wait()?;
        let acknowledged = reader.join().map_err(|_| "the reader panicked")?;
        batches = check(folder.path(), acknowledged.unwrap_or(batches))?;
        if kill % 10 == 9 {
            println!("{} kills, {batches} batches", kill + 1);
        }
    }
    println!("ok: {kills} kills, {batches} batches");
    Ok(())
}

fn main() -> ExitCode {
    let done = match std::env::var_os(FOLDER) {
        Some(folder) => write(Path::new(&folder)),
        None => {
            let kills = std::env::var("PFS_VEC_KILLS").ok().and_then(|kills| kills.parse().ok());
            kill_often(kills.unwrap_or(6))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}
