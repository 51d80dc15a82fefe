//! A store's budget bounds what the process takes, by what the kernel counts as resident. A program of its
//! own, so that no other test's memory is in the number.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::process::ExitCode;

use common::{both, sources};
use pfs_cst::cold::{Positions, Settings};
use pfs_cst::flat::Flattener;
use pfs_cst::languages::Registry;
use pfs_cst::tiers::{Access, Config, Keep, Store};

const BUDGET: usize = 4 << 20;
/// What names, threads, zstd's contexts and malloc's gaps may take besides.
const BESIDES: usize = 6 << 20;
/// What the tables and dictionaries of a language may.
const LANGUAGE: usize = 448 << 10;
const COPIES: usize = 24;
/// Set where the store is read: its folder.
const FOLDER: &str = "PFS_CST_MEMORY_FOLDER";

/// Resident bytes of this process now, or none where the system does not tell.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Fills a store with all sources many times over; gives the bytes that its trees take hot.
fn fill(folder: &std::path::Path) -> usize {
    let freeze = Settings { level: 1, positions: Positions::Stored, ..Settings::default() };
    let store =
        Store::open(folder, Config { freeze, budget: BUDGET, ..Config::default() }).unwrap();
    let mut hot_bytes = 0;
    for (path, source) in sources() {
        let Some(grammar) = Registry::shared().detect(&path, &source) else { continue };
        let (tree, hot) = both(&grammar, &source);
        let flat = Flattener::new(&grammar).flatten(&tree, &source).unwrap();
        for copy in 0..COPIES {
            let name = format!("{copy}/{}", path.display());
            store.put(&name, &grammar, &flat, &source, Keep::Nothing).unwrap();
            hot_bytes += hot.bytes();
        }
    }
    store.close().unwrap();
    hot_bytes
}

/// Reads trees from several threads in other orders.
fn read(folder: &std::path::Path) -> ExitCode {
    let config = Config { budget: BUDGET, access: Access::Read, ..Config::default() };
    let Some(before) = resident() else {
        println!("skipped: /proc/self/status does not tell what is resident");
        return ExitCode::SUCCESS;
    };
    let store = Store::open(folder, config).unwrap();
    let names = store.names();
    std::thread::scope(|scope| {
        for step in [1, 7, 11, 13] {
            let (store, names) = (&store, &names);
            scope.spawn(move || {
                for at in 0..names.len() / 2 {
                    let name = &names[at * step % names.len()];
                    assert!(!store.get(name).unwrap().unwrap().is_empty());
                }
            });
        }
    });
    let (stats, taken) = (store.stats(), resident().unwrap_or(0).saturating_sub(before));
    println!("{taken} bytes resident for a budget of {BUDGET}: {stats:?}");
    assert!(stats.memory() - stats.index_bytes <= BUDGET, "{stats:?}");
    let besides = BESIDES + LANGUAGE * Registry::shared().names().len();
    assert!(taken <= BUDGET + besides, "{taken} bytes are resident: {stats:?}");
    assert!(stats.thaws > names.len() as u64 / 2);
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return read(std::path::Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let hot_bytes = fill(folder.path());
    let besides = BESIDES + LANGUAGE * Registry::shared().names().len();
    assert!(hot_bytes > BUDGET + besides, "the corpus is too small: {hot_bytes}");
    // In a new process: what filling took is not in its number.
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
