//! Replays the fuzz corpora of this crate's targets. With `PFS_BLESS` set it writes their seeds
//! first.

use pfs_vec::fuzzing;
use pfs_vec::wal::{Fsync, Wal};

include!("../../../../fuzz/replay.rs");

/// Writes seeds where that is asked for.
fn bless(name: &str, seeds: &[Vec<u8>]) {
    if std::env::var_os("PFS_BLESS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(name);
        fs::create_dir_all(&folder).expect("makes the folder");
        for (at, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed).expect("writes");
        }
    }
}

#[test]
fn vec_change() {
    bless("vec_change", &fuzzing::seeds().0);
    replay("vec_change", fuzzing::vec_change);
}

#[test]
fn vec_log() {
    let mut logs = Vec::new();
    for count in 0..5_u32 {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut wal, _) = Wal::open(folder.path(), Fsync::Never, 1, &mut |_| {}).expect("opens");
        for at in 0..count {
            wal.append(at, &vec![at as u8; 5 * at as usize]).expect("takes");
        }
        wal.commit().expect("writes");
        let file = folder.path().join("0000000000000001.wal");
        logs.push(fs::read(file).expect("reads"));
    }
    bless("vec_log", &logs);
    replay("vec_log", fuzzing::vec_log);
}

#[test]
fn vec_segment() {
    bless("vec_segment", &fuzzing::seeds().1);
    replay("vec_segment", fuzzing::vec_segment);
}
