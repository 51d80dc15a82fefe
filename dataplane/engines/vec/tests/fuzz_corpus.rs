//! Replays the fuzz corpora of this crate's targets. With `PFS_BLESS` set it writes their seeds
//! first. `PFS_VEC_MUTATIONS` says how many changed seeds each target is given besides (200 when it
//! does not): without a fuzzer's guidance, but on every toolchain.

use pfs_vec::fuzzing;
use pfs_vec::import::npy_head;
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

/// Gives `target` seeds with bytes changed, cut out and put in; the same ones each time.
fn mutate(seeds: &[Vec<u8>], target: fn(&[u8])) {
    let runs = std::env::var("PFS_VEC_MUTATIONS").ok().and_then(|runs| runs.parse().ok());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    for _ in 0..runs.unwrap_or(200) {
        let mut bytes = seeds[random(seeds.len())].clone();
        for _ in 0..=random(4) {
            let (at, length) = (random(bytes.len()), bytes.len());
            match random(6) {
                0 if length > 0 => bytes[at] ^= 1 << random(8),
                1 if length > 0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                2 => bytes[at..(at + 8).min(length)].fill(0xff),
                3 => bytes[at..(at + 4).min(length)].fill(0),
                4 => drop(bytes.drain(at..(at + random(64)).min(length))),
                _ => bytes.insert(at, random(256) as u8),
            }
        }
        target(&bytes);
    }
}

#[test]
fn vec_change() {
    let seeds = fuzzing::seeds().0;
    bless("vec_change", &seeds);
    replay("vec_change", fuzzing::vec_change);
    mutate(&seeds, fuzzing::vec_change);
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
    mutate(&logs, fuzzing::vec_log);
}

#[test]
fn vec_segment() {
    let seeds = fuzzing::seeds().1;
    bless("vec_segment", &seeds);
    replay("vec_segment", fuzzing::vec_segment);
    mutate(&seeds, fuzzing::vec_segment);
}

#[test]
fn vec_import() {
    let values: Vec<u8> = (0..12_u8).flat_map(|at| f32::from(at).to_le_bytes()).collect();
    let npy = |rows, dim| [npy_head(rows, dim), values.clone()].concat();
    let mut later = b"\x93NUMPY\x02\x00".to_vec();
    later.extend(60_u32.to_le_bytes());
    later.extend(&npy_head(6, 2)[10..70]);
    let fvecs: Vec<u8> =
        values.chunks(12).flat_map(|row| [&3_u32.to_le_bytes()[..], row].concat()).collect();
    let bvecs: Vec<u8> = [4, 0, 0, 0, 9, 8, 7, 6].repeat(3);
    let seeds = [npy(6, 2), npy(3, 4), npy(u64::MAX, 4096), later, fvecs, bvecs];
    bless("vec_import", &seeds);
    replay("vec_import", fuzzing::vec_import);
    mutate(&seeds, fuzzing::vec_import);
}

#[test]
fn vec_frame() {
    let seeds = pfs_vec::frame::fuzzing::seeds();
    bless("vec_frame", &seeds);
    replay("vec_frame", pfs_vec::frame::fuzzing::vec_frame);
    mutate(&seeds, pfs_vec::frame::fuzzing::vec_frame);
}
