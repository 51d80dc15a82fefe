//! A window of a program in a container, and back.

use super::{Bref, Container};
use crate::formats::error::FormatError;
use crate::program::{Piece, Ref, Window};
use crate::rebuild::RebuildError;
use crate::space::Space;

/// What a container says about its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// References, which win over raw bytes.
    Refs(&'a [Bref]),
    /// All bytes of the window.
    Raw(&'a [u8]),
    /// Neither.
    Nothing,
}

impl<'a> Container<'a> {
    /// What the original's reader would take.
    #[must_use]
    pub fn resolved(&self) -> Resolved<'_> {
        match self.raw {
            _ if !self.brefs.is_empty() => Resolved::Refs(&self.brefs),
            Some(raw) => Resolved::Raw(raw),
            None => Resolved::Nothing,
        }
    }

    /// The window, with a blob of `blob` bytes.
    ///
    /// # Errors
    /// When a reference means nothing, or is not in the blob; the error's place is the number of
    /// the reference.
    pub fn window(&self, blob: u64) -> Result<Window, FormatError> {
        match self.resolved() {
            Resolved::Refs(brefs) => {
                let pieces = pieces(brefs, blob)?;
                Ok(Window { pieces, raw: Vec::new() })
            }
            Resolved::Raw(raw) if !raw.is_empty() => {
                Ok(Window { pieces: vec![Piece::Raw(raw.len() as u32)], raw: raw.to_vec() })
            }
            _ => Ok(Window::default()),
        }
    }
}

/// `brefs` as pieces; an error's place is the number of the reference.
pub(in crate::formats) fn pieces(brefs: &[Bref], blob: u64) -> Result<Vec<Piece>, FormatError> {
    let mut refs: Vec<Ref> = Vec::with_capacity(brefs.len());
    for (at, bref) in brefs.iter().enumerate() {
        let broken = |fault| FormatError::new("reference number", at as u64, fault);
        bref.resolve(blob, &mut refs).map_err(broken)?;
    }
    Ok(refs.into_iter().map(Piece::Ref).collect())
}

/// A window as references alone, where all its pieces are such and can be written so.
pub(in crate::formats) fn brefs(window: &Window) -> Option<Vec<Bref>> {
    let bref = |piece: &Piece| match *piece {
        Piece::Ref(at) => Bref::try_from(at).ok(),
        Piece::Raw(_) => None,
    };
    window.pieces.iter().map(bref).collect()
}

impl Window {
    /// The window in a container: its references where it has nothing else and all can be written,
    /// otherwise its bytes, which are made of `space`. A container cannot hold both.
    ///
    /// # Errors
    /// When the bytes are needed and `space` does not have them.
    pub fn to_pox1(&self, space: &Space<'_>) -> Result<Vec<u8>, RebuildError> {
        let mut raw = Vec::new();
        let brefs = match brefs(self).filter(|brefs| !brefs.is_empty()) {
            Some(brefs) => brefs,
            None => {
                raw = vec![0; self.bytes() as usize];
                crate::rebuild::window(space, &self.pieces, &self.raw, &mut raw)?;
                Vec::new()
            }
        };
        let container = Container { raw: Some(&raw), proto: None, brefs };
        let too_long = RebuildError::Length { made: self.bytes(), want: u32::MAX as usize };
        container.write().map_err(|_| too_long)
    }
}
