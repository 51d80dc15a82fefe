//! Sequence numbers: what was lost, what came late, what came twice.

use std::hash::BuildHasher;

/// Sequences of one sender and lane.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    sender: u64,
    lane: u16,
    /// Highest sequence seen; 0: the place is free.
    highest: u64,
    /// Bit n: sequence `highest - n` was seen.
    seen: u64,
    /// When it was last used, in frames.
    used: u64,
}

/// Streams that compete for the same places.
const WAYS: usize = 8;

/// Sequences below the highest that are told apart.
const WINDOW: u64 = 64;

/// Follows the sequences of many senders in bounded memory.
#[derive(Debug)]
pub struct Sequences {
    streams: Vec<[Stream; WAYS]>,
    hasher: foldhash::quality::RandomState,
    clock: u64,
    counters: SequenceCounters,
}

/// What the sequences say about the way here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounters {
    /// Frames that were new.
    pub fresh: u64,
    /// Frames that have not come, as of now: gaps less what came late.
    pub missing: u64,
    /// Frames that came behind a later one and filled a gap.
    pub late: u64,
    /// Frames that had come before; not executed again.
    pub replayed: u64,
    /// Frames too far behind the latest to know whether they had come; not executed.
    pub stale: u64,
    /// Senders and lanes met for the first time.
    pub streams: u64,
    /// Of those, how many were met in the middle: what came before is not known.
    pub joined: u64,
    /// Streams forgotten to make room for others.
    pub evicted: u64,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it.
    Fresh,
    /// It was executed before.
    Replayed,
    /// It may have been executed before.
    Stale,
}

impl Sequences {
    /// Follows at least `streams` pairs of sender and lane; beyond them the one that was quiet longest
    /// among eight is forgotten.
    #[must_use]
    pub fn new(streams: usize) -> Self {
        let sets = streams.div_ceil(WAYS).next_power_of_two();
        Self {
            streams: vec![[Stream::default(); WAYS]; sets],
            hasher: foldhash::quality::RandomState::default(),
            clock: 0,
            counters: SequenceCounters::default(),
        }
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> SequenceCounters {
        self.counters
    }

    /// Takes note of a frame and says what to do with it. `sequence` is at least 1.
    pub fn note(&mut self, sender: u64, lane: u16, sequence: u64) -> Verdict {
        self.clock += 1;
        let set = self.hasher.hash_one((sender, lane)) as usize & (self.streams.len() - 1);
        let set = &mut self.streams[set];
        let known = set.iter_mut().find(|s| s.highest != 0 && (s.sender, s.lane) == (sender, lane));
        let verdict = match known {
            Some(stream) => {
                stream.used = self.clock;
                stream.note(sequence, &mut self.counters)
            }
            None => {
                // A free place was never used: it is the longest quiet.
                let oldest = (0..WAYS).min_by_key(|&way| set[way].used).unwrap_or(0);
                self.counters.evicted += u64::from(set[oldest].highest != 0);
                set[oldest] = Stream { sender, lane, used: self.clock, ..Stream::default() };
                set[oldest].begin(sequence, &mut self.counters);
                Verdict::Fresh
            }
        };
        self.counters.fresh += u64::from(verdict == Verdict::Fresh);
        verdict
    }
}

impl Stream {
    /// The first frame seen: near the beginning, what is before it is missing; else it was joined.
    fn begin(&mut self, sequence: u64, counters: &mut SequenceCounters) {
        counters.streams += 1;
        self.highest = sequence;
        if sequence <= WINDOW {
            self.seen = 1;
            counters.missing += sequence - 1;
        } else {
            self.seen = u64::MAX;
            counters.joined += 1;
        }
    }

    fn note(&mut self, sequence: u64, counters: &mut SequenceCounters) -> Verdict {
        if let Some(ahead) = sequence.checked_sub(self.highest).filter(|&ahead| ahead > 0) {
            self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            self.highest = sequence;
            counters.missing = counters.missing.saturating_add(ahead - 1);
            return Verdict::Fresh;
        }
        let behind = self.highest - sequence;
        if behind >= WINDOW {
            counters.stale += 1;
            return Verdict::Stale;
        }
        if self.seen >> behind & 1 == 1 {
            counters.replayed += 1;
            return Verdict::Replayed;
        }
        self.seen |= 1 << behind;
        counters.late += 1;
        counters.missing = counters.missing.saturating_sub(1);
        Verdict::Fresh
    }
}
