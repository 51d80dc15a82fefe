//! Whole files by a formula: 100 MiB out of a blob of 100 MiB, as PacketFS's samples have them,
//! against its loop over segments.
//!
//! Its own sums of these files are not compared: the formula as described does not give them, with
//! any of the likely offsets of the first segment (0, 32, powers of two, the stride).

use std::fs;

use pfs_pvrt::blob::{Blob, Settings};
use pfs_pvrt::formats::blueprint::Formula;
use pfs_pvrt::rebuild::{FileOptions, file};
use pfs_pvrt::{Identity, Profile};

const SIZE: u64 = 100 << 20;

#[test]
fn files_are_those_of_the_loop_over_segments() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("out");
    let identity = Identity::new("pfs_vblob_test", Profile::Prand, SIZE, 1337);
    let blob = Blob::memory(&Settings::new(identity, 0)).expect("memory");
    for (count, seg_len, start, stride, delta) in
        [(262_144, 384, 0, 8_191, 0), (262_144, 384, 4_096, 8_191, 7), (1_310_720, 80, 0, 80, 0)]
    {
        let formula = Formula::new(SIZE, count, seg_len, start, stride, delta);
        let source = formula.source(Some(SIZE)).expect("segments");
        let rebuilt = file(&source, &blob.space(), &path, FileOptions::default());
        assert_eq!(rebuilt.expect("in the blob").bytes, SIZE);
        let made = fs::read(&path).expect("written");
        assert_eq!(made.len() as u64, SIZE);
        let bytes = blob.bytes();
        for (index, segment) in made.chunks(seg_len as usize).enumerate() {
            let mut from = (start + index as u64 * stride) % SIZE;
            let there = (index as u64) < count;
            let right = segment.iter().all(|&byte| {
                let want = if there { bytes[from as usize].wrapping_add(delta) } else { 0 };
                from = (from + 1) % SIZE;
                byte == want
            });
            assert!(right, "segment {index} of {seg_len} bytes at {stride} plus {delta}");
        }
    }
}
