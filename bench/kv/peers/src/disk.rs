//! Durable engines.

use std::path::Path;

use crate::check;
use crate::workload::{Figures, ROWS, Workload, timed, touch};

/// Puts of a durable group.
pub(crate) const GROUP: usize = 1000;
/// Puts of a small group, and how many are made in such groups.
pub(crate) const SMALL: usize = 64;
pub(crate) const SMALL_PUTS: usize = 64_000;
/// Single durable commits.
pub(crate) const SINGLES: usize = 2000;

pub(crate) fn rate(n: usize, seconds: f64) -> f64 {
    n as f64 / seconds / 1e6
}

/// LMDB through heed, synced at each commit.
pub fn heed(work: &Workload, folder: &Path) -> Figures {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    // SAFETY: the folder was just made and is nobody else's.
    let env = unsafe { heed::EnvOpenOptions::new().map_size(4 << 30).open(folder.path()) };
    let env = env.expect("LMDB opens");
    let mut txn = env.write_txn().expect("a transaction");
    type Db = heed::Database<heed::types::Bytes, heed::types::Bytes>;
    let map: Db = env.create_database(&mut txn, None).expect("a database");
    txn.commit().expect("commits");
    let n = work.keys.len();
    let grouped = n.min(200_000);
    let put = |from: usize, to: usize, group: usize| {
        for start in (from..to).step_by(group) {
            let mut txn = env.write_txn().expect("a transaction");
            for index in start..(start + group).min(to) {
                map.put(&mut txn, work.keys.get(index), work.values.get(index)).expect("puts");
            }
            txn.commit().expect("commits");
        }
    };
    let (group, ()) = timed(|| put(0, grouped, GROUP));
    put(grouped, n, 50_000);
    let small_puts = SMALL_PUTS.min(n);
    let (small, ()) = timed(|| put(0, small_puts, SMALL));
    let (single, ()) = timed(|| put(0, SINGLES.min(n), 1));
    let txn = env.read_txn().expect("a transaction");
    let (get, sum) = timed(|| {
        let value = |key: &[u8]| touch(map.get(&txn, key).expect("gets").expect("is there"));
        work.asked.iter().fold(0u64, |sum, key| sum.wrapping_add(value(key)))
    });
    check("heed", "get", sum, work.get_sum);
    let (scan, sum) = timed(|| {
        work.prefixes.iter().fold(0u64, |sum, prefix| {
            let rows = map.prefix_iter(&txn, prefix).expect("scans");
            rows.fold(sum, |sum, row| sum.wrapping_add(touch(row.expect("a row").1)))
        })
    });
    check("heed", "scan", sum, work.scan_sum);
    let (seek, _) = timed(|| {
        work.seeks.iter().fold(0u64, |sum, seek| {
            let from = (std::ops::Bound::Included(seek), std::ops::Bound::Unbounded);
            let rows = map.range(&txn, &from).expect("scans").take(ROWS);
            rows.fold(sum, |sum, row| sum.wrapping_add(touch(row.expect("a row").1)))
        })
    });
    vec![
        ("durable_group".into(), rate(grouped, group)),
        ("durable_small".into(), rate(small_puts, small)),
        ("durable_single".into(), rate(SINGLES.min(n), single)),
        ("get".into(), rate(n, get)),
        ("scan".into(), rate(n, scan)),
        ("seek".into(), rate(work.seeks.len(), seek)),
    ]
}

/// fjall, synced (data) at each commit.
pub fn fjall(work: &Workload, folder: &Path) -> Figures {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let db = fjall::Database::builder(folder.path()).open().expect("fjall opens");
    let map = db.keyspace("kv", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
    let n = work.keys.len();
    let put = |from: usize, to: usize, group: usize| {
        for start in (from..to).step_by(group) {
            let mut batch = db.batch().durability(Some(fjall::PersistMode::SyncData));
            for index in start..(start + group).min(to) {
                batch.insert(&map, work.keys.get(index), work.values.get(index));
            }
            batch.commit().expect("commits");
        }
    };
    let (group, ()) = timed(|| put(0, n, GROUP));
    let small_puts = SMALL_PUTS.min(n);
    let (small, ()) = timed(|| put(0, small_puts, SMALL));
    let (single, ()) = timed(|| put(0, SINGLES.min(n), 1));
    let asked = work.asked.len().min(200_000);
    let (get, found) = timed(|| {
        let found = |index: &usize| map.get(work.asked.get(*index)).expect("gets").is_some();
        (0..asked).filter(found).count()
    });
    check("fjall", "get", found as u64, asked as u64);
    let value = |row: fjall::Guard| touch(&row.value().expect("a value"));
    let (scan, sum) = timed(|| {
        work.prefixes.iter().fold(0u64, |sum, prefix| {
            map.prefix(prefix).fold(sum, |sum, row| sum.wrapping_add(value(row)))
        })
    });
    check("fjall", "scan", sum, work.scan_sum);
    let (seek, _) = timed(|| {
        work.seeks.iter().fold(0u64, |sum, seek| {
            let rows = map.range(seek..).take(ROWS);
            rows.fold(sum, |sum, row| sum.wrapping_add(value(row)))
        })
    });
    vec![
        ("durable_group".into(), rate(n, group)),
        ("durable_small".into(), rate(small_puts, small)),
        ("scan".into(), rate(n, scan)),
        ("seek".into(), rate(work.seeks.len(), seek)),
        ("durable_single".into(), rate(SINGLES.min(n), single)),
        ("get".into(), rate(asked, get)),
    ]
}
