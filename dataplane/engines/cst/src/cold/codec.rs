//! zstd with the dictionary of a grammar, in frames without their magic number.

use std::fmt;
use std::sync::{Arc, OnceLock};

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::CParameter;

use super::error::ColdError;
use crate::languages::Grammar;

/// What zstd's frames start with; left out of blocks.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Dictionaries are trained for either way of keeping positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Positions {
    /// In the block.
    Stored,
    /// Guessed from the source, which readers must give; wrong guesses are in the block.
    Guessed,
}

impl Positions {
    /// Both ways, in the order of a grammar's dictionaries.
    pub const ALL: [Self; 2] = [Self::Stored, Self::Guessed];

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// The dictionary for `grammar`, empty where none is shipped.
pub(crate) fn dictionary(grammar: &Grammar, positions: Positions) -> &[u8] {
    grammar.trained().map_or(&[], |trained| trained.dictionary(positions.index()))
}

/// What a file knows a dictionary by, and what was trained with it; 0 for none.
fn dictionary_id(grammar: &Grammar, dictionary: &[u8]) -> u64 {
    let Some(trained) = grammar.trained().filter(|_| !dictionary.is_empty()) else { return 0 };
    let mut habits = Vec::new();
    trained.habits().write(&mut habits);
    let mut hasher = blake3::Hasher::new();
    let hash = hasher.update(dictionary).update(&habits).finalize();
    hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first).max(1))
}

/// A grammar's dictionaries as zstd reads them, made when first asked for and shared by all files.
#[derive(Default)]
pub(crate) struct Decoders([OnceLock<Decoder>; Positions::ALL.len()]);

/// A dictionary, and what files know it by.
pub(crate) struct Decoder {
    pub(crate) id: u64,
    pub(crate) dictionary: DecoderDictionary<'static>,
}

impl fmt::Debug for Decoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Decoders").field(&self.0.each_ref().map(|it| it.get().is_some())).finish()
    }
}

/// What reads the blocks of `grammar`'s trees.
pub(crate) fn decoder(grammar: &Grammar, positions: Positions) -> Result<&Decoder, ColdError> {
    let cell = &grammar.decoders().0[positions.index()];
    if let Some(decoder) = cell.get() {
        return Ok(decoder);
    }
    let bytes = dictionary(grammar, positions);
    let fail = |source| ColdError::Zstd { doing: "prepare a dictionary", source };
    let dictionary = DecoderDictionary::try_copy(bytes).map_err(fail)?;
    Ok(cell.get_or_init(|| Decoder { id: dictionary_id(grammar, bytes), dictionary }))
}

/// Compresses the blocks of one grammar's trees.
pub(crate) struct Packer {
    inner: Compressor<'static>,
    out: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(crate) fn new(dictionary: &[u8], level: i32) -> Result<Self, ColdError> {
        let fail = |source| ColdError::Zstd { doing: "prepare compression", source };
        let mut inner = Compressor::with_dictionary(level, dictionary).map_err(fail)?;
        inner.set_parameter(CParameter::DictIdFlag(false)).map_err(fail)?;
        inner.set_parameter(CParameter::ChecksumFlag(false)).map_err(fail)?;
        Ok(Self { inner, out: Vec::new() })
    }

    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Result<&[u8], ColdError> {
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        let fail = |source| ColdError::Zstd { doing: "compress a block", source };
        self.inner.compress_to_buffer(bytes, &mut self.out).map_err(fail)?;
        Ok(&self.out[MAGIC.len()..])
    }
}

/// Decompresses blocks; keeps its memory from one to the next.
pub(crate) struct Unpacker<'d> {
    inner: Decompressor<'d>,
    frame: Vec<u8>,
    out: Vec<u8>,
}

impl fmt::Debug for Unpacker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl<'d> Unpacker<'d> {
    pub(crate) fn new(dictionary: &'d DecoderDictionary<'static>) -> Result<Self, ColdError> {
        let fail = |source| ColdError::Zstd { doing: "prepare decompression", source };
        let inner = Decompressor::with_prepared_dictionary(dictionary).map_err(fail)?;
        Ok(Self { inner, frame: Vec::new(), out: Vec::new() })
    }

    /// The bytes of a block, `most` at most.
    pub(crate) fn unpack(&mut self, block: &[u8], most: usize) -> Result<&[u8], ColdError> {
        self.frame.clear();
        self.frame.extend(MAGIC);
        self.frame.extend(block);
        self.out.clear();
        self.out.reserve(most);
        let fail = |source| ColdError::Zstd { doing: "decompress a block", source };
        self.inner.decompress_to_buffer(&self.frame, &mut self.out).map_err(fail)?;
        Ok(&self.out)
    }
}

/// A grammar by its handle, as readers and writers hold it.
pub(crate) type Shared = Arc<Grammar>;
