//! A process that writes a blob is killed at random points; what it had acknowledged is there
//! afterwards, step by step, and nothing else. So is one that makes a blob.
//!
//! `PFS_BLOB_KILLS` says how often (20 when it does not). The program runs itself as the writer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use pfs_pvrt::blob::{Blob, BlobError, ChunkSizes, Digest, Settings};
use pfs_pvrt::{Identity, Profile};

/// Set in the process that writes: the blob's folder, and what it is to do there.
const FOLDER: &str = "PFS_BLOB_CRASH_FOLDER";
const TASK: &str = "PFS_BLOB_CRASH_TASK";
/// Bytes for chunks: little, so that space is reused all the time.
const STORED: u64 = 400_000;
/// The object that holds the number of steps done; written with each.
const COUNT: &str = "count";

type Failed = Box<dyn std::error::Error>;

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut seed = seed;
    (0..len).map(|_| random(&mut seed) as u8).collect()
}

fn settings(size: u64) -> Settings {
    Settings::new(Identity::new("crash", Profile::Orchard, size, 1), STORED)
}

fn sizes() -> ChunkSizes {
    ChunkSizes::new(256, 1024, 4096).expect("in order")
}

/// What must be there.
#[derive(Default)]
struct Model {
    steps: u64,
    objects: BTreeMap<String, Vec<u8>>,
    retained: BTreeSet<u64>,
}

/// What a step does: fixed by its number and by what was done before.
enum Step {
    Put(u64),
    Release(u64),
    Object(String, Vec<u8>),
    Remove(String),
}

/// The bytes of a chunk that is retained by itself.
fn chunk(number: u64) -> Vec<u8> {
    bytes(number, 500 + number % 7 * 400)
}

impl Model {
    /// The next step's changes, done here.
    fn advance(&mut self) -> Vec<Step> {
        self.steps += 1;
        let mut seed = self.steps;
        let mut steps = Vec::new();
        for _ in 0..=random(&mut seed) % 4 {
            let (number, name) = (random(&mut seed) % 40, (random(&mut seed) % 9).to_string());
            let kind = random(&mut seed) % 5;
            let step = if kind < 2 && self.retained.insert(number) {
                Step::Put(number)
            } else if kind < 2 && self.retained.remove(&number) {
                Step::Release(number)
            } else if kind == 2 && self.objects.remove(&name).is_some() {
                Step::Remove(name)
            } else {
                let from = random(&mut seed) % 20;
                let content = bytes(from, random(&mut seed) % 25_000);
                self.objects.insert(name.clone(), content.clone());
                Step::Object(name, content)
            };
            steps.push(step);
        }
        steps
    }

    fn check(&self, blob: &Blob) {
        let names =
            self.objects.keys().map(String::as_str).chain((self.steps > 0).then_some(COUNT));
        let names: Vec<_> = names.collect();
        assert_eq!(blob.objects().map(|(name, _)| name).collect::<Vec<_>>(), names);
        for (name, content) in &self.objects {
            let mut found = Vec::new();
            blob.get_object(name, &mut found).expect("an object that was acknowledged");
            assert!(found == *content, "object {name} differs after step {}", self.steps);
        }
        for number in &self.retained {
            let content = chunk(*number);
            assert_eq!(blob.chunk(&Digest::of(&content)), Some(&content[..]));
        }
        assert!(blob.check(&mut |_, _| {}).expect("a blob").is_clean());
    }
}

fn count_of(blob: &Blob) -> u64 {
    let mut count = Vec::new();
    let there = blob.get_object(COUNT, &mut count).is_ok();
    if there { u64::from_le_bytes(count.try_into().expect("eight bytes")) } else { 0 }
}

/// Does step after step, and prints the number of each that is synced.
fn write(folder: &Path) -> Result<(), Failed> {
    let mut blob = Blob::open(folder)?;
    let (mut model, mut out) = (Model::default(), std::io::stdout());
    for _ in 0..count_of(&blob) {
        model.advance();
    }
    loop {
        for step in model.advance() {
            match step {
                Step::Put(number) => drop(blob.put(&chunk(number))?),
                Step::Release(number) => blob.release(&Digest::of(&chunk(number)))?,
                Step::Object(name, content) => {
                    blob.put_object(&name, &mut &content[..], sizes())?;
                }
                Step::Remove(name) => drop(blob.remove_object(&name)?),
            }
        }
        blob.put_object(COUNT, &mut &model.steps.to_le_bytes()[..], sizes())?;
        blob.sync()?;
        writeln!(out, "{}", model.steps)?;
        out.flush()?;
        // Space that was given back is written over by the next steps.
        blob.gc()?;
    }
}

fn start(folder: &Path, task: &str) -> Child {
    let program = std::env::current_exe().expect("the program's own path");
    let mut command = Command::new(program);
    command.env(FOLDER, folder).env(TASK, task).stdout(Stdio::piped());
    command.spawn().expect("the writer starts")
}

/// Lets a writer run for `time` from its first step on, kills it, and returns the last step that it
/// acknowledged.
fn run_and_kill(folder: &Path, time: Duration) -> u64 {
    let mut child = start(folder, "write");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next();
    assert!(first.is_some(), "the writer ended by itself");
    std::thread::sleep(time);
    child.kill().expect("the writer is killed");
    let ended = child.wait().expect("the writer is gone");
    assert_eq!(ended.code(), None, "the writer ended by itself");
    // The last line may be cut by the kill: then its number is a smaller one.
    let numbers = first.into_iter().chain(lines).map_while(Result::ok);
    numbers.filter_map(|line| line.parse().ok()).max().unwrap_or(0)
}

fn writers_die(folder: &Path, kills: u32) {
    let path = folder.join("blob");
    drop(Blob::create(&path, &settings(100_000), &mut |_, _| {}).expect("made"));
    let (mut model, mut seed) = (Model::default(), u64::from(std::process::id()));
    for kill in 0..kills {
        let time = Duration::from_micros(random(&mut seed) % 100_000);
        let acknowledged = run_and_kill(&path, time);
        let blob = Blob::open(&path).expect("what a kill leaves is recovered");
        let there = count_of(&blob);
        assert!(there >= acknowledged, "kill {kill}: {there} of {acknowledged} steps are there");
        while model.steps < there {
            model.advance();
        }
        model.check(&blob);
    }
    println!("{kills} kills, {} steps: all there", model.steps);
}

fn makers_die(kills: u32) {
    let size = 1 << 20;
    let (mut seed, mut missing) = (u64::from(std::process::id()) + 1, 0);
    for _ in 0..kills {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("blob");
        let mut child = start(&path, "create");
        std::thread::sleep(Duration::from_micros(random(&mut seed) % 120_000));
        child.kill().expect("the maker is killed");
        child.wait().expect("the maker is gone");
        let blob = match Blob::open(&path) {
            Err(BlobError::Missing(_)) => {
                missing += 1;
                Blob::create(&path, &settings(size), &mut |_, _| {}).expect("made anew")
            }
            blob => blob.expect("no half of a blob is taken for one"),
        };
        assert!(blob.check(&mut |_, _| {}).expect("a blob").is_clean());
    }
    println!("{kills} kills while a blob is made: {missing} were made anew");
}

/// Another process that writes is named; one that reads keeps space from being given back.
fn other_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("blob");
    let mut blob = Blob::create(&path, &settings(100_000), &mut |_, _| {}).expect("made");
    blob.put_object("x", &mut &b"text"[..], sizes()).expect("room");
    blob.sync().expect("disk");
    blob.remove_object("x").expect("there");
    let mut reader = start(&path, "read");
    let mut lines = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let line = lines.next().expect("the reader opens it").expect("readable");
    assert_eq!(line, "text");
    assert!(matches!(blob.gc(), Err(BlobError::Readers(_))));
    reader.kill().expect("the reader is killed");
    reader.wait().expect("the reader is gone");
    assert_eq!(blob.gc().expect("alone").chunks, 2);
    drop(blob);
    let mut writer = start(&path, "write");
    let mut lines = BufReader::new(writer.stdout.take().expect("a pipe")).lines();
    assert!(lines.next().is_some(), "the writer writes");
    let error = Blob::open(&path).expect_err("the folder is taken").to_string();
    let named = error.contains(&format!("process {}", writer.id()));
    writer.kill().expect("the writer is killed");
    writer.wait().expect("the writer is gone");
    assert!(named, "{error}");
    Blob::open(&path).expect("the lock goes with its process");
}

fn act(folder: &Path, task: &str) -> Result<(), Failed> {
    match task {
        "write" => write(folder),
        "create" => {
            Blob::create(folder, &settings(1 << 20), &mut |_, _| {})?;
            Ok(())
        }
        _ => {
            let blob = Blob::open_read(folder)?;
            let mut text = Vec::new();
            blob.get_object("x", &mut text)?;
            println!("{}", String::from_utf8(text)?);
            loop {
                std::thread::park();
            }
        }
    }
}

fn main() -> ExitCode {
    if let (Some(folder), Ok(task)) = (std::env::var_os(FOLDER), std::env::var(TASK)) {
        return match act(Path::new(&folder), &task) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let kills = std::env::var("PFS_BLOB_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(20);
    // On a disk, where a step takes a while, and in memory, where it takes none.
    let disk = tempfile::tempdir().expect("a folder");
    writers_die(disk.path(), kills.div_ceil(2));
    match tempfile::tempdir_in("/dev/shm") {
        Ok(memory) => writers_die(memory.path(), kills / 2),
        Err(error) => println!("skipped: a folder in /dev/shm: {error}"),
    }
    makers_die(kills);
    other_processes();
    ExitCode::SUCCESS
}
