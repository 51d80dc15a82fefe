//! Blueprints by a formula: segments of one length at one stride.

use serde::{Deserialize, Serialize};

use super::pieces::grow;
use crate::formats::error::FormatError;
use crate::formats::json;
use crate::program::{Identity, Piece, Profile, Ref, Transform, Window};
use crate::rebuild::{Head, Parts, Scratch, Source};

const FORMAT: &str = "formula blueprint";
/// Bytes of the windows that a file is rebuilt by.
const WINDOW: u32 = 64 << 10;

/// A file of `count` segments of `seg_len` bytes: segment j is what the blob has from
/// `start_offset + j * stride` on, modulo its size and reading on at its begin, plus `delta`. What `file_size`
/// leaves over is zeros; what is too much is cut.
///
/// `{mode: "formula", blob: {}, segments: {count, seg_len, start_offset, stride, delta}, file_size}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formula {
    mode: Mode,
    blob: Blob,
    segments: Segments,
    /// Bytes of the file.
    pub file_size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Formula,
}

/// All of it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blob {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segments {
    count: u64,
    seg_len: u32,
    start_offset: u64,
    stride: u64,
    delta: u8,
}

impl Formula {
    /// A file of `file_size` bytes: `count` segments of `seg_len` from `start_offset` on at
    /// `stride`, plus `delta`.
    #[must_use]
    pub const fn new(
        file_size: u64,
        count: u64,
        seg_len: u32,
        start_offset: u64,
        stride: u64,
        delta: u8,
    ) -> Self {
        let segments = Segments { count, seg_len, start_offset, stride, delta };
        let blob = Blob { name: None, size: None, seed: None };
        Self { mode: Mode::Formula, blob, segments, file_size }
    }

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are no such document.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        json::read(FORMAT, bytes)
    }

    /// Whether the document tells its blob's size, or needs none.
    #[must_use]
    pub const fn names_blob(&self) -> bool {
        self.blob.size.is_some() || self.segments.count == 0
    }

    /// The document.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        // Strings and numbers: there is nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Windows of the file, with the document's blob, or where it names none, one of `blob` bytes.
    ///
    /// # Errors
    /// When there are segments and they are empty, no size of a blob is known, or it is 0.
    pub fn source(&self, blob: Option<u64>) -> Result<FormulaSource, FormatError> {
        let Segments { count, seg_len, .. } = self.segments;
        let size = self.blob.size.or(blob).unwrap_or_default();
        if count > 0 && (seg_len == 0 || size == 0) {
            let what = "segments.seg_len and blob.size must not be 0: name the blob";
            return Err(json::wrong(FORMAT, what));
        }
        let Blob { name, size: told, seed } = &self.blob;
        let identity = told.map(|size| {
            let name = name.as_deref().unwrap_or_default();
            Identity::new(name, Profile::Prand, size, seed.unwrap_or_default())
        });
        let head =
            Head { size: self.file_size, window_bytes: WINDOW, blob: identity, ..Head::default() };
        Ok(FormulaSource { head, segments: self.segments, blob: size })
    }
}

/// Makes windows of a formula as they are asked for.
#[derive(Clone, Debug)]
pub struct FormulaSource {
    head: Head,
    segments: Segments,
    blob: u64,
}

impl FormulaSource {
    /// Appends what makes `len` bytes of segment `index` from its byte `within` on.
    fn segment(&self, index: u64, within: u64, mut len: u32, window: &mut Window) {
        let Segments { start_offset, stride, delta, .. } = self.segments;
        let transform = match delta {
            0 => Transform::Identity,
            delta => Transform::Add(delta),
        };
        let (start, blob) = (u128::from(start_offset), u128::from(self.blob));
        let at = start + u128::from(index) * u128::from(stride) + u128::from(within);
        let mut offset = (at % blob) as u64;
        while len > 0 {
            let now = u64::from(len).min(self.blob - offset) as u32;
            let piece = Piece::Ref(Ref { offset, len: now, transform });
            if !window.pieces.last_mut().is_some_and(|last| grow(last, &piece)) {
                window.pieces.push(piece);
            }
            len -= now;
            offset = 0;
        }
    }
}

impl Source for FormulaSource {
    fn head(&self) -> &Head {
        &self.head
    }

    fn window<'a>(
        &'a self,
        index: u64,
        scratch: &'a mut Scratch,
    ) -> Result<Parts<'a>, FormatError> {
        let window = &mut scratch.window;
        window.pieces.clear();
        window.raw.clear();
        let seg_len = u64::from(self.segments.seg_len);
        let mut at = index * u64::from(WINDOW);
        let end = at + self.head.window_len(index) as u64;
        while at < end {
            let segment = at.checked_div(seg_len).unwrap_or(u64::MAX);
            if segment >= self.segments.count {
                let zeros = (end - at) as usize;
                window.pieces.push(Piece::Raw(zeros as u32));
                window.raw.resize(zeros, 0);
                break;
            }
            let within = at % seg_len;
            let len = (seg_len - within).min(end - at);
            self.segment(segment, within, len as u32, window);
            at += len;
        }
        Ok(Parts { pieces: &window.pieces, raw: &window.raw })
    }
}
