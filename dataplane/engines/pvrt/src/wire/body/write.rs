//! Writes bodies.

use thiserror::Error;
use zstd::zstd_safe::{CCtx, CDict};

use super::{ADD, Check, DICTIONARY, RAW, REF, STORED, XOR, ZSTD};
use crate::program::{Piece, Transform, Window};
use crate::wire::varint;

/// A window that has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// A piece makes no bytes, or together they make too many.
    #[error("a window of {0} bytes, or with an empty piece, has no body")]
    Length(u64),
    /// The raw pieces take more or fewer bytes than there are.
    #[error("the raw pieces take {taken} bytes of {have}")]
    Raw {
        /// By the pieces.
        taken: u64,
        /// There are.
        have: usize,
    },
}

/// Makes bodies; keeps what compression needs between them.
pub struct BodyWriter {
    context: CCtx<'static>,
    level: i32,
    dictionary: Option<(u8, CDict<'static>)>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dictionary = self.dictionary.as_ref().map(|(number, _)| *number);
        f.debug_struct("BodyWriter")
            .field("level", &self.level)
            .field("dictionary", &dictionary)
            .finish_non_exhaustive()
    }
}

impl BodyWriter {
    /// Raw bytes fewer than these are stored: packing gains nothing.
    const WORTH: usize = 48;

    /// A writer that packs raw bytes at zstd's `level`; at 0 it stores them.
    #[must_use]
    pub fn new(level: i32) -> Self {
        Self { context: CCtx::create(), level, dictionary: None, packed: Vec::new() }
    }

    /// The same with a dictionary, which the receiver has under `number`.
    #[must_use]
    pub fn with_dictionary(mut self, number: u8, dictionary: &[u8]) -> Self {
        self.dictionary = Some((number, CDict::create(dictionary, self.level)));
        self
    }

    /// Appends the body of `window`, whose bytes have the check `check`; its first reference is
    /// written relative to `from`: the transfer's anchor plus the window's begin in the file.
    ///
    /// # Errors
    /// When the window's pieces and raw bytes do not agree; nothing is appended.
    pub fn write(
        &mut self,
        window: &Window,
        from: u64,
        check: Check,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let bytes = window.bytes();
        if bytes > u64::from(u32::MAX) || window.pieces.iter().any(Piece::is_empty) {
            return Err(WriteError::Length(bytes));
        }
        let raw = window.pieces.iter().filter(|piece| matches!(piece, Piece::Raw(_)));
        let taken: u64 = raw.map(|piece| u64::from(piece.len())).sum();
        if taken != window.raw.len() as u64 {
            return Err(WriteError::Raw { taken, have: window.raw.len() });
        }
        let coding = self.pack(&window.raw);
        varint::put((window.pieces.len() as u64) << 2 | coding, out);
        if let (DICTIONARY, Some((number, _))) = (coding, &self.dictionary) {
            out.push(*number);
        }
        put_pieces(&window.pieces, from, out);
        out.extend_from_slice(if coding == STORED { &window.raw } else { &self.packed });
        out.extend_from_slice(&check.to_le_bytes());
        Ok(())
    }

    /// Packs `raw`, if that is worth it; says how.
    fn pack(&mut self, raw: &[u8]) -> u64 {
        if self.level == 0 || raw.len() < Self::WORTH {
            return STORED;
        }
        // What would not be smaller does not fit.
        self.packed.clear();
        self.packed.reserve(raw.len());
        let (packed, coding) = match &self.dictionary {
            Some((_, dictionary)) => {
                let packed = self.context.compress_using_cdict(&mut self.packed, raw, dictionary);
                (packed, DICTIONARY)
            }
            None => (self.context.compress(&mut self.packed, raw, self.level), ZSTD),
        };
        if packed.is_ok_and(|packed| packed + 1 < raw.len()) { coding } else { STORED }
    }
}

fn put_pieces(pieces: &[Piece], from: u64, out: &mut Vec<u8>) {
    let mut at = from;
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        let len = if last { 0 } else { u64::from(piece.len()) << 2 };
        let Piece::Ref(piece) = piece else {
            varint::put(len | RAW, out);
            continue;
        };
        match piece.transform {
            Transform::Identity => varint::put(len | REF, out),
            Transform::Xor(imm) => {
                varint::put(len | XOR, out);
                out.push(imm);
            }
            Transform::Add(imm) => {
                varint::put(len | ADD, out);
                out.push(imm);
            }
        }
        varint::put(varint::zigzag(piece.offset.wrapping_sub(at) as i64), out);
        at = piece.offset.wrapping_add(u64::from(piece.len));
    }
}
