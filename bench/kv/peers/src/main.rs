//! One engine under the workload of `bench/src/kv/workload.rs`: figures on standard output.
//!
//! `kv-peers ENGINE KEYS [DIRECTORY]`

mod disk;
mod memory;
#[cfg(feature = "rocksdb")]
mod rocks;
#[path = "../../../src/kv/workload.rs"]
#[allow(dead_code, reason = "the other side of the benchmark uses the rest")]
mod workload;

use workload::{Figures, Workload};

#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fails unless an engine found what was there.
fn check(engine: &str, what: &str, got: u64, want: u64) {
    assert_eq!(got, want, "{engine}: wrong answer from {what}");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let engine = args.next().expect("engine: hashbrown, btreemap, blart, heed, fjall or rocksdb");
    let keys = args.next().and_then(|keys| keys.parse().ok()).expect("number of keys");
    let folder = args.next().unwrap_or_else(|| ".".to_owned());
    let work = Workload::new(keys, (keys / 5).max(1));
    let figures: Figures = match engine.as_str() {
        "hashbrown" => memory::hashbrown(&work),
        "btreemap" => memory::btreemap(&work),
        "blart" => memory::blart(&work),
        "heed" => disk::heed(&work, folder.as_ref()),
        "fjall" => disk::fjall(&work, folder.as_ref()),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => rocks::rocksdb(&work, folder.as_ref()),
        // No figures: not measured.
        #[cfg(not(feature = "rocksdb"))]
        "rocksdb" => Figures::new(),
        other => panic!("no engine {other}: hashbrown, btreemap, blart, heed, fjall or rocksdb"),
    };
    println!("{}", workload::line(&figures));
}
