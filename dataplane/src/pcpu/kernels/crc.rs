//! CRC-32C: polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4), register form.
//!
//! A register starts as `!0` and its complement is the CRC. In the reflected form, bit 31 of a
//! 32-bit value is the coefficient of x^0 and multiplication by x is a shift to the right.

/// The polynomial, reflected, without its leading term.
const POLY: u32 = 0x82f6_3b78;

/// Start value of the register.
pub(in crate::pcpu) const INIT: u32 = !0;

/// `value * x` modulo the polynomial, reflected.
const fn times_x(value: u32) -> u32 {
    (value >> 1) ^ if value & 1 != 0 { POLY } else { 0 }
}

/// `a * b` modulo the polynomial, reflected.
const fn times(mut a: u32, b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        if b >> bit & 1 != 0 {
            product ^= a;
        }
        a = times_x(a);
    }
    product
}

/// `x^n` modulo the polynomial, reflected.
const fn x_pow(mut n: usize) -> u32 {
    let (mut value, mut square) = (1u32 << 31, 1u32 << 30);
    while n > 0 {
        if n & 1 != 0 {
            value = times(value, square);
        }
        square = times(square, square);
        n >>= 1;
    }
    value
}

/// Multipliers that move a 128-bit lane `distance` bytes (16 or more) ahead: for its low half,
/// which holds the earlier bytes, and its high half.
///
/// The carry-less product of a reflected 64-bit and a reflected 32-bit value stands for their
/// product times x^33, hence the exponents D + 64 - 33 and D - 33 for a distance of D bits.
/// See Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", 2009.
pub(super) const fn multipliers(distance: usize) -> [u64; 2] {
    let bits = distance * 8;
    [x_pow(bits + 31) as u64, x_pow(bits - 33) as u64]
}

/// Longest distance in [`MULTIPLIERS`], in lanes of 16 bytes.
const FAR: usize = 36;

/// Multipliers by distance in lanes; the first entry, for no distance, is unused.
static MULTIPLIERS: [[u64; 2]; FAR + 1] = {
    let mut all = [[0; 2]; FAR + 1];
    let mut lanes = 1;
    while lanes <= FAR {
        all[lanes] = multipliers(lanes * 16);
        lanes += 1;
    }
    all
};

/// Multipliers for `distance` bytes: a multiple of 16 up to 576.
#[inline(always)]
pub(super) fn multiplier(distance: usize) -> &'static [u64; 2] {
    &MULTIPLIERS[distance / 16]
}

/// Multipliers that move the first three of four lanes onto the fourth, whose own are 0.
#[cfg(target_arch = "x86_64")]
pub(super) static GATHER: [u64; 8] = {
    let (a, b, c) = (multipliers(48), multipliers(32), multipliers(16));
    [a[0], a[1], b[0], b[1], c[0], c[1], 0, 0]
};

/// Most steps in a row of [`STREAMS`] streams; see [`shifts`].
#[cfg(target_arch = "x86_64")]
pub(super) const MAX_STEPS: usize = 8;

/// Streams of CRC words side by side: the instruction takes three cycles and one can begin in
/// each.
#[cfg(target_arch = "x86_64")]
pub(super) const STREAMS: usize = 3;

/// Multipliers by number of steps for streams of `step` bytes a step: entry `i` moves a 32-bit
/// register `i + 1` streams ahead.
///
/// The product of two reflected 32-bit values, as a 64-bit word, stands for their product times
/// x, and taking that word into a zero register multiplies by x^32: hence the exponent less 33.
#[cfg(target_arch = "x86_64")]
pub(super) const fn shifts(step: usize) -> [[u64; STREAMS]; MAX_STEPS + 1] {
    let mut all = [[0; STREAMS]; MAX_STEPS + 1];
    let mut steps = 1;
    while steps <= MAX_STEPS {
        let mut i = 0;
        while i < STREAMS {
            all[steps][i] = x_pow(steps * step * 8 * (i + 1) - 33) as u64;
            i += 1;
        }
        steps += 1;
    }
    all
}

/// Tables for eight bytes at a time: `TABLES[k][b]` advances byte `b` by `k` further bytes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = times_x(crc);
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[k - 1][byte];
            tables[k][byte] = (crc >> 8) ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// Register advanced by one byte, by table.
#[inline(always)]
pub(super) fn table_byte(crc: u32, byte: u8) -> u32 {
    (crc >> 8) ^ TABLES[0][((crc ^ u32::from(byte)) & 0xff) as usize]
}

/// Register advanced by eight bytes, by table ("slicing by 8").
#[inline(always)]
pub(super) fn table_word(crc: u32, word: u64) -> u32 {
    let bytes = (word ^ u64::from(crc)).to_le_bytes();
    let mut next = 0;
    for (i, byte) in bytes.into_iter().enumerate() {
        next ^= TABLES[7 - i][usize::from(byte)];
    }
    next
}
