//! What tests share.

/// Pseudo-random numbers from -1 to 1.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(step).take(len).collect()
}
