//! Nothing is taken from the heap once a shard and its replies have grown: ten times the bursts
//! allocate as often as none.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_kv::{Expiry, Op, Replies, Reply, Scan, Shard, ShardSettings, Space};

/// Counts what all threads ask of the heap.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` is from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const S: Space = Space(0);

/// Reads, overwrites with other lengths, numbers, expiries, scans.
fn rounds(shard: &mut Shard, replies: &mut Replies, rounds: u32) -> u64 {
    let before = CALLS.load(Relaxed);
    let value = [1u8; 200];
    for round in 0..rounds {
        let keys: [[u8; 4]; 16] = std::array::from_fn(|n| (round * 7 + n as u32).to_be_bytes());
        let keys = keys.map(|key| (u32::from_be_bytes(key) % 5000).to_be_bytes());
        let len = (round % 200) as usize;
        let ops: [Op<'_>; 16] = std::array::from_fn(|n| match n % 4 {
            0 => Op::put(S, &keys[n], &value[..len]),
            1 => Op::Add { space: S, key: b"number", by: 1 },
            2 => Op::Expire { space: S, key: &keys[n], expiry: Expiry::At(u64::MAX) },
            _ => Op::get(S, &keys[n]),
        });
        shard.execute(&ops, replies);
        assert!(replies.iter().all(|reply| !matches!(reply, Reply::Failed(_))));
        shard.execute(&[Op::get(S, &keys[0])], replies);
        assert_eq!(replies.value(shard, 0), Some(&value[..len]));
        let scan = Scan { space: S, prefix: b"\0", limit: Some(20), ..Scan::default() };
        assert_eq!(shard.scan(&scan).count(), 20);
    }
    CALLS.load(Relaxed) - before
}

#[test]
fn bursts_do_not_allocate() {
    let mut shard = Shard::new(ShardSettings::single(64 << 20)).unwrap();
    let mut replies = Replies::new();
    for key in 0..5000u32 {
        shard.execute(&[Op::put(S, &key.to_be_bytes(), b"first")], &mut replies);
    }
    rounds(&mut shard, &mut replies, 40_000);
    // Lists of slices may grow once more.
    let calls = rounds(&mut shard, &mut replies, 40_000);
    assert!(calls <= 8, "{calls} calls for 640,000 operations");
}
