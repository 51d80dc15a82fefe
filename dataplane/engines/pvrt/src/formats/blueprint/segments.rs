//! Blueprints as JSON lists of segments.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pieces::raw_bytes;
use crate::formats::error::FormatError;
use crate::formats::json;
use crate::program::{Piece, Ref, Transform};

const FORMAT: &str = "blueprint";
const VERSION: &str = "1.0.0";

/// A file as segments: `{plan_version: "1.0.0", file, win, segments: [{mode: id | xor | add | raw,
/// offset | null, len, imm8?}, …], raw_spill_bytes, hints_used}`.
///
/// Bytes of raw segments are not in it: whoever rebuilds the file has to have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blueprint {
    /// Path of the file that it was made of.
    pub file: String,
    /// Bytes of the planner's windows.
    pub win: u32,
    /// Segments, in order.
    pub pieces: Vec<Piece>,
    /// What the planner says about hints, which is not ours to judge.
    pub hints_used: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    plan_version: String,
    file: String,
    win: u32,
    segments: Vec<Segment>,
    raw_spill_bytes: u64,
    #[serde(default)]
    hints_used: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Segment {
    mode: Mode,
    offset: Option<u64>,
    len: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    imm8: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Id,
    Xor,
    Add,
    Raw,
}

impl Blueprint {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are no such document, a segment lacks what its mode needs or has what it does not,
    /// or `raw_spill_bytes` is not the sum of the raw segments.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let document: Document = json::read(FORMAT, bytes)?;
        if document.plan_version != VERSION {
            let what = format!("plan_version {:?} is not known", document.plan_version);
            return Err(json::wrong(FORMAT, what));
        }
        let segments = document.segments.iter().enumerate();
        let pieces = segments.map(|(at, segment)| {
            let wrong =
                || json::wrong(FORMAT, format!("segments[{at}]: {segment:?} means nothing"));
            segment.piece().ok_or_else(wrong)
        });
        let pieces: Vec<Piece> = pieces.collect::<Result<_, _>>()?;
        let (raw, told) = (raw_bytes(&pieces), document.raw_spill_bytes);
        if raw != told {
            let what = format!("raw_spill_bytes is {told}, the raw segments have {raw}");
            return Err(json::wrong(FORMAT, what));
        }
        let Document { file, win, hints_used, .. } = document;
        Ok(Self { file, win, pieces, hints_used })
    }

    /// The document.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let document = Document {
            plan_version: VERSION.to_owned(),
            file: self.file.clone(),
            win: self.win,
            segments: self.pieces.iter().map(Segment::of).collect(),
            raw_spill_bytes: raw_bytes(&self.pieces),
            hints_used: self.hints_used.clone(),
        };
        // Strings and numbers: there is nothing that could fail.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

impl Segment {
    fn of(piece: &Piece) -> Self {
        let len = piece.len();
        let (mode, offset, imm8) = match piece {
            Piece::Raw(_) => (Mode::Raw, None, None),
            Piece::Ref(at) => match at.transform {
                Transform::Identity => (Mode::Id, Some(at.offset), None),
                Transform::Xor(imm) => (Mode::Xor, Some(at.offset), Some(imm)),
                Transform::Add(imm) => (Mode::Add, Some(at.offset), Some(imm)),
            },
        };
        Self { mode, offset, len, imm8 }
    }

    fn piece(&self) -> Option<Piece> {
        let len = Some(self.len).filter(|&len| len > 0)?;
        let transform = match (self.mode, self.imm8) {
            (Mode::Raw, None) => return self.offset.is_none().then_some(Piece::Raw(len)),
            (Mode::Id, None) => Transform::Identity,
            (Mode::Xor, Some(imm)) => Transform::Xor(imm),
            (Mode::Add, Some(imm)) => Transform::Add(imm),
            _ => return None,
        };
        Some(Piece::Ref(Ref { offset: self.offset?, len, transform }))
    }
}
