//! Eight bytes in a general register.

use super::crc;
use super::pass::{self, PassState, select};
use super::simd::Simd;
use super::{Ahead, Kernels, fnv};
use crate::pcpu::batch::Seg;

/// The kernels of this level.
pub(super) const KERNELS: Kernels = Kernels { pass: select, fnv: fnv::run };

select!(run, run);

/// # Safety
/// As [`pass::PassFn`].
unsafe fn run<const XF: bool, const ST: bool, const CT: bool, const CRC: u8>(
    segs: &[Seg],
    ahead: Ahead<'_>,
    state: &mut PassState,
) {
    // SAFETY: no feature is needed; the spans are the caller's.
    unsafe { pass::run::<Word, XF, ST, CT, CRC>(segs, ahead, state) }
}

/// A 64-bit word as eight bytes.
#[derive(Clone, Copy)]
struct Word;

const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = !LOW7;

impl Simd for Word {
    type V = u64;
    const BYTES: usize = 8;
    const FOLD: bool = false;

    #[inline(always)]
    unsafe fn splat(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    #[inline(always)]
    unsafe fn load(ptr: *const u8) -> u64 {
        // SAFETY: eight bytes by the contract.
        u64::from_le(unsafe { ptr.cast::<u64>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(ptr: *mut u8, v: u64) {
        // SAFETY: eight bytes by the contract.
        unsafe { ptr.cast::<u64>().write_unaligned(v.to_le()) }
    }
    #[inline(always)]
    unsafe fn xor(a: u64, b: u64) -> u64 {
        a ^ b
    }
    #[inline(always)]
    unsafe fn add(a: u64, b: u64) -> u64 {
        ((a & LOW7) + (b & LOW7)) ^ ((a ^ b) & HIGH)
    }
    #[inline(always)]
    unsafe fn count_eq(acc: u64, v: u64, imm: u64) -> u64 {
        let differ = v ^ imm;
        // The top bit of each byte: set unless all eight bits of `differ` are 0.
        let nonzero = ((differ & LOW7) + LOW7) | differ;
        acc + ((!nonzero & HIGH) >> 7)
    }
    #[inline(always)]
    unsafe fn widen(total: u64, acc: u64) -> u64 {
        const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
        let pairs = (acc & EVEN) + ((acc >> 8) & EVEN);
        total + (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48)
    }
    #[inline(always)]
    unsafe fn total(total: u64) -> u64 {
        total
    }
    #[inline(always)]
    unsafe fn seed(crc: u32) -> u64 {
        u64::from(crc)
    }
    #[inline(always)]
    unsafe fn multiplier(_: usize) -> u64 {
        0
    }
    #[inline(always)]
    unsafe fn fold(_: u64, _: u64, next: u64) -> u64 {
        next
    }
    #[inline(always)]
    unsafe fn reduce(_: u64) -> u32 {
        0
    }
    #[inline(always)]
    unsafe fn crc_word(crc: u32, word: u64) -> u32 {
        crc::table_word(crc, u64::from_le(word))
    }
    #[inline(always)]
    unsafe fn crc_byte(crc: u32, byte: u8) -> u32 {
        crc::table_byte(crc, byte)
    }
}
