//! Frames on their way, and which of them are lost.
//!
//! Each frame has a number of its own. The receiver names the numbers that came; a number that is
//! well behind the highest of these, in frames and in time, is lost, and its fragment goes out again
//! under a new number.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::wire::Check;

/// Frames that may overtake one before it counts as lost.
const OVERTAKEN: u64 = 192;

/// How many times as late a frame is lost that few overtook.
const VERY: u32 = 4;

/// A window on its way.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) object: u32,
    pub(super) window: u32,
    /// The window's bytes, or its body.
    pub(super) bytes: Vec<u8>,
    /// The check of bytes that go as they are; none for a body.
    pub(super) check: Option<Check>,
    /// A bit for each fragment that is known to have arrived.
    arrived: Vec<u64>,
    /// Fragments that are not.
    left: u32,
    /// How often this place was used: a late word about an earlier window means nothing.
    turn: u32,
    used: bool,
}

/// A fragment of a window on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) place: u32,
    turn: u32,
    pub(super) fragment: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    fragment: Fragment,
    bytes: u32,
    /// Which of `bursts` it went with.
    burst: u32,
    open: bool,
}

/// What a report came to.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Frames newly known to have arrived.
    pub(super) arrived: u64,
    /// Frames newly known to be lost.
    pub(super) lost: u64,
    /// Windows of which all has arrived: object, window, and the bytes to be used again.
    pub(super) done: Vec<(u32, u32, Vec<u8>)>,
}

/// All that is on its way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    windows: Vec<Window>,
    free: Vec<u32>,
    used: usize,
    sent: VecDeque<Sent>,
    /// Number of the first in `sent`.
    first: u64,
    /// When each burst went out; number of the first, and the last one's.
    bursts: VecDeque<Instant>,
    first_burst: u32,
    bytes: u64,
    highest: u64,
    /// To be sent again.
    pub(super) repair: VecDeque<Fragment>,
}

impl Flight {
    /// Bytes sent of which nothing is known.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Windows that are not known to have arrived.
    #[cfg(test)]
    const fn windows(&self) -> usize {
        self.used
    }

    /// Whether `window` of `object` is on its way.
    pub(super) fn has(&self, object: u32, window: u32) -> bool {
        self.windows.iter().any(|held| held.used && held.object == object && held.window == window)
    }

    /// Takes a window of so many fragments; gives its place.
    pub(super) fn begin(
        &mut self,
        object: u32,
        window: u32,
        bytes: Vec<u8>,
        check: Option<Check>,
        fragments: u32,
    ) -> u32 {
        let words = (fragments as usize).div_ceil(64);
        self.used += 1;
        if let Some(place) = self.free.pop() {
            let held = &mut self.windows[place as usize];
            held.arrived.clear();
            held.arrived.resize(words, 0);
            (held.object, held.window, held.bytes, held.check) = (object, window, bytes, check);
            (held.left, held.used, held.turn) = (fragments, true, held.turn.wrapping_add(1));
            return place;
        }
        self.windows.push(Window {
            object,
            window,
            bytes,
            check,
            arrived: vec![0; words],
            left: fragments,
            turn: 0,
            used: true,
        });
        self.windows.len() as u32 - 1
    }

    pub(super) fn window(&self, place: u32) -> &Window {
        &self.windows[place as usize]
    }

    /// Fragment number `fragment` of the window at `place`.
    pub(super) fn fragment(&self, place: u32, fragment: u32) -> Fragment {
        Fragment { place, turn: self.windows[place as usize].turn, fragment }
    }

    /// Begins a burst: what is noted next goes out now.
    pub(super) fn burst(&mut self, now: Instant) {
        if self.bursts.back() != Some(&now) {
            self.bursts.push_back(now);
        }
    }

    /// Notes that the frame `sequence`, the next one, of so many bytes, goes out with this burst.
    pub(super) fn note(&mut self, sequence: u64, fragment: Fragment, bytes: usize) {
        if self.sent.is_empty() {
            self.first = sequence;
        }
        debug_assert_eq!(sequence, self.first + self.sent.len() as u64);
        let burst = self.first_burst.wrapping_add(self.bursts.len().saturating_sub(1) as u32);
        self.sent.push_back(Sent { fragment, bytes: bytes as u32, burst, open: true });
        self.bytes += bytes as u64;
    }

    /// When the frame `sequence` went out, if that is still known.
    pub(super) fn sent_at(&self, sequence: u64) -> Option<Instant> {
        let sent = self.sent.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)?;
        self.bursts.get(sent.burst.wrapping_sub(self.first_burst) as usize).copied()
    }

    /// The next repair that is still of use.
    pub(super) fn next_repair(&mut self) -> Option<Fragment> {
        while let Some(fragment) = self.repair.pop_front() {
            if self.wants(fragment) {
                return Some(fragment);
            }
        }
        None
    }

    fn wants(&self, fragment: Fragment) -> bool {
        let held = &self.windows[fragment.place as usize];
        let bit = held.arrived.get(fragment.fragment as usize / 64).copied().unwrap_or(u64::MAX);
        held.used && held.turn == fragment.turn && bit & 1 << (fragment.fragment % 64) == 0
    }

    /// Learns that `runs` arrived. What was sent more than `late` before the highest of these and
    /// overtaken by many is lost, and what was sent very much earlier.
    pub(super) fn told(&mut self, runs: &[Range<u64>], late: Duration) -> Told {
        let mut told = Told::default();
        let end = self.first + self.sent.len() as u64;
        for run in runs {
            // What was never sent cannot have arrived.
            for sequence in run.start.max(self.first)..run.end.min(end) {
                self.arrived(sequence, &mut told);
                self.highest = self.highest.max(sequence);
            }
        }
        let edge = self.sent_at(self.highest);
        let mut at = self.first;
        while let (Some(edge), true) = (edge, at < self.highest) {
            let age =
                self.sent_at(at).map_or(Duration::MAX, |sent| edge.saturating_duration_since(sent));
            let overtaken = at + OVERTAKEN < self.highest && age >= late;
            if !overtaken && age < late * VERY {
                break;
            }
            self.lose(at, &mut told);
            at += 1;
        }
        self.prune();
        told
    }

    /// Drops all windows of `object`: the receiver has it, or wants it no more.
    pub(super) fn forget(&mut self, object: u32) {
        for (place, held) in (0..).zip(&mut self.windows) {
            if held.used && held.object == object {
                held.used = false;
                held.bytes = Vec::new();
                self.used -= 1;
                self.free.push(place);
            }
        }
    }

    /// Gives up on the oldest few frames that are on their way: nothing was heard for long. What is
    /// heard of their next ones tells about the others.
    pub(super) fn probe(&mut self, few: usize) {
        let mut told = Told::default();
        let open = (self.first..).zip(&self.sent).filter(|(_, sent)| sent.open).take(few);
        for sequence in open.map(|(sequence, _)| sequence).collect::<Vec<_>>() {
            self.lose(sequence, &mut told);
        }
        self.prune();
    }

    fn close(&mut self, sequence: u64) -> Option<Fragment> {
        let sent = &mut self.sent[(sequence - self.first) as usize];
        if !std::mem::take(&mut sent.open) {
            return None;
        }
        self.bytes -= u64::from(sent.bytes);
        Some(sent.fragment)
    }

    fn arrived(&mut self, sequence: u64, told: &mut Told) {
        let index = (sequence - self.first) as usize;
        let fragment = self.sent[index].fragment;
        if self.close(sequence).is_some() {
            told.arrived += 1;
        }
        // One that was given up may have come late: it need not come again.
        if !self.wants(fragment) {
            return;
        }
        let held = &mut self.windows[fragment.place as usize];
        held.arrived[fragment.fragment as usize / 64] |= 1 << (fragment.fragment % 64);
        held.left -= 1;
        if held.left == 0 {
            held.used = false;
            self.used -= 1;
            told.done.push((held.object, held.window, std::mem::take(&mut held.bytes)));
            self.free.push(fragment.place);
        }
    }

    fn lose(&mut self, sequence: u64, told: &mut Told) {
        if let Some(fragment) = self.close(sequence) {
            told.lost += 1;
            if self.wants(fragment) {
                self.repair.push_back(fragment);
            }
        }
    }

    /// Drops what nothing more can be heard of, but keeps a while what was given up: it may be late.
    fn prune(&mut self) {
        while let Some(sent) = self.sent.front() {
            let done = !sent.open
                && (!self.wants(sent.fragment) || self.first + 16 * OVERTAKEN < self.highest);
            if !done {
                break;
            }
            self.sent.pop_front();
            self.first += 1;
        }
        let oldest = self.sent.front().map(|sent| sent.burst);
        while self.bursts.len() > 1 && oldest.is_none_or(|oldest| self.first_burst != oldest) {
            self.bursts.pop_front();
            self.first_burst = self.first_burst.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LATE: Duration = Duration::from_millis(5);

    /// Sends windows over a way that loses every frame whose turn `lost` says; all must arrive.
    fn deliver(windows: u32, fragments: u32, lost: &[bool]) {
        let (mut flight, mut now) = (Flight::default(), Instant::now());
        let (mut sequence, mut turns) = (0_u64, lost.iter().cycle());
        let mut arrived = vec![vec![0_u32; fragments as usize]; windows as usize];
        let (mut done, mut rounds) = (0, 0);
        let mut todo: VecDeque<(u32, u32)> =
            (0..windows).flat_map(|w| (0..fragments).map(move |f| (w, f))).collect();
        let mut places = vec![None; windows as usize];
        while done < windows {
            rounds += 1;
            assert!(rounds < 10_000, "{done} of {windows}");
            now += Duration::from_millis(10);
            flight.burst(now);
            let mut came = Vec::new();
            for _ in 0..300 {
                let fragment = flight.next_repair().or_else(|| {
                    let (window, fragment) = todo.pop_front()?;
                    let place = *places[window as usize]
                        .get_or_insert_with(|| flight.begin(1, window, vec![7], None, fragments));
                    Some(flight.fragment(place, fragment))
                });
                let Some(fragment) = fragment else { break };
                flight.note(sequence, fragment, 100);
                if !turns.next().copied().unwrap_or(false) {
                    came.push(sequence..sequence + 1);
                    let window = flight.window(fragment.place).window;
                    arrived[window as usize][fragment.fragment as usize] += 1;
                }
                sequence += 1;
            }
            let told = flight.told(&came, LATE);
            done += told.done.len() as u32;
            if came.is_empty() {
                flight.probe(8);
            }
        }
        assert!(arrived.iter().flatten().all(|times| *times > 0));
        assert_eq!((flight.windows(), flight.bytes()), (0, 0));
    }

    proptest! {
        #[test]
        fn all_arrives_whatever_is_lost(
            windows in 1_u32..40,
            fragments in 1_u32..70,
            lost in prop::collection::vec(prop::bool::weighted(0.3), 1..50),
        ) {
            prop_assume!(lost.iter().any(|lost| !lost));
            deliver(windows, fragments, &lost);
        }
    }

    #[test]
    fn nothing_is_sent_twice_where_nothing_is_lost() {
        let mut flight = Flight::default();
        let now = Instant::now();
        flight.burst(now);
        let place = flight.begin(1, 5, vec![1], Some(Check(3)), 2);
        for sequence in 0..2 {
            let fragment = flight.fragment(place, sequence as u32);
            flight.note(sequence, fragment, 10);
        }
        assert!(flight.has(1, 5));
        // Reordered, repeated, and words about what was never sent.
        let told = flight.told(&[1..2, 1..2, 7..u64::MAX], LATE);
        assert_eq!((told.arrived, told.lost), (1, 0));
        let told = flight.told(std::slice::from_ref(&(0..1)), LATE);
        assert_eq!((told.arrived, told.done), (1, vec![(1, 5, vec![1])]));
        assert!(flight.next_repair().is_none() && !flight.has(1, 5));
    }
}
