//! Which bytes of a file a space already has.
//!
//! # How
//!
//! ```text
//! window ─► anchors (gear hash over differences) ─► index ─► verified, extended both ways ─┐
//!        ─► on from the window before, ramps     ─────────────────────────────────────────►│
//!                      gaps: runs on the neighbours' course, or on the section's          ─►│
//!                                                     cheapest of the passes by bytes ◄────┘
//! ```
//!
//! Everything that is found is compared byte by byte before it becomes a reference. A window
//! whose bytes are all found, or none, is not compressed to judge it; one between is, by zstd at
//! its quickest, once for each pass.

mod cost;
mod dictionary;
mod extend;
mod gear;
mod index;
mod passes;
mod sections;
mod stream;

use std::ops::Range;

use index::{Index, Match};
use passes::Course;

pub use cost::pieces as piece_bytes;
pub use dictionary::dictionary;
pub use sections::Sections;
pub use stream::PlanError;

use crate::program::{Piece, Ref, Window};
use crate::space::Space;

/// What a planner is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a window; 1 to 16 MiB.
    pub window_bytes: u32,
    /// Addresses of deterministic content: there also bytes with a constant added are looked for.
    pub banks: Range<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window_bytes: 1 << 16, banks: 0..0 }
    }
}

/// What came of a file's windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of the file.
    pub bytes: u64,
    /// Of them, made by references as they are, and how many references.
    pub identity: (u64, u64),
    /// By references with a constant xored.
    pub xor: (u64, u64),
    /// By references with a constant added.
    pub add: (u64, u64),
    /// Raw.
    pub raw: u64,
    /// Windows.
    pub windows: u64,
}

impl Tally {
    /// Adds a window's.
    pub fn count(&mut self, window: &Window) {
        use crate::program::Transform;
        self.windows += 1;
        for piece in &window.pieces {
            let len = u64::from(piece.len());
            self.bytes += len;
            let counted = match piece {
                Piece::Raw(_) => {
                    self.raw += len;
                    continue;
                }
                Piece::Ref(at) => match at.transform {
                    Transform::Identity => &mut self.identity,
                    Transform::Xor(_) => &mut self.xor,
                    Transform::Add(_) => &mut self.add,
                },
            };
            counted.0 += len;
            counted.1 += 1;
        }
    }
}

/// Plans files against one space. Holds an index of 0.4 bytes for each of a space below 32 MiB, 0.2
/// below 256 MiB, 0.1 of a larger one.
#[derive(Debug)]
pub struct Planner<'a> {
    index: Index<'a>,
    sections: Sections,
    settings: Settings,
}

/// The state of one who plans windows in order: what the window before ended with.
pub struct Lane<'p, 'a> {
    planner: &'p Planner<'a>,
    zstd: zstd::bulk::Compressor<'static>,
    anchors: Vec<gear::Anchor>,
    /// Where the next window's begin would lie if the last match went on.
    course: Option<Course>,
    /// Where the last reference ended.
    end: u64,
}

impl std::fmt::Debug for Lane<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("course", &self.course).finish_non_exhaustive()
    }
}

impl<'a> Planner<'a> {
    /// Indexes all of `space`.
    #[must_use]
    pub fn new(space: &Space<'a>, settings: Settings) -> Self {
        let index = Index::new(space, settings.banks.clone());
        Self { index, sections: Sections::default(), settings }
    }

    /// Knows the sections of the file that is planned next.
    #[must_use]
    pub fn with_sections(mut self, sections: Sections) -> Self {
        self.sections = sections;
        self
    }

    /// Bytes that the index takes.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    /// One who plans windows that follow each other.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn lane(&self) -> Result<Lane<'_, 'a>, PlanError> {
        let zstd = zstd::bulk::Compressor::new(1).map_err(PlanError::Compressor)?;
        Ok(Lane { planner: self, zstd, anchors: Vec::new(), course: None, end: 0 })
    }

    /// Plans one window by itself.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn plan_window(&self, bytes: &[u8]) -> Result<Window, PlanError> {
        Ok(self.lane()?.plan(bytes, 0))
    }
}

impl Lane<'_, '_> {
    /// Plans the window of `bytes`, which begins at byte `offset` of its file. When the lane's
    /// last window was the one before, its last match goes on.
    pub fn plan(&mut self, bytes: &[u8], offset: u64) -> Window {
        let index = &self.planner.index;
        let matches = passes::anchored(index, bytes, self.course, &mut self.anchors);
        let sections = &self.planner.sections;
        let covered: usize = matches.iter().map(|found| found.len).sum();
        let alone = matches.is_empty() && sections.is_empty();
        let window = if covered == bytes.len() || alone {
            window(bytes, &matches)
        } else {
            let courses = |at: usize| sections.courses(offset, offset + at as u64);
            let filled = passes::filled(index, bytes, &matches, courses);
            let passes = [window(bytes, &[]), window(bytes, &matches), window(bytes, &filled)];
            let zstd = &mut self.zstd;
            let judged = passes.into_iter().map(|pass| (cost::window(&pass, self.end, zstd), pass));
            judged.min_by_key(|(bytes, _)| *bytes).map(|(_, pass)| pass).unwrap_or_default()
        };
        self.course = matches.last().map(|last| {
            let course = Course::of(last);
            Course { at: course.at.wrapping_add(bytes.len() as u64), ..course }
        });
        self.end = cost::pieces(&window.pieces, self.end).1;
        window
    }
}

/// The window that matches make of `bytes`: neighbours that go on are one.
fn window(bytes: &[u8], matches: &[Match]) -> Window {
    let mut window = Window::default();
    let mut from = 0;
    let raw = |window: &mut Window, part: &[u8]| {
        if !part.is_empty() {
            window.pieces.push(Piece::Raw(part.len() as u32));
            window.raw.extend_from_slice(part);
        }
    };
    for found in matches {
        raw(&mut window, &bytes[from..found.from]);
        from = found.end();
        let len = found.len as u32;
        if let Some(Piece::Ref(last)) = window.pieces.last_mut()
            && last.transform == found.transform
            && last.offset + u64::from(last.len) == found.at
        {
            last.len += len;
            continue;
        }
        let at = Ref { offset: found.at, len, transform: found.transform };
        window.pieces.push(Piece::Ref(at));
    }
    raw(&mut window, &bytes[from..]);
    window
}

#[cfg(test)]
mod tests;
