//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use std::convert::Infallible;

use crate::durable::{read_snapshot, scan_frames};
use crate::shard::{Scan, Shard, ShardSettings};

fn shard() -> Option<Shard> {
    // Without memory there is nothing to test.
    Shard::new(ShardSettings::single(ShardSettings::LEAST)).ok()
}

/// The frames of a log: recovery reads a beginning of them, twice the same, and does what they say.
///
/// # Panics
/// When a promise is broken.
pub fn log_recovery(data: &[u8]) {
    let Some(mut shard) = shard() else { return };
    let first = scan_frames(data, 0, u32::MAX, |_, change| {
        // A change may be refused for lack of memory.
        let _ = shard.apply(change);
        Ok::<(), Infallible>(())
    });
    let Ok(first) = first;
    assert!(first.good + first.cut <= data.len() as u64);
    assert_eq!(first.frames, first.last, "numbers follow each other");
    let good = &data[..first.good as usize];
    let Ok(again) = scan_frames(good, 0, u32::MAX, |_, _| Ok::<(), Infallible>(()));
    assert_eq!((again.good, again.frames, again.cut), (first.good, first.frames, 0));
    for space in shard.spaces() {
        let rows = shard.scan(&Scan { space, hidden: true, ..Scan::default() });
        assert!(rows.map(|row| row.key).is_sorted());
    }
}

/// A snapshot's file: read whole, or refused.
///
/// # Panics
/// When a promise is broken.
pub fn snapshot_read(data: &[u8]) {
    let Some(mut shard) = shard() else { return };
    let mut changes = 0;
    let read = read_snapshot(data, |change| {
        changes += 1;
        let _ = shard.apply(change);
        Ok::<(), Infallible>(())
    });
    if let Ok(head) = read {
        assert_eq!(head.changes, changes);
    }
}
