//! Finds the blocks of a round in the old files.

use std::io;
use std::ops::Range;

use super::cover::{Kind, Level, Span, Test};
use super::hash::{Roller, mix};
use super::old::{Old, Reader};
use super::pair::Pair;

/// A block that was found: which test, where, and its whole hash.
pub(super) type Found = (usize, u64, u64);

/// Where known bytes end or begin in an old file.
#[derive(Clone, Debug)]
struct Anchor {
    at: u64,
    file: Range<u64>,
}

/// Looks in the old files for blocks whose hashes begin as `wanted` do.
#[derive(Debug)]
pub(super) struct Search<'o, 'a> {
    pub(super) old: &'o Old<'a>,
    pub(super) roller: &'o Roller,
    pub(super) level: Level,
}

/// Middles of one gap, and the best place of each so far.
struct Middles {
    /// Hash and test, in order of the hash.
    wanted: Vec<(u64, usize)>,
    mask: u64,
    /// One bit for each low half of a wanted hash.
    filter: Vec<u64>,
    /// Distance from where it was expected, and the find.
    best: Vec<Option<(u64, Found)>>,
}

const FILTER_BITS: u64 = 1 << 14;

impl Middles {
    fn new(tests: &[Test], wanted: &[u64], first: usize) -> Self {
        let all = tests.iter().zip(wanted).enumerate();
        let middles = all.filter(|(_, (test, _))| test.kind == Kind::Middle);
        let mut bits = 0;
        let mut wanted: Vec<_> = middles
            .map(|(n, (test, hash))| {
                bits = test.bits;
                (*hash, first + n)
            })
            .collect();
        wanted.sort_unstable();
        let mut filter = vec![0; if wanted.is_empty() { 0 } else { FILTER_BITS as usize / 64 }];
        for (hash, _) in &wanted {
            let bit = hash % FILTER_BITS;
            filter[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        let best = vec![None; tests.len()];
        Self { wanted, mask: (1 << bits) - 1, filter, best }
    }

    #[inline]
    fn note(&mut self, hash: u64, at: u64, first: usize, expected: impl Fn(usize) -> u64) {
        let bit = hash & self.mask & (FILTER_BITS - 1);
        if self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 0 {
            return;
        }
        let hash_low = hash & self.mask;
        let from = self.wanted.partition_point(|(wanted, _)| *wanted < hash_low);
        for &(_, test) in self.wanted[from..].iter().take_while(|(wanted, _)| *wanted == hash_low) {
            let distance = at.abs_diff(expected(test));
            let best = &mut self.best[test - first];
            if best.is_none_or(|(least, _)| distance < least) {
                *best = Some((distance, (test, at, hash)));
            }
        }
    }
}

impl Search<'_, '_> {
    /// All that are found, in order of the tests.
    pub(super) fn run(
        &self,
        pair: &Pair,
        tests: &[Test],
        wanted: &[u64],
    ) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut reader = Reader::new(self.old);
        let mut first = 0;
        for gap in tests.chunk_by(|a, b| a.span == b.span) {
            let hashes = &wanted[first..first + gap.len()];
            self.gap(pair, gap, hashes, first, &mut reader, &mut found)?;
            first += gap.len();
        }
        Ok(found)
    }

    fn gap(
        &self,
        pair: &Pair,
        tests: &[Test],
        wanted: &[u64],
        first: usize,
        reader: &mut Reader<'_, '_>,
        found: &mut Vec<Found>,
    ) -> io::Result<()> {
        let spans = pair.cover.spans();
        let span = tests[0].span;
        let before = span.checked_sub(1).and_then(|n| spans.get(n));
        let left = self.anchor(before, pair.base.as_ref(), true);
        let right = self.anchor(spans.get(span + 1), pair.base.as_ref(), false);
        let mut middles = Middles::new(tests, wanted, first);
        if !middles.wanted.is_empty() {
            let gap = spans[span];
            let windows = windows(left.as_ref(), right.as_ref(), gap, spans.len() == 1);
            let start = left.as_ref().or(right.as_ref()).map_or(0, |anchor| anchor.at);
            let expected = |test: usize| start + (tests[test - first].from - gap.from);
            for window in windows.into_iter().filter(|window| !window.is_empty()) {
                let Some(bytes) = reader.get(window.start, window.end)? else { continue };
                self.roller.roll(bytes, self.level.len as usize, |at, sum| {
                    middles.note(mix(sum), window.start + at as u64, first, expected);
                });
            }
        }
        for (n, (test, want)) in tests.iter().zip(wanted).enumerate() {
            let hit = match test.kind {
                Kind::Middle => middles.best[n].map(|(_, found)| (found.1, found.2)),
                Kind::Left => self.edge(left.as_ref(), true, test, *want, reader)?,
                Kind::Right => self.edge(right.as_ref(), false, test, *want, reader)?,
            };
            found.extend(hit.map(|(at, hash)| (first + n, at, hash)));
        }
        Ok(())
    }

    /// The end of the span before a gap, or the begin of the one after; without one, the base's.
    fn anchor(&self, span: Option<&Span>, base: Option<&Range<u64>>, left: bool) -> Option<Anchor> {
        let known = span.and_then(|span| Some((span.at?, span.to - span.from)));
        match (span, known) {
            (Some(_), Some((at, len))) => {
                let file = self.old.range(self.old.file_at(at)?);
                Some(Anchor { at: if left { at + len } else { at }, file })
            }
            (None, _) => {
                let base = base?.clone();
                Some(Anchor { at: if left { base.start } else { base.end }, file: base })
            }
            _ => None,
        }
    }

    /// Where the block at a gap's edge must lie, if its hash agrees there.
    fn edge(
        &self,
        anchor: Option<&Anchor>,
        left: bool,
        test: &Test,
        want: u64,
        reader: &mut Reader<'_, '_>,
    ) -> io::Result<Option<(u64, u64)>> {
        let Some(anchor) = anchor else { return Ok(None) };
        let len = self.level.len;
        let at = if left { Some(anchor.at) } else { anchor.at.checked_sub(len) };
        let inside = |at: &u64| *at >= anchor.file.start && at + len <= anchor.file.end;
        let Some(at) = at.filter(inside) else { return Ok(None) };
        let Some(bytes) = reader.get(at, at + len)? else { return Ok(None) };
        let hash = mix(self.roller.sum(bytes));
        let mask = (1 << test.bits) - 1;
        Ok((hash & mask == want).then_some((at, hash)))
    }
}

/// Where middles of `gap` may lie: all of the base when nothing is known yet, else not far from
/// the known bytes on both sides.
fn windows(
    left: Option<&Anchor>,
    right: Option<&Anchor>,
    gap: Span,
    alone: bool,
) -> [Range<u64>; 2] {
    let reach = 2 * (gap.to - gap.from) + 256;
    let near = |left: &Anchor, right: &Anchor| {
        let ahead = left.file == right.file && left.at <= right.at;
        ahead && right.at - left.at <= 2 * reach
    };
    match (left, right) {
        (Some(left), Some(_)) if alone => [left.file.clone(), 0..0],
        (Some(left), Some(right)) if near(left, right) => [left.at..right.at, 0..0],
        (left, right) => {
            let after = left.map(|left| left.at..left.file.end.min(left.at + reach));
            let from = |right: &Anchor| right.file.start.max(right.at.saturating_sub(reach));
            let before = right.map(|right| from(right)..right.at);
            [after.unwrap_or(0..0), before.unwrap_or(0..0)]
        }
    }
}
