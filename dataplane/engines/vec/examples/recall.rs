//! What recall is asked for, expected and found: `recall VECTORS.npy FOLDER RECORDS`.
//!
//! The first RECORDS rows of the file are put into a collection in FOLDER, which is removed first and
//! afterwards, and merged into one segment of lists; the next 200 are queries. Times are by the clock.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use pfs_vec::import::{Format, Vectors};
use pfs_vec::wal::Fsync;
use pfs_vec::{Collection, Effort, Options, Put, Query, Settings};

/// Vectors that are asked for.
const QUERIES: usize = 200;

/// Ids of the hits of a query.
fn hits(collection: &Collection, query: &Query<'_>) -> Result<HashSet<Vec<u8>>, Box<dyn Error>> {
    Ok(collection.search(query)?.hits.into_iter().map(|hit| hit.id).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (path, folder) = (Path::new(&args[1]), Path::new(&args[2]));
    let rows: u64 = args[3].parse()?;
    let _ = std::fs::remove_dir_all(folder);
    let format = Format::of(path).ok_or("no file of vectors")?;
    let file = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
    let mut vectors = Vectors::open(file, format)?;
    let (mut vector, mut asked) = (Vec::new(), Vec::new());
    let mut collection = None;
    let begin = Instant::now();
    while asked.len() < QUERIES && vectors.next_into(&mut vector)? {
        if vectors.read() > rows {
            asked.push(vector.clone());
            continue;
        }
        let opened = match &collection {
            Some(opened) => opened,
            None => {
                let options = Options { fsync: Fsync::Never, ..Options::default() };
                let settings = Settings { fanout: 64, ..Settings::new(vector.len()) };
                collection.insert(Collection::create(folder, &settings, options)?)
            }
        };
        let mut batch = opened.batch();
        batch.put(&Put::new(&vectors.read().to_le_bytes(), &vector))?;
        opened.write(&mut batch)?;
    }
    let collection = collection.ok_or("no vectors but queries")?;
    let rate = |begin: Instant| rows as f64 / begin.elapsed().as_secs_f64() / 1e3;
    println!("insert, one a batch: {:.1} k/s", rate(begin));
    let begin = Instant::now();
    println!("{:?}", collection.compact()?);
    println!("compaction, with the rest of memory: {:.1} k/s", rate(begin));
    let query = |vector, effort| Query { effort, ..Query::new(vector, 10) };
    let exact = asked.iter().map(|vector| hits(&collection, &query(vector, Effort::Exact)));
    let exact: Vec<HashSet<Vec<u8>>> = exact.collect::<Result<_, _>>()?;
    for wanted in [0.8, 0.9, 0.95, 0.99] {
        let begin = Instant::now();
        let effort = Effort::Recall(wanted);
        let answers = asked.iter().map(|vector| collection.search(&query(vector, effort)));
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        let each = begin.elapsed() / asked.len() as u32;
        let found = answers
            .iter()
            .zip(&exact)
            .flat_map(|(answer, exact)| answer.hits.iter().filter(|hit| exact.contains(&hit.id)));
        let found = found.count() as f64 / (10 * asked.len()) as f64;
        println!("asked {wanted}, expected {:?}, found {found:.4}, {each:?}", answers[0].expected);
    }
    drop(collection);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
