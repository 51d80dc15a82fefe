//! How a component is stored.

/// What a component is stored as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floating point: exact.
    #[default]
    F32,
    /// The upper half of a 32-bit floating point: 8 bits of precision.
    Bf16,
    /// 8-bit integers with one 32-bit scale a vector.
    I8,
}

impl Element {
    /// Bytes of one component.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::I8 => 1,
        }
    }
}

/// `value` rounded to the nearest bfloat16, to even when two are as near. A NaN stays one.
#[must_use]
#[inline]
pub fn bf16_of(value: f32) -> u16 {
    let bits = value.to_bits();
    // Without a branch, so that many are rounded at once; of a NaN the sum may wrap, unused.
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    (if value.is_nan() { bits >> 16 | 0x40 } else { rounded }) as u16
}

/// The number that a bfloat16 stands for.
#[must_use]
#[inline]
pub fn f32_of_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_nearer_than_the_rounded(value in -1e30_f32..1e30) {
            let half = bf16_of(value);
            let off = |half: u16| (f64::from(f32_of_bf16(half)) - f64::from(value)).abs();
            prop_assert!(off(half) <= off(half.wrapping_add(1)));
            prop_assert!(off(half) <= off(half.wrapping_sub(1)) || half & 0x7fff == 0);
        }

        #[test]
        fn halves_come_back(half: u16) {
            let back = bf16_of(f32_of_bf16(half));
            prop_assert!(back == half || f32_of_bf16(half).is_nan() && f32_of_bf16(back).is_nan());
        }
    }
}
