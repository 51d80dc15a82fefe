//! Any program, by what is in it.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::binary::BinaryReader;
use super::blueprint::{self, Blueprint, Formula, FormulaSource, MissingRaw, Packed};
use super::error::FormatError;
use super::iprog::Iprog;
use super::pox1::Container;
use crate::program::{Piece, Window};
use crate::rebuild::{Head, Held, Parts, Scratch, Source, WINDOW_MAX};

/// Bytes of the windows that files are rebuilt by where the format has none.
const WINDOW: u32 = 64 << 10;

/// Formats of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`super::binary`].
    Binary,
    /// [`super::iprog`].
    Iprog,
    /// [`Blueprint`].
    Blueprint,
    /// [`Formula`].
    Formula,
    /// [`Packed`], PBB1 or PBB2.
    Packed,
    /// [`super::pox1`], a file of one window.
    Pox1,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary program",
            Self::Iprog => "IPROG",
            Self::Blueprint => "blueprint",
            Self::Formula => "formula blueprint",
            Self::Packed => "packed blueprint",
            Self::Pox1 => "POX1 container",
        })
    }
}

/// A program that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It begins as none of the formats does.
    #[error("this is no program: neither a binary one, nor IPROG, a blueprint, PBB1, PBB2 or POX1")]
    Unknown,
    /// It is damaged.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It lacks bytes of the file.
    #[error(transparent)]
    Raw(#[from] MissingRaw),
    /// It refers to a blob whose size nobody has told.
    #[error("the {0} does not tell its blob's size, and none is given: name the blob")]
    NoBlob(Format),
    /// A file of one window that is longer than windows may be.
    #[error("the container makes {0} bytes, one window may have {WINDOW_MAX}")]
    Long(u64),
}

/// A program, opened.
#[derive(Clone, Debug)]
pub struct Opened<'a> {
    format: Format,
    kind: Kind<'a>,
}

#[derive(Clone, Debug)]
enum Kind<'a> {
    Binary(BinaryReader<'a>),
    Formula(FormulaSource),
    Held(Head, Vec<Window>),
}

/// What tells documents in JSON apart.
#[derive(Debug, Deserialize)]
struct Probe {
    #[serde(default, rename = "type")]
    kind: Option<IgnoredAny>,
    #[serde(default)]
    mode: Option<IgnoredAny>,
    #[serde(default)]
    plan_version: Option<IgnoredAny>,
}

impl Format {
    /// The format that `bytes` are of, by their begin; of JSON by the names of its fields.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if BinaryReader::is(bytes) {
            return Some(Self::Binary);
        }
        if Packed::is(bytes) {
            return Some(Self::Packed);
        }
        if Container::is(bytes) {
            return Some(Self::Pox1);
        }
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return None;
        }
        let probe: Probe = serde_json::from_slice(bytes).ok()?;
        match probe {
            Probe { kind: Some(_), .. } => Some(Self::Iprog),
            Probe { plan_version: Some(_), .. } => Some(Self::Blueprint),
            Probe { mode: Some(_), .. } => Some(Self::Formula),
            _ => None,
        }
    }
}

impl<'a> Opened<'a> {
    /// Opens `bytes`, of any [`Format`]; `blob` is the size of the blob at hand.
    ///
    /// # Errors
    /// When it is no program, is damaged, or lacks what it would need.
    pub fn open(bytes: &'a [u8], blob: Option<u64>) -> Result<Self, OpenError> {
        let format = Format::of(bytes).ok_or(OpenError::Unknown)?;
        let kind = match format {
            Format::Binary => Kind::Binary(BinaryReader::open(bytes)?),
            Format::Iprog => {
                let iprog = Iprog::read(bytes)?;
                let windows = iprog.program()?.windows;
                Kind::Held(iprog.head, windows)
            }
            Format::Blueprint => {
                let blueprint = Blueprint::read(bytes)?;
                let name = blueprint.file.rsplit('/').next().unwrap_or_default().to_owned();
                segments(&blueprint.pieces, &[], None, name)?
            }
            Format::Packed => {
                let Packed { pieces, sha256, raw } = Packed::read(bytes)?;
                segments(&pieces, &raw.unwrap_or_default(), sha256, String::new())?
            }
            Format::Formula => {
                let formula = Formula::read(bytes)?;
                if blob.is_none() && !formula.names_blob() {
                    return Err(OpenError::NoBlob(format));
                }
                Kind::Formula(formula.source(blob)?)
            }
            Format::Pox1 => container(&Container::read(bytes)?, blob)?,
        };
        Ok(Self { format, kind })
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }
}

impl Source for Opened<'_> {
    fn head(&self) -> &Head {
        match &self.kind {
            Kind::Binary(reader) => reader.head(),
            Kind::Formula(source) => source.head(),
            Kind::Held(head, _) => head,
        }
    }

    fn window<'s>(
        &'s self,
        index: u64,
        scratch: &'s mut Scratch,
    ) -> Result<Parts<'s>, FormatError> {
        match &self.kind {
            Kind::Binary(reader) => reader.window(index, scratch),
            Kind::Formula(source) => source.window(index, scratch),
            Kind::Held(_, windows) => Ok(Held::parts(windows, index)),
        }
    }
}

/// A list of segments, cut into windows.
fn segments<'a>(
    pieces: &[Piece],
    raw: &[u8],
    sha256: Option<[u8; 32]>,
    file: String,
) -> Result<Kind<'a>, OpenError> {
    let windows = blueprint::windows(pieces, WINDOW, raw)?;
    let size = pieces.iter().map(|piece| u64::from(piece.len())).sum();
    let head = Head { file, size, sha256, window_bytes: WINDOW, blob: None };
    Ok(Kind::Held(head, windows))
}

/// A file of one window.
fn container<'a>(container: &Container<'_>, blob: Option<u64>) -> Result<Kind<'a>, OpenError> {
    if blob.is_none() && !container.brefs.is_empty() {
        return Err(OpenError::NoBlob(Format::Pox1));
    }
    let window = container.window(blob.unwrap_or_default())?;
    let size = window.bytes();
    let window_bytes = u32::try_from(size).ok().filter(|&bytes| bytes <= WINDOW_MAX);
    let window_bytes = window_bytes.ok_or(OpenError::Long(size))?.max(1);
    let head = Head { size, window_bytes, ..Head::default() };
    Ok(Kind::Held(head, vec![window]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::small;
    use crate::space::Space;

    const BLOB: u64 = 4096;

    fn blob() -> Vec<u8> {
        (0..BLOB).map(|at| (at * 7) as u8).collect()
    }

    /// The file that a program is of.
    fn file(source: &impl Source) -> Vec<u8> {
        let (blob, mut scratch, mut out) = (blob(), Scratch::default(), Vec::new());
        for index in 0..source.head().windows() {
            let mut bytes = vec![0; source.head().window_len(index)];
            let Parts { pieces, raw } = source.window(index, &mut scratch).expect("whole");
            crate::rebuild::window(&Space::blob(&blob), pieces, raw, &mut bytes).expect("inside");
            out.extend(bytes);
        }
        out
    }

    #[test]
    fn every_format_is_known_by_its_content() {
        let program = small();
        let want = file(&Held::new(&program));
        let blob = blob();
        let (pieces, raw) = blueprint::join(&program.windows);
        let iprog = Iprog::of(&program, &Space::blob(&blob)).expect("inside").write();
        let packed = Packed { pieces, sha256: None, raw: Some(raw) };
        let pox1 = {
            let whole = Window { pieces: packed.pieces.clone(), raw: b"hello".to_vec() };
            whole.to_pox1(&Space::blob(&blob)).expect("inside")
        };
        for (format, bytes) in [
            (Format::Binary, program.to_binary(3).expect("consistent")),
            (Format::Iprog, [b" \n".to_vec(), iprog.expect("complete")].concat()),
            (Format::Packed, packed.write()),
            (Format::Pox1, pox1),
        ] {
            let opened = Opened::open(&bytes, Some(BLOB)).expect("whole");
            assert_eq!(opened.format(), format);
            assert_eq!(file(&opened), want, "{format}");
            assert!(Opened::open(&bytes[..bytes.len() - 1], Some(BLOB)).is_err(), "{format}");
        }
        let formula = Formula::new(18, 9, 2, 1, 5, 3).write();
        let opened = Opened::open(&formula, Some(BLOB)).expect("whole");
        assert_eq!((opened.format(), file(&opened).len()), (Format::Formula, 18));
        assert!(matches!(Opened::open(&formula, None), Err(OpenError::NoBlob(Format::Formula))));
    }

    #[test]
    fn what_cannot_be_rebuilt_says_why() {
        let pieces = small().windows.remove(0).pieces;
        let blueprint = Blueprint { pieces, ..Blueprint::default() }.write();
        let missing = MissingRaw { need: 5, have: 0 };
        let refused = Opened::open(&blueprint, None).expect_err("raw bytes are missing");
        assert_eq!(refused, OpenError::Raw(missing));
        for bytes in [b"".as_slice(), b"PK\x03\x04", b"{}", b"[]", b"{\"type\""] {
            assert_eq!(Opened::open(bytes, None).expect_err("no program"), OpenError::Unknown);
        }
        let refs = small().windows.remove(1);
        let bytes = refs.to_pox1(&Space::blob(&blob())).expect("inside");
        let refused = Opened::open(&bytes, None).expect_err("no blob");
        assert_eq!(refused, OpenError::NoBlob(Format::Pox1));
    }
}
