//! Measures what trees take: `phases FOLDER...` prints the table of all forms; `fill STORE FOLDER...` makes a
//! store, and `read STORE BUDGET [THREADS [SECONDS]]` gets its trees in random order and prints the process's
//! resident memory beside what the store counts. Before folders: `--files N` takes N files of them, `--ends rs`
//! those of such names, and `--held-out` packages that nothing was trained on (`pfs-bench`'s rule).

#![allow(clippy::unwrap_used, reason = "a tool to measure with")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pfs_cst::parse::Limits;
use pfs_cst::phases::{Probe, Settings, measure};
use pfs_cst::tiers::{Access, Config, Keep, Store};

fn allocated() -> usize {
    // SAFETY: it takes nothing and only reads malloc's counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is there and `time` is a place for its answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Whether dictionaries were trained on a package.
fn trained(package: &Path) -> bool {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    blake3::hash(name.as_bytes()).as_bytes()[0] & 1 == 0
}

/// Files of sources in folders, by path.
fn files(mut args: impl Iterator<Item = String>) -> Vec<PathBuf> {
    let (mut folders, mut most, mut held_out) = (Vec::new(), usize::MAX, false);
    let mut ends = vec!["rs".to_owned(), "c".to_owned(), "h".to_owned()];
    while let Some(arg) = args.next() {
        match &*arg {
            "--files" => most = args.next().unwrap().parse().unwrap(),
            "--ends" => ends = args.next().unwrap().split(',').map(str::to_owned).collect(),
            "--held-out" => held_out = true,
            _ => folders.push(PathBuf::from(arg)),
        }
    }
    if held_out {
        let packages = folders.iter().flat_map(|it| std::fs::read_dir(it).unwrap().flatten());
        let packages = packages.map(|entry| entry.path()).filter(|it| it.is_dir());
        folders = packages.filter(|package| !trained(package)).collect();
    }
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let source = path.extension().is_some_and(|it| ends.iter().any(|end| it == &**end));
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && source {
                files.push(path);
            }
        }
    }
    files.sort();
    let step = (files.len() as f64 / most as f64).max(1.0);
    (0..files.len().min(most)).map(|at| files[(at as f64 * step) as usize].clone()).collect()
}

fn phases(paths: &[PathBuf]) {
    let scratch = tempfile::tempdir().unwrap();
    let probe = Probe { allocated, cpu };
    let measured = measure(paths, scratch.path(), Settings::default(), probe, |_| ());
    let (corpus, rows) = measured.unwrap();
    println!("{corpus:?}");
    println!(
        "| form | phases | memory, KiB | disk, KiB | B/node | lines per MiB | encode, M nodes/s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {:.3} | {:.0} | {:.1} |",
            row.name,
            row.phases,
            row.memory >> 10,
            row.disk >> 10,
            row.bytes_per_node(&corpus),
            row.lines_per_mib(&corpus),
            corpus.nodes as f64 / row.encode.as_secs_f64() / 1e6
        );
    }
}

fn fill(store: &Path, paths: &[PathBuf]) {
    let store = Store::open(store, Config::default()).unwrap();
    for path in paths {
        let source = std::fs::read(path).unwrap();
        let name = path.to_string_lossy();
        let put = store.put_source(&name, None, &source, Keep::File(path), Limits::default());
        if let Err(error) = put {
            eprintln!("{name}: {error}");
        }
    }
    println!("{:?}", store.stats());
    store.close().unwrap();
}

/// A line of `/proc/self/status`, KiB.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

fn read(store: &Path, budget: usize, threads: usize, seconds: u64) {
    let config = Config { budget, access: Access::Read, ..Config::default() };
    let start = Instant::now();
    let store = Store::open(store, config).unwrap();
    let opened = start.elapsed();
    let (names, resident) = (store.names(), status("VmRSS"));
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, names) = (&store, &names);
            scope.spawn(move || {
                let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(thread as u64 + 1);
                // Each tree once, then at random, some more often than others.
                for at in 0.. {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let random = (state >> 20) as usize % names.len();
                    let often = random * ((state >> 4) as usize % 1024) / 1024;
                    let name = &names[if at < names.len() { at } else { often }];
                    assert!(!store.get(name).unwrap().unwrap().is_empty());
                    if at > names.len() && Instant::now() > end {
                        return;
                    }
                }
            });
        }
    });
    println!("{:?}", store.stats());
    println!(
        "{} trees, opened in {opened:?}; resident KiB: after opening {resident}, now {}, at most {}; counted {}",
        names.len(),
        status("VmRSS"),
        status("VmHWM"),
        store.stats().memory() >> 10
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    match &*mode {
        "phases" => phases(&files(args)),
        "fill" => {
            let store = args.next().unwrap();
            fill(Path::new(&store), &files(args));
        }
        "read" => {
            let store = args.next().unwrap();
            let number = |arg: Option<String>| arg.map(|it| it.parse::<usize>().unwrap());
            let budget = number(args.next()).unwrap();
            let threads = number(args.next()).unwrap_or(4);
            let seconds = number(args.next()).unwrap_or(5) as u64;
            read(Path::new(&store), budget, threads, seconds);
        }
        _ => println!(
            "phases FOLDER... | fill STORE FOLDER... | read STORE BUDGET [THREADS [SECONDS]]"
        ),
    }
}
