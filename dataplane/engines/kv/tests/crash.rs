//! A process that writes is killed at random points; what it had acknowledged is there afterwards,
//! burst by burst, and no absolute key was given out twice.
//!
//! `PFS_KV_KILLS` says how often (10 when it does not). The program runs itself as the writer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use pfs_kv::{
    DurableError, DurableSettings, DurableShard, Fsync, Op, Replies, Reply, Scan, ShardSettings,
    Space,
};

/// Set in the writer: the directory to write to.
const FOLDER: &str = "PFS_KV_CRASH_FOLDER";
const KEYS: Space = Space(0);
const OBJECTS: Space = Space(2);
/// Holds the number of bursts done; written with each.
const COUNT: &[u8] = b"count";

fn open(folder: &Path) -> Result<DurableShard, DurableError> {
    let settings = DurableSettings {
        fsync: Fsync::Always,
        segment_bytes: 64 << 10,
        snapshot_bytes: 200 << 10,
        salvage: false,
    };
    DurableShard::open(folder, ShardSettings::single(32 << 20), settings)
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What burst `number` does: fixed by its number.
#[derive(Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Insert(Vec<u8>),
    /// Removes the absolute key given out last, if it is still there.
    RemoveLast,
}

fn burst(number: u64) -> Vec<Step> {
    let mut seed = number;
    let key = |seed: &mut u64| format!("key{}", random(seed) % 200).into_bytes();
    let value = |seed: &mut u64| vec![number as u8; (random(seed) % 700) as usize];
    let steps = 1 + random(&mut seed) % 6;
    (0..steps)
        .map(|_| match random(&mut seed) % 8 {
            0 | 1 => Step::Delete(key(&mut seed)),
            2 => Step::Insert(value(&mut seed)),
            3 => Step::RemoveLast,
            _ => Step::Put(key(&mut seed), value(&mut seed)),
        })
        .collect()
}

fn count_of(shard: &DurableShard) -> u64 {
    let count = shard.shard().get(KEYS, COUNT);
    count.and_then(|count| count.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Writes burst after burst, and a line with its number for each that is acknowledged.
fn write(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut shard = open(folder)?;
    let (mut replies, mut out) = (Replies::new(), std::io::stdout());
    for number in count_of(&shard) + 1.. {
        let steps = burst(number);
        let count = number.to_be_bytes();
        let last = shard.shard().next_absolute(OBJECTS) - 1;
        let mut ops = vec![Op::put(KEYS, COUNT, &count)];
        ops.extend(steps.iter().map(|step| match step {
            Step::Put(key, value) => Op::put(KEYS, key, value),
            Step::Delete(key) => Op::delete(KEYS, key),
            Step::Insert(value) => Op::Insert { space: OBJECTS, value },
            Step::RemoveLast => Op::Remove { space: OBJECTS, absolute: last },
        }));
        let ticket = shard.execute(&ops, &mut replies);
        assert!(shard.acknowledged(ticket), "a synced burst is acknowledged at once");
        let absolutes = replies.iter().filter_map(|reply| match reply {
            Reply::Absolute(absolute) => Some(absolute.to_string()),
            Reply::Failed(error) => panic!("{error}"),
            _ => None,
        });
        let absolutes: Vec<String> = absolutes.collect();
        writeln!(out, "{number} {}", absolutes.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

/// What must be there.
#[derive(Default)]
struct Model {
    bursts: u64,
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    objects: BTreeMap<u64, Vec<u8>>,
    next: u64,
}

impl Model {
    fn advance(&mut self) {
        self.bursts += 1;
        let last = self.next;
        for step in burst(self.bursts) {
            match step {
                Step::Put(key, value) => drop(self.keys.insert(key, value)),
                Step::Delete(key) => drop(self.keys.remove(&key)),
                Step::RemoveLast => drop(self.objects.remove(&last)),
                Step::Insert(value) => {
                    self.next += 1;
                    self.objects.insert(self.next, value);
                }
            }
        }
        self.keys.insert(COUNT.to_vec(), self.bursts.to_be_bytes().to_vec());
    }

    fn check(&self, shard: &DurableShard) {
        let rows = shard.shard().scan(&Scan { space: KEYS, ..Scan::default() });
        let rows: BTreeMap<_, _> = rows.map(|row| (row.key.to_vec(), row.value.to_vec())).collect();
        assert!(rows == self.keys, "keys differ after burst {}", self.bursts);
        let (mut objects, mut from) = (BTreeMap::new(), Some(1));
        while let Some(at) = from {
            from = shard.shard().each_object(OBJECTS, at, |absolute, value| {
                objects.insert(absolute, value.to_vec());
            });
        }
        assert!(objects == self.objects, "values differ after burst {}", self.bursts);
        assert_eq!(shard.shard().next_absolute(OBJECTS), self.next + 1);
    }
}

fn start(folder: &Path) -> Child {
    let program = std::env::current_exe().expect("the program's own path");
    let mut command = Command::new(program);
    command.env(FOLDER, folder).stdout(Stdio::piped()).spawn().expect("the writer starts")
}

/// Lets a writer run for `time`, kills it, and returns the last burst that it acknowledged and the
/// absolute keys that it told of.
fn run_and_kill(folder: &Path, time: Duration) -> (u64, Vec<u64>) {
    let mut child = start(folder);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next();
    std::thread::sleep(time);
    child.kill().expect("the writer is killed");
    child.wait().expect("the writer is gone");
    let (mut last, mut absolutes) = (0, Vec::new());
    // The last line may be cut by the kill; what it would have said may be there or not.
    for line in first.into_iter().chain(lines).map_while(Result::ok) {
        let mut numbers = line.split(' ').filter_map(|number| number.parse::<u64>().ok());
        last = last.max(numbers.next().unwrap_or(0));
        absolutes.extend(numbers);
    }
    (last, absolutes)
}

fn crash(kills: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut model, mut seed) = (Model::default(), u64::from(std::process::id()));
    let mut told = Vec::new();
    for kill in 0..kills {
        let time = Duration::from_micros(random(&mut seed) % 60_000);
        let (acknowledged, absolutes) = run_and_kill(folder.path(), time);
        told.extend(absolutes);
        let shard = open(folder.path()).expect("what a kill leaves is recovered");
        let there = count_of(&shard);
        assert!(there >= acknowledged, "kill {kill}: {there} of {acknowledged} bursts are there");
        while model.bursts < there {
            model.advance();
        }
        model.check(&shard);
    }
    let mut unique = told.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), told.len(), "an absolute key was given out twice");
    println!("{kills} kills, {} bursts, {} absolute keys: all there", model.bursts, told.len());
}

/// Another process is named when it has the directory.
fn second_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = start(folder.path());
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.next().is_some(), "the writer writes");
    let error = open(folder.path()).expect_err("the directory is taken");
    let named = error.to_string().contains(&format!("process {}", child.id()));
    child.kill().expect("the writer is killed");
    child.wait().expect("the writer is gone");
    assert!(named, "{error}");
    open(folder.path()).expect("the lock goes with its process");
}

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return match write(Path::new(&folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let kills = std::env::var("PFS_KV_KILLS").ok().and_then(|kills| kills.parse().ok());
    crash(kills.unwrap_or(10));
    second_process();
    ExitCode::SUCCESS
}
