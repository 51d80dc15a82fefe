//! What a file is made of: windows of references and raw bytes.

/// What is done to a byte on its way from the space into the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transform {
    /// As it is.
    #[default]
    Identity,
    /// Exclusive or with the immediate.
    Xor(u8),
    /// Plus the immediate, modulo 256.
    Add(u8),
}

/// A stretch of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ref {
    /// Address of its first byte.
    pub offset: u64,
    /// Bytes; at least 1.
    pub len: u32,
    /// What is done to them.
    pub transform: Transform,
}

/// A part of a window, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Bytes of the space.
    Ref(Ref),
    /// The next so many of the window's raw bytes; at least 1.
    Raw(u32),
}

impl Piece {
    /// Bytes that it makes.
    #[must_use]
    pub const fn len(&self) -> u32 {
        match self {
            Self::Ref(at) => at.len,
            Self::Raw(len) => *len,
        }
    }

    /// Whether it makes none; such a piece is refused when a program is read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A window of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Its parts; their lengths sum to the window's.
    pub pieces: Vec<Piece>,
    /// What the raw pieces take their bytes from, all of it.
    pub raw: Vec<u8>,
}

impl Window {
    /// Bytes of the file that it makes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.len())).sum()
    }
}

/// What a blob's deterministic part is filled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Pseudo-random words, one block of 1 MiB over and over.
    #[default]
    Prand,
    /// 1,024 tiles of constants, ramps and the like, then as [`Self::Prand`].
    Palette,
    /// Banks of what files often hold.
    Orchard,
}

/// What two ends must have in common to mean the same bytes by the same address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The blob's name.
    pub name: String,
    /// What fills its deterministic part.
    pub profile: Profile,
    /// Version of that profile's layout.
    pub layout: u16,
    /// Bytes of the deterministic part, header included.
    pub size: u64,
    /// What the fill begins with.
    pub seed: u32,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The file's name, without folders.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Bytes of each window but the last, which may be shorter.
    pub window_bytes: u32,
    /// The blob that the references point into.
    pub blob: Identity,
    /// All windows, in order.
    pub windows: Vec<Window>,
}
