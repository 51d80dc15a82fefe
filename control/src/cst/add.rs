//! `pfs cst add`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pfs_cst::cold::ColdError;
use pfs_cst::languages::Registry;
use pfs_cst::parse::{Limits, ParseError};
use pfs_cst::tiers::{Config, Keep, Kept, Store, StoreError};
use walkdir::WalkDir;

use super::args::{AddArgs, KeepName};
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::count;

/// How often progress is shown, on a terminal and in a log.
const SHOWN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// A file to be added.
struct Task {
    path: PathBuf,
    bytes: u64,
    /// Asked for by its own name, so that it has to have a language.
    named: bool,
}

/// What came of all files so far.
#[derive(Default)]
struct Tally {
    trees: u64,
    nodes: u64,
    bytes: u64,
    /// Files of folders that are in no language of this build.
    unknown: u64,
    failed: u64,
    /// Why nothing more can be written.
    fatal: Option<StoreError>,
}

/// `pfs cst add`.
///
/// # Errors
/// A file that could not be added, after all others were; a collection that cannot be written to.
pub(super) fn add(args: &AddArgs) -> Result<(), Failure> {
    if let Some(lang) = args.lang.as_deref().filter(|lang| Registry::shared().get(lang).is_none()) {
        let names = Registry::shared().names().join(", ");
        return Err(Failure::usage(format!("no grammar for {lang}; this build has {names}")));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::failed)?;
    }
    if args.reparse {
        return reparse(args, &stop);
    }
    let tasks = tasks(&args.paths)?;
    let store = Store::open(&args.dir, config(args))?;
    let began = Instant::now();
    let work = Work {
        store: &store,
        args,
        tasks: &tasks,
        stop: &stop,
        next: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        tally: Mutex::default(),
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..super::threads(args.threads)).map(|_| scope.spawn(|| work.run())).collect();
        work.watch(|| workers.iter().all(thread::ScopedJoinHandle::is_finished));
    });
    let tally = work.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let closed = store.close();
    tell(&tally, began.elapsed())?;
    if let Some(error) = tally.fatal {
        return Err(error.into());
    }
    closed?;
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::failed("stopped; what was added before stays"));
    }
    if tally.failed > 0 {
        return Err(Failure::failed(format!("{} files were not added", count(tally.failed))));
    }
    Ok(())
}

fn tell(tally: &Tally, took: Duration) -> Result<(), Failure> {
    let rate = tally.bytes as f64 / 1e6 / took.as_secs_f64().max(1e-6);
    let unknown = match tally.unknown {
        0 => String::new(),
        some => format!(", {} files in no language of this build", count(some)),
    };
    out::print(&format!(
        "{} trees, {} nodes, {:.1} MB of source in {:.1} s ({rate:.1} MB/s){unknown}\n",
        count(tally.trees),
        count(tally.nodes),
        tally.bytes as f64 / 1e6,
        took.as_secs_f64(),
    ))
}

/// The files asked for, and those in folders asked for.
fn tasks(paths: &[PathBuf]) -> Result<Vec<Task>, Failure> {
    let mut tasks = Vec::new();
    for path in paths {
        let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
        let found = path.metadata().map_err(fail)?;
        if !found.is_dir() {
            tasks.push(Task { path: path.clone(), bytes: found.len(), named: true });
            continue;
        }
        let visible = |entry: &walkdir::DirEntry| {
            entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        for entry in WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(visible) {
            let entry = entry.map_err(Failure::failed)?;
            if entry.file_type().is_file() {
                let bytes = entry.metadata().map_or(0, |found| found.len());
                tasks.push(Task { path: entry.into_path(), bytes, named: false });
            }
        }
    }
    Ok(tasks)
}

/// Adding under way, as its threads share it.
struct Work<'a> {
    store: &'a Store,
    args: &'a AddArgs,
    tasks: &'a [Task],
    stop: &'a AtomicBool,
    next: AtomicUsize,
    /// Bytes of files that are done with.
    done: AtomicU64,
    tally: Mutex<Tally>,
}

/// Why a file was left out.
enum Left {
    /// It is in no language of this build.
    Unknown,
    /// It cannot be added; told.
    Failed(String),
    /// Nothing can be.
    Fatal(StoreError),
}

impl Work<'_> {
    fn run(&self) {
        while let Some(task) = self.tasks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let came = self.one(task);
            self.done.fetch_add(task.bytes, Ordering::Relaxed);
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            match came {
                Ok(nodes) => {
                    tally.trees += 1;
                    tally.nodes += nodes as u64;
                    tally.bytes += task.bytes;
                }
                Err(Left::Unknown) => tally.unknown += 1,
                Err(Left::Failed(why)) => {
                    tally.failed += 1;
                    out::complain(&format!("pfs: {}: {why}", task.path.display()));
                }
                Err(Left::Fatal(error)) => {
                    tally.fatal.get_or_insert(error);
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Adds one file; gives its nodes.
    fn one(&self, task: &Task) -> Result<usize, Left> {
        let failed = |why: String| Left::Failed(why);
        let name = name_of(&task.path).ok_or_else(|| failed("its name is no UTF-8".into()))?;
        if task.bytes > self.args.max_bytes {
            let most = self.args.max_bytes;
            let why = format!("{} bytes; --max-bytes says {most} at most", task.bytes);
            return Err(failed(why));
        }
        let source = read(&task.path, self.args.max_bytes).map_err(failed)?;
        let lang = self.args.lang.as_deref();
        if lang.is_none() && Registry::shared().detect(&task.path, &source).is_none() {
            let why = "no language of this build by its name and content; --lang names one";
            return Err(if task.named { failed(why.into()) } else { Left::Unknown });
        }
        let keep = match self.args.keep {
            KeepName::Ref => Keep::File(&task.path),
            KeepName::Copy => Keep::Copy,
            KeepName::None => Keep::Nothing,
        };
        let limits = Limits { time: Some(self.args.parse_s), cancel: Some(self.stop) };
        match self.store.put_source(&name, lang, &source, keep, limits) {
            Ok(stored) => Ok(stored.len()),
            Err(StoreError::Parse(ParseError::Cancelled { .. })) => Err(failed("stopped".into())),
            Err(error @ (StoreError::Parse(_) | StoreError::Flatten(_))) => {
                Err(failed(error.to_string()))
            }
            Err(error) => Err(Left::Fatal(error)),
        }
    }

    /// Shows how far it is, until `ended`.
    fn watch(&self, ended: impl Fn() -> bool) {
        let all: u64 = self.tasks.iter().map(|task| task.bytes).sum();
        let progress = Progress::new(Some(all));
        let often = SHOWN[usize::from(progress.is_log())];
        let mut shown = Instant::now();
        while !ended() {
            thread::sleep(Duration::from_millis(20));
            if shown.elapsed() >= often {
                shown = Instant::now();
                let done = self.done.load(Ordering::Relaxed);
                let files = self.next.load(Ordering::Relaxed).min(self.tasks.len());
                let (files, of) = (count(files as u64), count(self.tasks.len() as u64));
                let megabytes = done as f64 / 1e6;
                progress.show(done, format!("{files} of {of} files, {megabytes:.1} MB"));
            }
        }
        progress.end();
    }
}

fn config(args: &AddArgs) -> Config {
    Config { supertypes: args.supertypes, ..Config::default() }
}

/// What a tree is called: the path as it was given.
fn name_of(path: &Path) -> Option<String> {
    let name = path.to_str()?;
    Some(name.strip_prefix("./").unwrap_or(name).to_owned())
}

/// A file's bytes; one that grew beyond `most` meanwhile is refused.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut source = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(most + 1).read_to_end(&mut source).map_err(|error| error.to_string())?;
    if source.len() as u64 > most {
        return Err(format!("more than {most} bytes; --max-bytes says so"));
    }
    Ok(source)
}

/// Parses the trees again that were stored with another release of their grammar.
fn reparse(args: &AddArgs, stop: &AtomicBool) -> Result<(), Failure> {
    let store = Store::open(&args.dir, config(args))?;
    let (began, mut tally) = (Instant::now(), Tally::default());
    for entry in store.list()? {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match store.cold(&entry.name, |_| Ok(())) {
            Err(StoreError::Segment { source: ColdError::Grammar { .. }, .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => continue,
        }
        let again = store.source(&entry.name).and_then(|source| {
            let keep = match &entry.kept {
                Kept::File { path, .. } => Keep::File(path),
                Kept::Copy { .. } => Keep::Copy,
                Kept::Nothing => Keep::Nothing,
            };
            let limits = Limits { time: Some(args.parse_s), cancel: Some(stop) };
            store.put_source(&entry.name, Some(&entry.language), &source, keep, limits)
        });
        match again {
            Ok(stored) => {
                tally.trees += 1;
                tally.nodes += stored.len() as u64;
                tally.bytes += entry.source_bytes as u64;
            }
            Err(error) => {
                tally.failed += 1;
                out::complain(&format!("pfs: {}: {error}", entry.name));
            }
        }
    }
    store.close()?;
    tell(&tally, began.elapsed())?;
    match tally.failed {
        0 => Ok(()),
        some => Err(Failure::failed(format!("{} trees were not parsed again", count(some)))),
    }
}
