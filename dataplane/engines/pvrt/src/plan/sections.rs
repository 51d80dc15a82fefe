//! Which section of an older ELF file a new one's section most likely comes from.

use object::{Object, ObjectSection};

use super::passes::Course;
use crate::program::Transform;
use crate::space::Space;

/// A new section and an old one of the same name: where their begins and their ends lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    from: u64,
    to: u64,
    old_from: u64,
    old_to: u64,
}

/// Sections of a new file that older files have too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections(Vec<Section>);

fn named(bytes: &[u8]) -> Vec<(String, u64, u64)> {
    let Ok(file) = object::File::parse(bytes) else { return Vec::new() };
    let sections = file.sections().filter_map(|section| {
        let (from, len) = section.file_range()?;
        let inside = from.checked_add(len).is_some_and(|end| end <= bytes.len() as u64);
        (inside && len > 0).then_some((section.name().ok()?.to_owned(), from, len))
    });
    sections.collect()
}

impl Sections {
    /// Of `file`, when it is an ELF file, against every older ELF file that is a segment of
    /// `space`; none when it is not. A malformed file has the sections that can be read.
    #[must_use]
    pub fn of(file: &[u8], space: &Space<'_>) -> Self {
        let new = if file.starts_with(b"\x7fELF") { named(file) } else { Vec::new() };
        if new.is_empty() {
            return Self::default();
        }
        let old = space.segments().iter().filter(|(_, bytes)| bytes.starts_with(b"\x7fELF"));
        let old: Vec<_> = old
            .flat_map(|&(base, bytes)| {
                named(bytes).into_iter().map(move |(name, from, len)| (name, base + from, len))
            })
            .collect();
        let pair = |(name, from, len): &(String, u64, u64)| {
            let same = old.iter().filter(|other| other.0 == *name);
            let (_, old_from, old_len) = same.min_by_key(|other| other.2.abs_diff(*len))?;
            let (to, old_to) = (from + len, old_from + old_len);
            Some(Section { from: *from, to, old_from: *old_from, old_to })
        };
        let mut sections: Vec<_> = new.iter().filter_map(pair).collect();
        sections.sort_unstable_by_key(|section| section.from);
        Self(sections)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Courses for byte `at` of a file, relative to `window`, the file's byte that a window
    /// begins with: the section's begin on the old one's, and its end on the old one's end.
    pub(super) fn courses(&self, window: u64, at: u64) -> [Option<Course>; 2] {
        let section = self.0.iter().rev().find(|section| (section.from..section.to).contains(&at));
        let course = |new: u64, old: u64| Course {
            at: old.wrapping_sub(new).wrapping_add(window),
            transform: Transform::Identity,
        };
        section.map_or([None; 2], |section| {
            [Some(course(section.from, section.old_from)), Some(course(section.to, section.old_to))]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_its_own_sections() {
        let path = std::env::current_exe().expect("running");
        let file = std::fs::read(path).expect("readable");
        let mut space = Space::default();
        space.add(Space::BESIDE, &file).expect("free");
        let sections = Sections::of(&file, &space);
        assert!(!sections.is_empty());
        for section in &sections.0 {
            assert_eq!(section.old_from, Space::BESIDE + section.from);
            let [begin, end] = sections.courses(section.from, section.from);
            assert!(begin.is_some() && begin == end);
        }
        assert_eq!(sections.courses(0, u64::MAX), [None; 2]);
    }

    #[test]
    fn what_is_no_elf_has_none() {
        assert!(Sections::of(b"#!/bin/sh", &Space::blob(b"\x7fELF")).is_empty());
        assert!(Sections::of(b"\x7fELF\x02\x01\x01", &Space::blob(b"\x7fELF")).is_empty());
    }
}
