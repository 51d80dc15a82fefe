//! Instruction-set levels, found out at run time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A level of vector instructions that a family of kernels is written for.
///
/// A value says which kernels to take, not that the processor has them: [`Isa::is_available`]
/// is asked wherever one is turned into code pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isa {
    /// AVX-512 F, BW, DQ, VL, VBMI with VPCLMULQDQ: 64-byte vectors.
    Avx512,
    /// AVX2 with SSE4.2 and PCLMULQDQ: 32-byte vectors, 16-byte CRC folding.
    Avx2,
    /// AArch64 NEON with PMULL and the CRC extension: 16-byte vectors.
    Neon,
    /// 8 bytes in a general register; runs everywhere.
    Portable,
}

impl Isa {
    /// Every level, fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The fastest level that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Every level that this processor has, fastest first; never empty.
    #[must_use]
    pub fn all_available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this processor can run the level's kernels.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("vpclmulqdq")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("sse4.2")
                    && is_x86_feature_detected!("pclmulqdq")
                    && is_x86_feature_detected!("bmi2")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                std::arch::is_aarch64_feature_detected!("neon")
                    && std::arch::is_aarch64_feature_detected!("aes")
                    && std::arch::is_aarch64_feature_detected!("crc")
            }
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "the levels of other architectures")]
            _ => false,
        }
    }

    /// The level's name in plans and reports: `avx512`, `avx2`, `neon`, `portable`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
