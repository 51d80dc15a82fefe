//! Brings files of one end to another that has older ones, in few bytes.
//!
//! # How
//!
//! ```text
//! sender                                             receiver
//! Offer   3 bytes of digest a file               ─►
//!                                                ◄─  Wants   which differ, which have a base
//! Sizes   of those, chunks of those without base ─►
//!                                                ◄─  Claims  which chunks it has
//! Round   hashes of blocks, few bits each        ─►
//!                                                ◄─  Claims  which blocks it has           (×12)
//! Batch   what is unknown, zstd with what is known as its prefix, a batch at a time
//! End     digest over all                        ─►
//!                                                ◄─  Done, or Again with what came out wrong
//! ```
//!
//! Each round halves or quarters the blocks. A gap's first block is looked for only where the
//! known bytes before it go on, its last block likewise, so a few bits suffice; blocks between
//! are looked for near both ends (Suel, Noel and Trendafilov 2004 call these continuation and
//! local hashes). Claims are confirmed in groups one round later, and revoked when they fail.
//! All hashes are keyed with the session's key, so that nobody can prepare files that collide;
//! at the end every extent and the whole tree are checked by keyed BLAKE3.
//!
//! Nothing here does input or output but through [`Tree`] and [`Sink`]; messages are byte strings
//! for the transfer to carry, complete and in order.
//!
//! When the sender has the receiver's older file too ([`Sender::with_bases`]), no round is needed
//! for it: the older file itself is the prefix, as in `zstd --patch-from`.

mod batch;
mod bits;
mod cover;
mod hash;
mod old;
mod pair;
mod receiver;
mod search;
mod sender;
#[cfg(test)]
mod tests;
mod trials;

use std::borrow::Cow;
use std::io;

use thiserror::Error;

pub use hash::EXTENT;
pub use pair::bases;
pub use receiver::{Receiver, Reply};
pub use sender::{Sender, Spent};

/// Files by number.
pub trait Tree {
    /// How many there are.
    fn count(&self) -> usize;

    /// All bytes of one, best a memory map's. Number `file` is below [`Self::count`].
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read(&self, file: usize) -> io::Result<Cow<'_, [u8]>>;
}

/// Where the receiver's files are made.
pub trait Sink {
    /// Takes bytes of new file `file`, which is in the end `size` bytes long, from `offset` on.
    /// Called for a file's bytes in order, but for those that come a second time because they
    /// came out wrong. An empty file is one call with no bytes.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn write(&mut self, file: usize, size: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes the news that new file `file` is what old file `old` is.
    ///
    /// # Errors
    /// When that cannot be kept.
    fn same(&mut self, file: usize, old: usize) -> io::Result<()>;
}

impl<T: AsRef<[u8]>> Tree for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn read(&self, file: usize) -> io::Result<Cow<'_, [u8]>> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        self.get(file).map(|file| Cow::Borrowed(file.as_ref())).ok_or_else(missing)
    }
}

/// Why a sync cannot go on.
#[derive(Debug, Error)]
pub enum SyncError {
    /// A file could not be read or written.
    #[error(
        "while syncing, a file could not be read or written: {0}; nothing was changed in place"
    )]
    Io(#[from] io::Error),
    /// A message ends before it should.
    #[error("a sync message ends too early: the other side speaks another version, or is hostile")]
    Truncated,
    /// Bytes after a message's end.
    #[error("a sync message has {0} bytes too many: the other side speaks another version")]
    Trailing(usize),
    /// A number beyond its range.
    #[error("a number in a sync message is out of range: the other side is broken or hostile")]
    Number,
    /// A message that has no place now.
    #[error(
        "a sync message of kind {0:#04x} has no place here: both sides must run the same version"
    )]
    Kind(u8),
    /// Files and digests do not agree in number.
    #[error("the offer names {offered} files, the manifest has {listed}")]
    Count {
        /// Digests in the offer.
        offered: usize,
        /// What the caller has.
        listed: usize,
    },
    /// Compressed bytes that do not decompress to what they should.
    #[error("compressed bytes of a sync are damaged: {0}")]
    Compressed(String),
    /// A file came out wrong twice.
    #[error(
        "file {0} comes out wrong again: it changes while it is sent; send it again when it rests"
    )]
    Restless(usize),
    /// The whole tree's digest differs though every file's agrees.
    #[error(
        "the files agree one by one but not together (a chance of one in millions): sync again, with a new key"
    )]
    Doubt,
}

impl PartialEq for SyncError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// First bytes of messages.
mod tag {
    pub(super) const OFFER: u8 = 0x01;
    pub(super) const WANTS: u8 = 0x02;
    pub(super) const SIZES: u8 = 0x03;
    pub(super) const CLAIMS: u8 = 0x04;
    pub(super) const ROUND: u8 = 0x05;
    pub(super) const BATCH: u8 = 0x06;
    pub(super) const END: u8 = 0x07;
    pub(super) const DONE: u8 = 0x08;
    pub(super) const AGAIN: u8 = 0x09;
}
