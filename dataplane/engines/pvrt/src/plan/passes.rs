//! Ways to make a window's bytes from a space; each gives matches in order, without overlap.

use super::extend;
use super::gear::{self, Anchor};
use super::index::{Index, Match};
use crate::program::Transform;

/// A match begins where an older one would go on from this many bytes.
const GO_ON: usize = 16;
/// Anchors are gathered of so many bytes at a time, more after each block without a match.
const BLOCKS: std::ops::Range<usize> = 256..4096;
/// Ramps below this are left to the compressor, which writes them in as few bytes.
const RAMP: usize = 256;
/// References that one ramp may take; beyond, the compressor is cheaper.
const RAMP_PIECES: usize = 4;
/// The shortest run that is worth a reference when its offset follows from the one before.
const FILL: usize = 12;

/// Where a window's begin would lie in the space if a match went on, and how it is transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) at: u64,
    pub(super) transform: Transform,
}

impl Course {
    /// That of a match.
    pub(super) const fn of(found: &Match) -> Self {
        Self { at: found.at.wrapping_sub(found.from as u64), transform: found.transform }
    }
}

/// The pass of anchors: matches of [`gear::SPAN`] bytes and more, anywhere in the space.
pub(super) fn anchored(
    index: &Index<'_>,
    window: &[u8],
    course: Option<Course>,
    anchors: &mut Vec<Anchor>,
) -> Vec<Match> {
    let mut matches = Vec::new();
    let mut pos = course.map_or(0, |course| go_on(index, window, course, &mut matches));
    let (mut block, mut seen) = (BLOCKS.start, pos);
    while seen < window.len() {
        let mut end = window.len().min(seen + block);
        if let Some(ramp) = (seen..end).step_by(32).find(|&at| extend::ramps(&window[at..])) {
            if ramp == seen {
                let (len, step) = extend::ramp(&window[ramp..]);
                ramp_matches(index, window, ramp, len, step, &mut matches);
                (pos, seen) = (ramp + len, ramp + len);
                continue;
            }
            end = ramp;
        }
        anchors.clear();
        let from = pos.max(seen.saturating_sub(gear::SPAN - 1));
        let mut note = |anchor: Anchor| {
            if anchor.end > seen {
                anchors.push(anchor);
            }
        };
        if index.sums() {
            gear::anchors::<true>(window, from, end, index.bits(), &mut note);
        } else {
            gear::anchors::<false>(window, from, end, index.bits(), &mut note);
        }
        let expected = matches.last().map_or(0, |last| Course::of(last).at);
        let find = |anchor: &Anchor| index.find(window, pos, *anchor, expected);
        match anchors.iter().find_map(find) {
            Some(found) => {
                (pos, seen, block) = (found.end(), found.end(), BLOCKS.start);
                matches.push(found);
            }
            None => (seen, block) = (end, BLOCKS.end.min(block * 2)),
        }
    }
    matches
}

/// Goes on from the window before; gives how many bytes that made.
fn go_on(index: &Index<'_>, window: &[u8], course: Course, into: &mut Vec<Match>) -> usize {
    let Some(ahead) = index.space().ahead(course.at, window.len()) else { return 0 };
    let len = extend::forward(window, ahead, course.transform);
    if len < GO_ON.min(window.len()) {
        return 0;
    }
    into.push(Match { from: 0, len, at: course.at, transform: course.transform });
    len
}

fn ramp_matches(
    index: &Index<'_>,
    window: &[u8],
    from: usize,
    len: usize,
    step: u8,
    into: &mut Vec<Match>,
) {
    let Some(ramp) = index.ramp(step).filter(|ramp| len >= RAMP && ramp.len as usize >= RAMP / 2)
    else {
        return;
    };
    if len > RAMP_PIECES * ramp.len as usize {
        return;
    }
    let Some(&first) = index.space().get(ramp.offset, 1).and_then(|first| first.first()) else {
        return;
    };
    let mut at = from;
    while at < from + len {
        let len = (from + len - at).min(ramp.len as usize);
        let transform = extend::transform(true, first, window[at]);
        into.push(Match { from: at, len, at: ramp.offset, transform });
        at += len;
    }
}

/// The pass of offsets and arithmetic: short runs between matches that lie where a neighbour's
/// course, or one of `courses`, says.
pub(super) fn filled(
    index: &Index<'_>,
    window: &[u8],
    matches: &[Match],
    courses: impl Fn(usize) -> [Option<Course>; 2],
) -> Vec<Match> {
    let mut filled = Vec::with_capacity(matches.len());
    let mut from = 0;
    let mut before = None;
    for next in matches.iter().map(Some).chain([None]) {
        let to = next.map_or(window.len(), |next| next.from);
        if to >= from + FILL {
            let [a, b] = courses(from);
            let all = [before, next.map(Course::of), a, b];
            let runs =
                all.into_iter().flatten().map(|course| runs(index, window, from..to, course));
            let bytes = |runs: &Vec<Match>| runs.iter().map(|run| run.len).sum::<usize>();
            filled.extend(runs.max_by_key(bytes).unwrap_or_default());
        }
        if let Some(next) = next {
            filled.push(*next);
            before = Some(Course::of(next));
            from = next.end();
        }
    }
    filled
}

/// Runs of `range` on a course.
fn runs(
    index: &Index<'_>,
    window: &[u8],
    range: std::ops::Range<usize>,
    course: Course,
) -> Vec<Match> {
    let mut runs = Vec::new();
    let start = course.at.wrapping_add(range.start as u64);
    let Some(held) = index.space().ahead(start, range.len()) else { return runs };
    let window = &window[..range.end.min(range.start + held.len())];
    let mut at = range.start;
    let mut misses = 0;
    while at + FILL <= window.len() {
        let len = extend::forward(&window[at..], &held[at - range.start..], course.transform);
        if len >= FILL {
            let space = course.at.wrapping_add(at as u64);
            runs.push(Match { from: at, len, at: space, transform: course.transform });
            misses = 0;
        } else {
            misses += 1;
        }
        // Where the course is lost for long, look less and less closely.
        at += len + 1 + misses / 64;
    }
    runs
}
