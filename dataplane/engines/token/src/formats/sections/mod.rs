//! The container of a v3 file: a checked header, a directory, and typed arrays that can be mapped.
//!
//! All integers are in the byte order of the machine that wrote the file; a mark in the header lets
//! the other kind of machine refuse it. Layout:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `PFSVOCAB` |
//! | 8 | 4 | byte-order mark `0x0A0B0C0D` |
//! | 12 | 4 | version, 3 |
//! | 16 | 8 | length of the file in bytes |
//! | 24 | 4 | number of sections |
//! | 28 | 4 | 0 |
//! | 32 | 32 | BLAKE3 of the whole file, these 32 bytes taken as 0 |
//! | 64 | 32 each | directory: tag (8 ASCII bytes, NUL-padded), offset `u64`, bytes `u64`, element size `u32`, 0 `u32` |
//!
//! Sections follow in the order of the directory, each at a multiple of 64 bytes, gaps filled with
//! zeros, the last one padded to 64 as well.
//!
//! The hash protects from damage, not from malice: whoever can write a file can hash it. So every
//! structure checks its own cells in [`Stored::read`].

mod image;
mod read;
mod write;

pub use image::Residence;
pub use read::SectionReader;
pub use write::SectionWriter;
pub(crate) use write::replace;

use bytemuck::{Pod, Zeroable};

use super::FormatError;

/// Name of the format in messages.
pub(crate) const FORMAT: &str = "v3";
/// First bytes of a v3 file.
pub(crate) const MAGIC: [u8; 8] = *b"PFSVOCAB";
const VERSION: u32 = 3;
const BYTE_ORDER: u32 = 0x0A0B_0C0D;
/// Alignment of header, directory and sections in the file, a cache line.
const ALIGN: usize = 64;
/// No vocabulary comes near; bounds what a hostile directory can ask for.
const MAX_SECTIONS: u32 = 1024;

/// A compiled structure that a v3 file can hold.
///
/// `read` trusts nothing: it returns an error for any content that could make the structure's own
/// methods read out of bounds, loop, or give an id that does not exist.
pub trait Stored: Sized {
    /// Appends the structure's arrays, under tags that no other structure of the file uses.
    fn write(&self, writer: &mut SectionWriter);

    /// Takes the arrays back and checks every cell.
    ///
    /// # Errors
    /// [`FormatError::NoSection`], [`FormatError::Section`] or [`FormatError::Cell`].
    fn read(reader: &mut SectionReader) -> Result<Self, FormatError>;
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    byte_order: u32,
    version: u32,
    file_bytes: u64,
    sections: u32,
    reserved: u32,
    hash: [u8; 32],
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    tag: [u8; 8],
    offset: u64,
    bytes: u64,
    element: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Header>() == 64 && size_of::<Entry>() == 32);

/// The tag as it is stored; `None` unless it is 1 to 8 printable ASCII characters.
fn tag_bytes(tag: &str) -> Option<[u8; 8]> {
    let mut stored = [0; 8];
    let name = tag.as_bytes();
    let printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    stored.get_mut(..name.len()).filter(|_| printable)?.copy_from_slice(name);
    Some(stored)
}

/// The hash that a header over `file` must name.
fn hash_of(file: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let (header, rest) = file.split_at(file.len().min(size_of::<Header>()));
    hasher.update(&header[..header.len().min(32)]);
    hasher.update(&[0; 32]);
    hasher.update(rest);
    hasher.finalize().into()
}

/// Gives a changed file the hash that it must name, as a hostile writer would.
pub(crate) fn rehash(file: &mut [u8]) {
    let hash = hash_of(file);
    if let Some(stored) = file.get_mut(32..64) {
        stored.copy_from_slice(&hash);
    }
}

#[cfg(test)]
mod tests;
