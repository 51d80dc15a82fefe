//! Which records a search may find.

use super::FrameError;
use super::bytes::Bytes;
use crate::indexes::words::Words;

/// Bits of the conditions that a search gives.
const IDS: u16 = 1;
const TIME: u16 = 2;
const WORDS: u16 = 4;
const ANY: u16 = 8;
const BEGINS: u16 = 16;

/// Which records a search may find. All that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// Records with these ids.
    pub ids: Option<Ids<'a>>,
    /// Records whose time lies between these, both of them included, in microseconds since 1970.
    pub time: Option<(u64, u64)>,
    /// Records whose text has these words.
    pub words: Option<WordsOf<'a>>,
}

/// Ids as they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids<'a> {
    /// How many there are.
    pub count: u16,
    /// Each behind its length (2 bytes, little-endian, at least 1), as [`encode_ids`] writes them.
    pub bytes: &'a [u8],
}

/// The words of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordsOf<'a> {
    /// The text, of at most 65,535 bytes.
    pub text: &'a str,
    /// Whether one of them is enough.
    pub any: bool,
    /// Whether records are meant that have words which begin so.
    pub begins: bool,
}

/// Writes ids as a search has them to the end of `out`; how many, or `None` when there are more than 65,535, or one is
/// empty or longer.
pub fn encode_ids<'a>(ids: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) -> Option<u16> {
    let mut count = 0_u16;
    for id in ids {
        let len = u16::try_from(id.len()).ok().filter(|len| *len > 0)?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(id);
        count = count.checked_add(1)?;
    }
    Some(count)
}

impl<'a> Ids<'a> {
    /// The ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Bytes(self.bytes);
        std::iter::from_fn(move || {
            let len = rest.u16()?;
            rest.take(len.into())
        })
    }

    /// Takes `count` ids from the front of `body`.
    fn take(body: &mut Bytes<'a>) -> Result<Self, FrameError> {
        let count = body.u16().ok_or(SHORT)?;
        let all = body.0;
        for _ in 0..count {
            let len = body.u16().ok_or(SHORT)?;
            if len == 0 {
                return Err(FrameError::Id);
            }
            body.take(len.into()).ok_or(SHORT)?;
        }
        Ok(Self { count, bytes: &all[..all.len() - body.0.len()] })
    }
}

impl WordsOf<'_> {
    /// What a collection is asked for.
    #[must_use]
    pub fn words(&self) -> Words {
        let words = if self.any { Words::any_of(self.text) } else { Words::all_of(self.text) };
        if self.begins { words.beginnings() } else { words }
    }
}

const SHORT: FrameError = FrameError::OperationShort;

impl<'a> Conditions<'a> {
    /// Which there are, as a search says before them.
    pub(super) fn bits(&self) -> u16 {
        let words = self.words.map_or(0, |words| {
            WORDS | if words.any { ANY } else { 0 } | if words.begins { BEGINS } else { 0 }
        });
        words | self.ids.map_or(0, |_| IDS) | self.time.map_or(0, |_| TIME)
    }

    /// Takes those that `bits` say are there from the front of `body`.
    pub(super) fn read(bits: u16, body: &mut Bytes<'a>) -> Result<Self, FrameError> {
        let has = |bit: u16| bits & bit != 0;
        if bits & !(IDS | TIME | WORDS | ANY | BEGINS) != 0 || has(ANY | BEGINS) && !has(WORDS) {
            return Err(FrameError::Reserved);
        }
        let mut conditions = Self::default();
        if has(IDS) {
            conditions.ids = Some(Ids::take(body)?);
        }
        if has(TIME) {
            let (from, until) = (body.u64().ok_or(SHORT)?, body.u64().ok_or(SHORT)?);
            if from > until {
                return Err(FrameError::Number);
            }
            conditions.time = Some((from, until));
        }
        if has(WORDS) {
            let len = body.u16().ok_or(SHORT)?;
            let text = body.take(len.into()).ok_or(SHORT)?;
            let text = std::str::from_utf8(text).map_err(|_| FrameError::Text)?;
            conditions.words = Some(WordsOf { text, any: has(ANY), begins: has(BEGINS) });
        }
        Ok(conditions)
    }

    /// Writes those that there are to the end of `out`; `None` when one is too long.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        if let Some(Ids { count, bytes }) = self.ids {
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(bytes);
        }
        if let Some((from, until)) = self.time {
            out.extend_from_slice(&from.to_le_bytes());
            out.extend_from_slice(&until.to_le_bytes());
        }
        if let Some(WordsOf { text, .. }) = self.words {
            out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Some(())
    }
}
