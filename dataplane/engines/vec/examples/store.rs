//! Measures a collection on a file of vectors: `store VECTORS.npy FOLDER [QUERIES [insert]]`.
//!
//! The file is a `.npy` of f32 rows of which the last QUERIES (1000) are queries. FOLDER is removed
//! first; with `insert` nothing but insertion is measured, ten times. Rates are per second of this thread's processor time, but for those of syncs, which are
//! by the clock. Recall is of ten hits, against exact search in the collection.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use pfs_vec::wal::{Fsync, Wal};
use pfs_vec::{Collection, Effort, Options, Put, Query, Settings};

/// Processor time of this thread.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is there, and `time` is to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Rows of a `.npy` of f32, and their length.
fn load(path: &str) -> Result<(Vec<f32>, usize), Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let head = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + head]).into_owned();
    if !text.contains("'<f4'") {
        return Err("no array of f32".into());
    }
    let shape = text.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next());
    let dim = shape.and_then(|shape| shape.split(',').nth(1)).ok_or("no two dimensions")?;
    let rows = bytes[10 + head..].chunks_exact(4);
    let rows = rows.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok((rows, dim.trim().parse()?))
}

fn wal(folder: &Path) -> Result<(), Box<dyn Error>> {
    let record = [7_u8; 64];
    for (name, fsync, count, group) in [
        ("no fsync, 64 a commit", Fsync::Never, 4_000_000_u64, 64),
        ("groups of 2 ms or 256 KiB, 64 a commit", Fsync::default(), 1_000_000, 64),
    ] {
        let path = folder.join("wal-alone");
        let (mut wal, _) = Wal::open(&path, fsync, 1, &mut |_| {})?;
        let (clock, from) = (Instant::now(), cpu());
        for at in 0..count {
            wal.append(1, &record)?;
            if at % group == group - 1 {
                wal.commit()?;
            }
        }
        wal.sync()?;
        let (by_cpu, by_clock) = (cpu() - from, clock.elapsed());
        let rate = |time: Duration| count as f64 / time.as_secs_f64() / 1e6;
        println!("log, {name}: {:.2} M/s cpu, {:.2} M/s clock", rate(by_cpu), rate(by_clock));
        std::fs::remove_dir_all(&path)?;
    }
    Ok(())
}

fn search(
    name: &str,
    collection: &Collection,
    queries: &[&[f32]],
    truth: &[Vec<Vec<u8>>],
    effort: Effort,
) -> Result<(), Box<dyn Error>> {
    let (mut common, mut distances) = (0, 0);
    let mut best = Duration::MAX;
    for round in 0..3 {
        let from = cpu();
        for (query, truth) in queries.iter().zip(truth) {
            let answer = collection.search(&Query { effort, ..Query::new(query, 10) })?;
            if round == 0 {
                common += answer.hits.iter().filter(|hit| truth.contains(&hit.id)).count();
                distances += answer.distances();
            }
        }
        best = best.min(cpu() - from);
    }
    let recall = common as f64 / (10 * queries.len()) as f64;
    let rate = queries.len() as f64 / best.as_secs_f64();
    let each = distances / queries.len() as u64;
    println!("{name}, {effort:?}: {rate:.0} queries/s, recall {recall:.4}, {each} distances each");
    Ok(())
}

fn insert(
    collection: &Collection,
    rows: &[f32],
    dim: usize,
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let (clock, from) = (Instant::now(), cpu());
    let (mut batch, mut at) = (collection.batch(), 0_u64);
    for chunk in rows.chunks(dim * size) {
        batch.clear();
        for row in chunk.chunks_exact(dim) {
            batch.put(&Put::new(&at.to_le_bytes(), row))?;
            at += 1;
        }
        collection.write(&mut batch)?;
    }
    let (by_cpu, by_clock) = ((cpu() - from).as_secs_f64(), clock.elapsed().as_secs_f64());
    let rate = |time: f64| at as f64 / time / 1e3;
    println!(
        "insert, {size} a batch: {:.0} k/s cpu, {:.0} k/s clock",
        rate(by_cpu),
        rate(by_clock)
    );
    Ok(())
}

/// What a collection finds in each step of its life.
fn life(collection: &Collection, rows: usize, asked: &[&[f32]]) -> Result<(), Box<dyn Error>> {
    let exact = |query: &&[f32]| {
        let answer =
            collection.search(&Query { effort: Effort::Exact, ..Query::new(query, 10) })?;
        Ok(answer.hits.into_iter().map(|hit| hit.id).collect())
    };
    let from = cpu();
    let truth: Vec<Vec<Vec<u8>>> =
        asked.iter().map(exact).collect::<Result<_, Box<dyn Error>>>()?;
    println!("exact: {:.0} queries/s", asked.len() as f64 / (cpu() - from).as_secs_f64());
    search("memory", collection, asked, &truth, Effort::Recall(0.95))?;
    let from = cpu();
    collection.checkpoint()?;
    println!("checkpoint: {:?} cpu", cpu() - from);
    search("level 0", collection, asked, &truth, Effort::Recall(0.95))?;
    for level in [1, 2] {
        let from = cpu();
        let done = collection.compact_into(level)?;
        let rate = rows as f64 / (cpu() - from).as_secs_f64() / 1e3;
        println!("compaction: {rate:.1} k/s cpu, {done:?}");
        for wanted in [0.9, 0.95, 0.98, 0.99] {
            let name = format!("level {level}");
            search(&name, collection, asked, &truth, Effort::Recall(wanted))?;
        }
        println!("{:?}", collection.stats().levels);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (vectors, folder) = (&args[1], Path::new(&args[2]));
    let queries: usize = args.get(3).map_or(Ok(1000), |count| count.parse())?;
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    let (all, dim) = load(vectors)?;
    let (rows, asked) = all.split_at(all.len() - queries * dim);
    let options = Options { fsync: Fsync::Never, ..Options::default() };
    let path = folder.join("collection");
    if args.get(4).is_some_and(|only| only == "insert") {
        for _ in 0..10 {
            insert(&Collection::create(&path, &Settings::new(dim), options)?, rows, dim, 1000)?;
            std::fs::remove_dir_all(&path)?;
        }
        return Ok(());
    }
    wal(folder)?;
    for size in [1, 10, 100, 1000] {
        let _ = std::fs::remove_dir_all(&path);
        insert(&Collection::create(&path, &Settings::new(dim), options)?, rows, dim, size)?;
    }
    let asked: Vec<&[f32]> = asked.chunks_exact(dim).collect();
    life(&Collection::open(&path, options)?, rows.len() / dim, &asked)?;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let clock = Instant::now();
        let opened = Collection::open(&path, options)?;
        fastest = fastest.min(clock.elapsed());
        drop(opened);
    }
    println!("open: {fastest:?} by the clock");
    Ok(())
}
