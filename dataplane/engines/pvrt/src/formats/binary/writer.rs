//! Writes a program in one pass.

use std::io::{self, Write};

use thiserror::Error;

use super::window::{EncodedWindow, WindowEncoder};
use super::{DICTIONARY_MAX, END, MAGIC, RECORD, VERSION, crc};
use crate::program::{Identity, Profile, Program};
use crate::rebuild::{Head, WINDOW_MAX};

/// A program that was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The output refuses.
    #[error("writing the program: {0}")]
    Io(#[from] io::Error),
    /// zstd refuses.
    #[error("compressing raw bytes: {0}")]
    Compress(io::Error),
    /// A window that no program has.
    #[error("the window {0}")]
    Window(&'static str),
    /// A head that no program has.
    #[error("the program's {0}")]
    Head(&'static str),
}

/// Writes windows as they come, in order.
#[derive(Debug)]
pub struct BinaryWriter<W: Write> {
    out: W,
    window_bytes: u32,
    /// Offset of the next byte.
    at: u64,
    /// Bytes of the file so far.
    size: u64,
    /// Offset of each record: 8 bytes a window.
    index: Vec<u8>,
}

impl<W: Write> BinaryWriter<W> {
    /// Writes the head to `out`: `head`'s name, window bytes and blob; its size and SHA-256 follow
    /// at the end. A dictionary, empty for none, is one that zstd's trainer has made.
    ///
    /// # Errors
    /// When `out` refuses, or the head has something out of range.
    pub fn new(mut out: W, head: &Head, dictionary: &[u8]) -> Result<Self, WriteError> {
        let bytes = head_bytes(head, dictionary)?;
        out.write_all(&bytes)?;
        out.write_all(dictionary)?;
        let at = (bytes.len() + dictionary.len()) as u64;
        Ok(Self { out, window_bytes: head.window_bytes, at, size: 0, index: Vec::new() })
    }

    /// Writes the next window.
    ///
    /// # Errors
    /// When `out` refuses, the window is longer than the head says, or one before it was shorter.
    pub fn put(&mut self, window: &EncodedWindow) -> Result<(), WriteError> {
        if window.made == 0 || window.made > self.window_bytes {
            return Err(WriteError::Window("is empty, or longer than the program's windows"));
        }
        if !self.size.is_multiple_of(u64::from(self.window_bytes)) {
            return Err(WriteError::Window("follows one that was shorter than the others"));
        }
        let payload = window.payload();
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        record[4..].copy_from_slice(&crc(payload).to_le_bytes());
        self.out.write_all(&record)?;
        self.out.write_all(payload)?;
        self.index.extend_from_slice(&self.at.to_le_bytes());
        self.at += (RECORD + payload.len()) as u64;
        self.size += u64::from(window.made);
        Ok(())
    }

    /// Writes index and trailer with the file's SHA-256, flushes, and gives the output back.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn finish(mut self, sha256: &[u8; 32]) -> Result<W, WriteError> {
        self.out.write_all(&self.index)?;
        let mut trailer = Vec::with_capacity(super::TRAILER);
        trailer.extend_from_slice(&self.size.to_le_bytes());
        trailer.extend_from_slice(&(self.index.len() as u64 / 8).to_le_bytes());
        trailer.extend_from_slice(&self.at.to_le_bytes());
        trailer.extend_from_slice(sha256);
        trailer.extend_from_slice(&crc(&self.index).to_le_bytes());
        trailer.extend_from_slice(&crc(&trailer).to_le_bytes());
        trailer.extend_from_slice(END);
        self.out.write_all(&trailer)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A whole program, compressed by zstd's `level`.
///
/// # Errors
/// When a window has other bytes than the program says, or a name is too long.
pub(super) fn whole(program: &Program, level: i32) -> Result<Vec<u8>, WriteError> {
    let head = Head {
        file: program.file.clone(),
        window_bytes: program.window_bytes,
        blob: Some(program.blob.clone()),
        ..Head::default()
    };
    let mut encoder = WindowEncoder::new(level, &[]).map_err(WriteError::Compress)?;
    let mut writer = BinaryWriter::new(Vec::new(), &head, &[])?;
    for window in &program.windows {
        writer.put(&encoder.encode(window)?)?;
    }
    if writer.size != program.size {
        return Err(WriteError::Head("size is not that of its windows"));
    }
    writer.finish(&program.sha256)
}

impl Program {
    /// The program in the binary format, raw bytes compressed by zstd's `level` (1 to 22).
    ///
    /// # Errors
    /// When a window has other bytes than the program says, or a name is too long.
    pub fn to_binary(&self, level: i32) -> Result<Vec<u8>, WriteError> {
        whole(self, level)
    }
}

fn head_bytes(head: &Head, dictionary: &[u8]) -> Result<Vec<u8>, WriteError> {
    if head.window_bytes == 0 || head.window_bytes > WINDOW_MAX {
        return Err(WriteError::Head("windows must have 1 byte to 16 MiB"));
    }
    if dictionary.len() > DICTIONARY_MAX as usize {
        return Err(WriteError::Head("dictionary is larger than 1 MiB"));
    }
    let none = Identity::default();
    let blob = head.blob.as_ref().unwrap_or(&none);
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    // The head's length comes here.
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&head.window_bytes.to_le_bytes());
    bytes.extend_from_slice(&blob.size.to_le_bytes());
    bytes.extend_from_slice(&blob.seed.to_le_bytes());
    bytes.extend_from_slice(&blob.layout.to_le_bytes());
    let profile = match blob.profile {
        Profile::Prand => 0,
        Profile::Palette => 1,
        Profile::Orchard => 2,
    };
    bytes.extend_from_slice(&[profile, 0]);
    bytes.extend_from_slice(&(dictionary.len() as u32).to_le_bytes());
    for name in [&head.file, &blob.name] {
        let len = u16::try_from(name.len()).ok().filter(|&len| len <= 4096);
        let len = len.ok_or(WriteError::Head("names may have 4,096 bytes"))?;
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes.extend_from_slice(&crc(dictionary).to_le_bytes());
    let len = (bytes.len() + 4) as u16;
    bytes[10..12].copy_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&crc(&bytes).to_le_bytes());
    Ok(bytes)
}
