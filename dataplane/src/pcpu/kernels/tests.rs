//! One property for all kernels: every alignment and length against the oracle.

use super::*;
use crate::pcpu::op::FNV_BASIS;

/// A buffer of pseudo-random bytes with many zeros, which are the counted value in half the runs.
fn noise(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if x.is_multiple_of(5) { 0 } else { (x >> 32) as u8 }
    })
    .take(len)
    .collect()
}

const CANARY: usize = 64;

/// One span at `align` past a 64-byte border, with untouched bytes kept on both sides.
struct Span {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Span {
    fn new(source: &[u8], align: usize) -> Self {
        let bytes = vec![0xa5; source.len() + 2 * CANARY + 128];
        let from = CANARY + (64 - (bytes.as_ptr().addr() + CANARY) % 64) % 64 + align;
        let mut span = Self { bytes, from, len: source.len() };
        span.bytes[from..from + source.len()].copy_from_slice(source);
        span
    }

    fn seg(&mut self, som: bool, eom: bool) -> Seg {
        Seg { ptr: self.bytes[self.from..].as_mut_ptr(), len: self.len as u32, som, eom }
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.from..self.from + self.len]
    }

    fn assert_surroundings(&self) {
        let outside = self.bytes[..self.from].iter().chain(&self.bytes[self.from + self.len..]);
        assert!(outside.copied().all(|byte| byte == 0xa5), "wrote outside the span");
    }
}

/// Every shape there is.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for bits in 0..8u8 {
        for crc in [CrcOf::Nothing, CrcOf::Before, CrcOf::After] {
            let (transform, store, count) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let shape = Shape { transform, store, count, crc };
            let known = (transform || (!store && crc != CrcOf::After))
                && (store || !transform || crc == CrcOf::After);
            if known {
                shapes.push(shape);
            }
        }
    }
    shapes
}

const NO_AHEAD: Ahead<'_> = Ahead { window: &[], distance: 0 };

/// Runs one pass over `source` at `align` and compares everything with the oracle.
fn check_pass(kernels: &Kernels, shape: Shape, source: &[u8], align: usize, eq: u8) {
    let (xor, add) = if shape.transform { (0x5a, 0x31) } else { (0, 0) };
    let mut span = Span::new(source, align);
    let mut state = PassState { xor, add, eq, ..PassState::new() };
    // SAFETY: `Kernels` proves the level; the span is this function's own.
    unsafe { kernels.pass(shape)(&[span.seg(true, true)], NO_AHEAD, &mut state) };
    let after: Vec<u8> = source.iter().map(|byte| (byte ^ xor).wrapping_add(add)).collect();
    let context = format!("{shape:?} len {} align {align} eq {eq}", source.len());
    span.assert_surroundings();
    assert_eq!(span.data(), if shape.store { &after } else { source }, "{context}");
    let count = source.iter().filter(|&&byte| byte == eq).count() as u64;
    assert_eq!(state.count, if shape.count { count } else { 0 }, "{context}");
    let crc = match shape.crc {
        CrcOf::Nothing => 0,
        CrcOf::Before => crc32c::crc32c(source),
        CrcOf::After => crc32c::crc32c(&after),
    };
    assert_eq!(state.crc_sum, u64::from(crc), "{context}");
}

fn pass_property(isa: Isa) {
    let Some(kernels) = Kernels::of(isa) else {
        println!("skipped: no {isa} here");
        return;
    };
    let noise = noise(20_000);
    for shape in shapes() {
        for len in 0..=300 {
            // All alignments for lengths around vector borders, a moving one for the rest.
            let all = len % 64 <= 1 || len % 64 == 63;
            for align in (0..64).filter(|align| all || align % 16 == len % 16) {
                check_pass(&kernels, shape, &noise[len..2 * len], align, (len % 2) as u8 * 7);
            }
        }
        for len in [511, 512, 513, 1023, 1024, 1400, 4095, 4096, 4097, 9000, 16_384, 20_000] {
            for align in [0, 1, 31, 63] {
                check_pass(&kernels, shape, &noise[..len], align, 0);
            }
        }
        // Every number of steps of loops with many.
        for len in (320..10_000).step_by(191) {
            check_pass(&kernels, shape, &noise[..len], len % 64, 0);
        }
        // All bytes hit: counters of one byte must not run over.
        check_pass(&kernels, shape, &[7; 20_000], 5, 7);
        check_pass(&kernels, shape, &[0; 20_000], 5, 0);
    }
}

/// A message cut in two at each place digests as one, over spans and over batches.
fn resume_property(isa: Isa) {
    let Some(kernels) = Kernels::of(isa) else {
        println!("skipped: no {isa} here");
        return;
    };
    let noise = noise(1500);
    let shape = Shape { transform: false, store: false, count: false, crc: CrcOf::Before };
    let fnv = oracle::fnv64(FNV_BASIS, &noise);
    let crc = u64::from(oracle::crc32c(0, &noise));
    for at in (0..=300).chain([511, 513, 1024, 1500]) {
        let (mut a, mut b) = (Span::new(&noise[..at], at % 64), Span::new(&noise[at..], 3));
        let (a, b) = (a.seg(true, false), b.seg(false, true));
        for batches in [vec![vec![a, b]], vec![vec![a], vec![b]]] {
            let mut pass = PassState::new();
            let mut chains = FnvState { basis: FNV_BASIS, open: FNV_BASIS, sum: 0 };
            for segs in &batches {
                // SAFETY: `Kernels` proves the level; the spans are this function's own.
                unsafe {
                    kernels.pass(shape)(segs, NO_AHEAD, &mut pass);
                    kernels.fnv(segs, NO_AHEAD, &mut chains);
                }
            }
            assert_eq!((pass.crc_sum, chains.sum), (crc, fnv), "cut at {at}");
        }
    }
}

/// FNV over batches of every size with lengths of every kind.
fn fnv_property(isa: Isa) {
    let Some(kernels) = Kernels::of(isa) else {
        println!("skipped: no {isa} here");
        return;
    };
    let noise = noise(4000);
    let lens: [fn(usize) -> usize; 6] = [
        |_| 64,
        |i| i,
        |i| 300 - 4 * i,
        |i| (i * 37) % 301,
        |i| (i % 3) * 500,
        |i| (i / 63) * 3000,
    ];
    for n in 1..=64 {
        for len in lens {
            let mut spans: Vec<_> =
                (0..n).map(|i| Span::new(&noise[i..i + len(i)], i % 64)).collect();
            let segs: Vec<_> = spans.iter_mut().map(|span| span.seg(true, true)).collect();
            let mut state = FnvState { basis: 1, open: 1, sum: 0 };
            // SAFETY: `Kernels` proves the level; the spans are this function's own.
            unsafe { kernels.fnv(&segs, NO_AHEAD, &mut state) };
            let expected = (0..n)
                .fold(0u64, |sum, i| sum.wrapping_add(oracle::fnv64(1, &noise[i..i + len(i)])));
            assert_eq!((state.sum, state.open), (expected, 1), "{n} spans");
        }
    }
}

macro_rules! properties {
    ($($name:ident: $isa:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn passes_equal_the_oracle() {
                pass_property($isa);
            }

            #[test]
            fn cut_messages_digest_as_one() {
                resume_property($isa);
            }

            #[test]
            fn interleaved_chains_equal_the_oracle() {
                fnv_property($isa);
            }
        }
    )*};
}

properties! {
    avx512: Isa::Avx512;
    avx2: Isa::Avx2;
    neon: Isa::Neon;
    portable: Isa::Portable;
}

#[test]
fn the_oracles_crc_is_that_of_other_implementations() {
    let noise = noise(5000);
    for len in (0..100).chain([1000, 5000]) {
        let ours = oracle::crc32c(0, &noise[..len]);
        assert_eq!(ours, crc32c::crc32c(&noise[..len]));
        let algorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;
        assert_eq!(u64::from(ours), crc_fast::checksum(algorithm, &noise[..len]));
    }
}
