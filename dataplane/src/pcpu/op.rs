//! The instruction set, version 1: what a program may consist of.

use std::fmt;

use crate::ops::EngineOp;

/// Offset basis of standard FNV-1a 64 (draft-eastlake-fnv).
pub const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
/// The basis that PacketFS uses: the standard one in decimal without its last digit.
pub const FNV_BASIS_PACKETFS: u64 = 1_469_598_103_934_665_603;

/// Which value a chain of FNV-1a steps starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Basis {
    /// [`FNV_BASIS`].
    #[default]
    Standard,
    /// [`FNV_BASIS_PACKETFS`].
    Packetfs,
}

impl Basis {
    /// The 64-bit start value.
    #[must_use]
    pub const fn value(self) -> u64 {
        match self {
            Self::Standard => FNV_BASIS,
            Self::Packetfs => FNV_BASIS_PACKETFS,
        }
    }
}

/// What a digest is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One digest per message, folded by wrapping sum: independent of order, batching and lanes.
    #[default]
    Message,
    /// One digest over all of a lane's bytes in order. Does not merge across lanes.
    Chain,
}

/// One operation on payload bytes. Immediates are whole bytes, 0–255.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// FNV-1a 64 digest.
    Fnv64(Basis, Scope),
    /// CRC-32C (Castagnoli) digest.
    Crc32c(Scope),
    /// `byte ^ imm`, in place.
    Xor(u8),
    /// `byte + imm` modulo 256, in place.
    Add(u8),
    /// Number of bytes equal to the immediate.
    CountEq(u8),
    /// Number of bytes of each of the 256 values.
    Hist8,
    /// Number of bytes.
    Len,
    /// Work of an engine, which is made at start and keeps its own state.
    Engine(EngineOp),
}

/// One line of the op list: how an op is written and what it gives.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// Name before the colon.
    pub name: &'static str,
    /// What may follow: empty, or the accepted arguments.
    pub args: &'static str,
    /// What it does and where the result goes.
    pub what: &'static str,
}

/// Every op of the instruction set; error messages and help come from here.
pub const OPS: [OpInfo; 12] = [
    OpInfo {
        name: "fnv64",
        args: "[:chain|:packetfs|:packetfs-chain]",
        what: "FNV-1a 64 per message, summed into the next of R0..R3",
    },
    OpInfo {
        name: "crc32c",
        args: "[:chain]",
        what: "CRC-32C per message, summed into the next of R0..R3",
    },
    OpInfo { name: "xor", args: ":imm8", what: "xor every byte in place" },
    OpInfo { name: "add", args: ":imm8", what: "add to every byte in place, modulo 256" },
    OpInfo { name: "counteq", args: ":imm8", what: "count of equal bytes into the next of R0..R3" },
    OpInfo { name: "hist8", args: "", what: "256-bin histogram of byte values" },
    OpInfo { name: "len", args: "", what: "count of bytes into the next of R0..R3" },
    crate::ops::TOKEN,
    crate::ops::KV,
    crate::ops::PVRT,
    crate::ops::CST,
    crate::ops::VEC,
];

impl Op {
    /// Whether it changes payload bytes.
    #[must_use]
    pub const fn is_transform(&self) -> bool {
        matches!(self, Self::Xor(_) | Self::Add(_))
    }

    /// Whether its result depends on the value of payload bytes (`len` looks at none).
    #[must_use]
    pub const fn reads_bytes(&self) -> bool {
        !self.is_transform() && !matches!(self, Self::Len)
    }

    /// How many of R0..R3 its results go into.
    #[must_use]
    pub const fn accumulators(&self) -> usize {
        match self {
            Self::Xor(_) | Self::Add(_) | Self::Hist8 => 0,
            Self::Engine(op) => op.results().len(),
            _ => 1,
        }
    }

    /// What its accumulators hold, the first one first: the op as it is written, with the
    /// result's name behind it where an op has several.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        match self {
            Self::Engine(op) => op.results().iter().map(|name| format!("{op} {name}")).collect(),
            _ if self.accumulators() == 0 => Vec::new(),
            _ => vec![self.to_string()],
        }
    }

    /// Whether its results of several lanes add up to the result of one.
    #[must_use]
    pub const fn merges(&self) -> bool {
        !matches!(self, Self::Fnv64(_, Scope::Chain) | Self::Crc32c(Scope::Chain))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fnv64(basis, scope) => f.write_str(match (basis, scope) {
                (Basis::Standard, Scope::Message) => "fnv64",
                (Basis::Standard, Scope::Chain) => "fnv64:chain",
                (Basis::Packetfs, Scope::Message) => "fnv64:packetfs",
                (Basis::Packetfs, Scope::Chain) => "fnv64:packetfs-chain",
            }),
            Self::Crc32c(Scope::Message) => f.write_str("crc32c"),
            Self::Crc32c(Scope::Chain) => f.write_str("crc32c:chain"),
            Self::Xor(imm) => write!(f, "xor:{imm}"),
            Self::Add(imm) => write!(f, "add:{imm}"),
            Self::CountEq(imm) => write!(f, "counteq:{imm}"),
            Self::Hist8 => f.write_str("hist8"),
            Self::Len => f.write_str("len"),
            Self::Engine(op) => op.fmt(f),
        }
    }
}
