use proptest::prelude::*;

use super::lanes::Isa;
use super::*;

/// Bytes that never repeat.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The chunks as the module says they are, byte by byte.
fn naive(bytes: &[u8], sizes: ChunkSizes) -> Vec<Range<usize>> {
    let (strict, loose) = sizes.thresholds();
    let mut hash = 0_u32;
    let (mut chunks, mut start) = (Vec::new(), 0);
    for (at, byte) in bytes.iter().enumerate() {
        hash = scan::step(hash, *byte);
        let len = at + 1 - start;
        let limit = if len < sizes.average { strict } else { loose };
        if len == sizes.max || (len >= sizes.min && hash.cast_signed() > limit) {
            chunks.push(start..at + 1);
            start = at + 1;
        }
    }
    if start < bytes.len() {
        chunks.push(start..bytes.len());
    }
    chunks
}

fn isas() -> Vec<Isa> {
    let widest = Isa::widest();
    let mut isas = vec![Isa::Plain];
    #[cfg(target_arch = "x86_64")]
    if widest != Isa::Plain {
        isas.push(Isa::Avx2);
    }
    if !isas.contains(&widest) {
        isas.push(widest);
    }
    isas
}

#[test]
fn every_instruction_set_finds_the_same_places() {
    let mut bytes = noise(300_000, 1);
    bytes[100_000..130_000].fill(b'a');
    for isa in isas() {
        for segment in [64, 192, 1088] {
            for from in [0, 1, 31, 32, 777, 100_010] {
                let to = from + segment * isa.lanes();
                let (mut want, mut got) = (Vec::new(), Vec::new());
                scan::plain(&bytes, from..to, i32::MAX - (1 << 22), &mut want);
                isa.scan(&bytes, from, segment, i32::MAX - (1 << 22), &mut got);
                got.sort_unstable();
                assert_eq!(got, want, "{isa:?} {segment} {from}");
            }
        }
    }
}

#[test]
fn a_run_of_one_byte_is_never_cut() {
    let sizes = ChunkSizes::new(64, 256, 1024).expect("in order");
    for byte in 0..=255 {
        let run = vec![byte; 100_000];
        let lens: Vec<_> = Chunks::new(&run, sizes).map(|chunk| chunk.len()).collect();
        // The first few bytes have less before them than the others.
        assert!(lens[1..lens.len() - 1].iter().all(|len| *len == 1024), "{byte}");
    }
}

#[test]
fn chunks_have_their_average_length() {
    let bytes = noise(32 << 20, 2);
    let sizes = ChunkSizes::default();
    let lens: Vec<_> = Chunks::new(&bytes, sizes).map(|chunk| chunk.len()).collect();
    let mean = bytes.len() / lens.len();
    assert!((sizes.average()..sizes.average() * 5 / 4).contains(&mean), "{mean}");
    let at_most = lens.iter().filter(|len| **len == sizes.max()).count();
    assert!(at_most * 1000 < lens.len(), "{at_most} of {} are cut by length", lens.len());
}

#[test]
fn bytes_put_before_move_chunks_and_change_few() {
    let bytes = noise(4 << 20, 3);
    let digests = |bytes: &[u8]| -> std::collections::HashSet<_> {
        Chunks::new(bytes, ChunkSizes::default()).map(|chunk| blake3::hash(&bytes[chunk])).collect()
    };
    let old = digests(&bytes);
    for at in [0, 1, 1_000_000] {
        let mut moved = bytes.clone();
        moved.splice(at..at, *b"some bytes more");
        let new = digests(&moved);
        assert!(new.difference(&old).count() <= 4, "{at}");
    }
}

/// Cuts are part of the format: another version cuts here too.
#[test]
fn cuts_are_known() {
    let bytes = noise(200_000, 4);
    let cuts: Vec<_> = Chunks::new(&bytes, ChunkSizes::default()).map(|chunk| chunk.end).collect();
    assert_eq!(cuts, [25_788, 56_845, 75_994, 95_457, 123_415, 148_753, 182_193, 200_000]);
}

#[test]
fn lengths_out_of_order_are_refused() {
    for (min, average, max) in [
        (63, 256, 512),
        (64, 255, 512),
        (512, 256, 1024),
        (64, 512, 256),
        (64, 256, (16 << 20) + 1),
    ] {
        assert_eq!(ChunkSizes::new(min, average, max), Err(BadSizes { min, average, max }));
    }
}

/// Gives its bytes in uneven pieces.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 70_001 + 977;
        let len = self.1.min(into.len()).min(self.0.len());
        let (now, later) = self.0.split_at(len);
        into[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

fn streamed(bytes: &[u8], sizes: ChunkSizes) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    stream(&mut Pieces(bytes, 0), sizes, |chunk| -> io::Result<()> {
        chunks.push(chunk.to_vec());
        Ok(())
    })
    .expect("memory is readable");
    chunks
}

#[test]
fn a_long_stream_is_cut_as_the_whole() {
    let mut bytes = noise(5 << 20, 5);
    bytes[1 << 20..3 << 20].fill(0);
    let sizes = ChunkSizes::default();
    let whole: Vec<_> =
        naive(&bytes, sizes).into_iter().map(|chunk| bytes[chunk].to_vec()).collect();
    assert!(streamed(&bytes, sizes) == whole);
}

proptest! {
    #[test]
    fn chunks_are_those_of_the_definition(
        len in 0_usize..120_000, seed in 0_u64..1000, min in 64_usize..2000, more in 0_usize..4000,
        most in 0_usize..20_000, run in 0_usize..60_000,
    ) {
        let average = (min + more).max(256);
        let sizes = ChunkSizes::new(min, average, average + most).expect("in order");
        let mut bytes = noise(len, seed);
        let from = run.min(len);
        bytes[from..(from + run).min(len)].fill(seed as u8);
        let want = naive(&bytes, sizes);
        prop_assert_eq!(Chunks::new(&bytes, sizes).collect::<Vec<_>>(), want.clone());
        let want: Vec<_> = want.into_iter().map(|chunk| bytes[chunk].to_vec()).collect();
        prop_assert!(streamed(&bytes, sizes) == want);
    }
}
