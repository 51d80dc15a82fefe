//! What whole files are rebuilt from: programs, in whatever form they are kept.

use zstd::bulk::Decompressor;

use crate::formats::FormatError;
use crate::program::{Identity, Piece, Program, Window};

/// Longest window of a file, in bytes: what one reader of a program allocates at a time.
pub const WINDOW_MAX: u32 = 16 << 20;

/// What is known of a file before its windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The file's name, without folders; empty when not known.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file, where the program tells it.
    pub sha256: Option<[u8; 32]>,
    /// Bytes of each window but the last; 1 to [`WINDOW_MAX`].
    pub window_bytes: u32,
    /// The blob that references point into, where the program tells it.
    pub blob: Option<Identity>,
}

impl Head {
    /// Number of windows.
    #[must_use]
    pub fn windows(&self) -> u64 {
        self.size.div_ceil(u64::from(self.window_bytes.max(1)))
    }

    /// Bytes of window `index`; 0 when there is no such window.
    #[must_use]
    pub fn window_len(&self, index: u64) -> usize {
        let bytes = u64::from(self.window_bytes);
        let from = index.checked_mul(bytes).map_or(self.size, |from| from.min(self.size));
        (self.size - from).min(bytes) as usize
    }
}

/// A window as it is read: borrowed from the program or from the reader's [`Scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// As in [`Window`].
    pub pieces: &'a [Piece],
    /// As in [`Window`].
    pub raw: &'a [u8],
}

/// One reader's memory, used again for each window.
#[derive(Default)]
pub struct Scratch {
    /// The window last read, where it does not lie in the program.
    pub window: Window,
    /// Keeps its tables from one window to the next, and whose dictionary they are of.
    pub(crate) zstd: Option<(u64, Decompressor<'static>)>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("window", &self.window).finish_non_exhaustive()
    }
}

/// Windows in any order, to any number of readers at once.
pub trait Source: Sync {
    /// What is known of the file.
    fn head(&self) -> &Head;

    /// Window `index`, below [`Head::windows`].
    ///
    /// # Errors
    /// When the program is damaged there.
    fn window<'a>(&'a self, index: u64, scratch: &'a mut Scratch)
    -> Result<Parts<'a>, FormatError>;
}

/// A program in memory.
#[derive(Clone, Debug)]
pub struct Held<'p> {
    head: Head,
    windows: &'p [Window],
}

impl<'p> Held<'p> {
    /// Reads from `program`. Windows that it lacks are as empty ones.
    #[must_use]
    pub fn new(program: &'p Program) -> Self {
        let head = Head {
            file: program.file.clone(),
            size: program.size,
            sha256: Some(program.sha256),
            window_bytes: program.window_bytes,
            blob: Some(program.blob.clone()),
        };
        Self::with_head(head, &program.windows)
    }

    /// Reads `windows`, of which `head` speaks.
    #[must_use]
    pub const fn with_head(head: Head, windows: &'p [Window]) -> Self {
        Self { head, windows }
    }

    /// Window `index`, an empty one where there is none.
    pub(crate) fn parts(windows: &[Window], index: u64) -> Parts<'_> {
        let window = usize::try_from(index).ok().and_then(|index| windows.get(index));
        window.map_or(Parts { pieces: &[], raw: &[] }, |window| Parts {
            pieces: &window.pieces,
            raw: &window.raw,
        })
    }
}

impl Source for Held<'_> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn window<'a>(&'a self, index: u64, _: &'a mut Scratch) -> Result<Parts<'a>, FormatError> {
        Ok(Self::parts(self.windows, index))
    }
}
