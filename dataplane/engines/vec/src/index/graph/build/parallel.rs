//! Work that is shared between threads, with results in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Items that a thread takes at once.
const TAKEN: usize = 64;

/// What `work` gives for each of `0..count`, in order.
pub(super) fn each<T: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut parts = Vec::new();
        loop {
            let from = next.fetch_add(TAKEN, Ordering::Relaxed);
            if from >= count {
                return parts;
            }
            let part: Vec<T> = (from..count.min(from + TAKEN)).map(&work).collect();
            parts.push((from, part));
        }
    };
    let mut parts: Vec<(usize, Vec<T>)> = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .flat_map(|parts| parts.unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
            .collect()
    });
    parts.sort_unstable_by_key(|part| part.0);
    parts.into_iter().flat_map(|part| part.1).collect()
}

/// Calls `work` with each row of `stride` items and its number.
pub(super) fn each_chunk<T: Send>(
    threads: usize,
    rows: &mut [T],
    stride: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let share = (rows.len() / stride).div_ceil(threads.max(1)).max(1);
    let work = &work;
    let run = |(part, rows): (usize, &mut [T])| {
        rows.chunks_exact_mut(stride)
            .enumerate()
            .for_each(|(at, row)| work(part * share + at, row));
    };
    if threads <= 1 {
        return rows.chunks_mut(share * stride).enumerate().for_each(run);
    }
    thread::scope(|scope| {
        for part in rows.chunks_mut(share * stride).enumerate() {
            scope.spawn(move || run(part));
        }
    });
}
