//! What of a new file is known to be in the old ones, and what to ask next.
//!
//! Both ends keep the same covers, but only the receiver knows where in the old files a span lies.

/// A stretch of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first byte in the new file.
    pub(super) from: u64,
    /// One past its last.
    pub(super) to: u64,
    /// Where the receiver has it, if it does; at the sender any address that grows with `from`.
    pub(super) at: Option<u64>,
    /// The group of claims that it is on trial with; 0 when it is not.
    trial: u32,
}

/// Where a tested block lies in its gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At its begin: it goes on where the span before ends.
    Left,
    /// At its end.
    Right,
    /// Elsewhere; it may lie anywhere.
    Middle,
}

/// A block that the sender gives a hash of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Its first byte in the new file.
    pub(super) from: u64,
    /// Where in the gap.
    pub(super) kind: Kind,
    /// Bits of its hash.
    pub(super) bits: u32,
    /// The gap's place among the spans.
    pub(super) span: usize,
}

/// What a round asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Bytes of a block.
    pub(super) len: u64,
    /// Gaps' middles are asked for too where that seems to pay.
    pub(super) middle: bool,
}

/// Bits beyond those that tell the candidates apart: a block that is not there seems to be, once
/// in so many tests. Claims are confirmed in groups afterwards.
pub(super) const EDGE_BITS: u32 = 8;
const MIDDLE_BITS: u32 = 6;
/// From here up middles are asked for whatever the round before found.
const ALWAYS: u64 = 256;
/// Below, middles are asked for while one in so many held in the round before.
const WORTH: u32 = 4;

/// All spans of a file.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    spans: Vec<Span>,
    /// Middle tests of the last round that had some, and how many held.
    asked: u32,
    held: u32,
}

impl Cover {
    /// Nothing known of a file of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let all = Span { from: 0, to: size, at: None, trial: 0 };
        Self { spans: (size > 0).then_some(all).into_iter().collect(), asked: 0, held: 0 }
    }

    /// All spans in order.
    pub(super) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The widest gap.
    pub(super) fn widest(&self) -> u64 {
        let gaps = self.spans.iter().filter(|span| span.at.is_none());
        gaps.map(|span| span.to - span.from).max().unwrap_or(0)
    }

    fn middles(&self, level: Level) -> bool {
        level.middle && (level.len >= ALWAYS || self.held * WORTH >= self.asked)
    }

    /// How many bits the tests of `level` have at least, without making them.
    pub(super) fn least_bits(&self, level: Level) -> u64 {
        let gaps = self.spans.iter().filter(|span| span.at.is_none());
        let middles = self.middles(level);
        let count = gaps.map(|gap| match (gap.to - gap.from) / level.len {
            blocks if middles => blocks,
            blocks => blocks.min(2),
        });
        count.sum::<u64>().saturating_mul(u64::from(EDGE_BITS))
    }

    /// The blocks of `level`, in order.
    pub(super) fn tests(&self, level: Level) -> Vec<Test> {
        let middles = self.middles(level);
        let mut tests = Vec::new();
        for (span, gap) in self.spans.iter().enumerate() {
            let width = gap.to - gap.from;
            if gap.at.is_some() || width < level.len {
                continue;
            }
            let edge = |from, kind| Test { from, kind, bits: EDGE_BITS, span };
            tests.push(edge(gap.from, Kind::Left));
            let bits = (u64::BITS - (width * 4 + 512).leading_zeros() + MIDDLE_BITS).min(40);
            let middle =
                |n| Test { from: gap.from + n * level.len, kind: Kind::Middle, bits, span };
            let blocks = if middles { (width - 1) / level.len } else { 0 };
            tests.extend((1..blocks).map(middle));
            if width > level.len {
                tests.push(edge(gap.to - level.len, Kind::Right));
            }
        }
        tests
    }

    /// Notes what middle tests came to, and marks the blocks of `len` bytes that were claimed:
    /// each with its test, its address and the group that it is on trial with.
    pub(super) fn claim(&mut self, tests: &[Test], len: u64, claims: &[(usize, u64, u32)]) {
        let middle = |test: &Test| test.kind == Kind::Middle;
        let asked = tests.iter().filter(|test| middle(test)).count();
        if asked > 0 {
            self.asked = asked as u32;
            self.held = claims.iter().filter(|claim| middle(&tests[claim.0])).count() as u32;
        }
        if claims.is_empty() {
            return;
        }
        let mut claims =
            claims.iter().map(|&(test, at, trial)| (tests[test], at, trial)).peekable();
        let mut spans = Vec::with_capacity(self.spans.len() + 2 * claims.len());
        for (n, span) in self.spans.iter().enumerate() {
            let mut from = span.from;
            while let Some((test, at, trial)) = claims.next_if(|claim| claim.0.span == n) {
                // Of two claims that overlap, the first has the bytes.
                let begin = test.from.max(from);
                if begin > from {
                    spans.push(Span { from, to: begin, ..*span });
                }
                let to = test.from + len;
                if to > begin {
                    let at = Some(at + (begin - test.from));
                    spans.push(Span { from: begin, to, at, trial });
                }
                from = to.max(from);
            }
            if from < span.to {
                let at = span.at.map(|at| at + (from - span.from));
                spans.push(Span { from, to: span.to, at, trial: span.trial });
            }
        }
        self.spans = spans;
    }

    /// Marks a span as known that no test asked for.
    pub(super) fn know(&mut self, from: u64, to: u64, at: u64) {
        let span = self.spans.partition_point(|span| span.to <= from);
        let test = Test { from, kind: Kind::Left, bits: 0, span };
        self.claim(&[test], to - from, &[(0, at, 0)]);
    }

    /// Ends the trials that `revoked` has a verdict on: spans whose group failed are unknown again.
    pub(super) fn settle(&mut self, revoked: impl Fn(u32) -> Option<bool>) {
        let mut settled: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            let mut span = *span;
            match revoked(span.trial).filter(|_| span.trial != 0) {
                Some(true) => (span.at, span.trial) = (None, 0),
                Some(false) => span.trial = 0,
                None => {}
            }
            let firm = |last: &&mut Span| last.trial == 0 && span.trial == 0;
            let join = settled.last_mut().filter(firm).filter(|last| match (last.at, span.at) {
                (Some(last_at), Some(at)) => last_at + (last.to - last.from) == at,
                (last_at, at) => last_at == at,
            });
            match join {
                Some(last) => last.to = span.to,
                None => settled.push(span),
            }
        }
        self.spans = settled;
    }

    /// The parts of `from..to`, in order.
    pub(super) fn within(&self, from: u64, to: u64) -> impl Iterator<Item = Span> + '_ {
        let first = self.spans.partition_point(|span| span.to <= from);
        let inside = self.spans[first..].iter().take_while(move |span| span.from < to);
        inside.map(move |span| {
            let cut = from.saturating_sub(span.from);
            Span {
                from: span.from + cut,
                to: span.to.min(to),
                at: span.at.map(|at| at + cut),
                trial: 0,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level { len: 16, middle: true };

    fn plain(cover: &Cover) -> Vec<(u64, u64, Option<u64>)> {
        cover.spans().iter().map(|span| (span.from, span.to, span.at)).collect()
    }

    #[test]
    fn edges_and_middles_are_asked_for() {
        let cover = Cover::new(70);
        let froms: Vec<_> = cover.tests(LEVEL).iter().map(|test| (test.from, test.kind)).collect();
        let middle = |from| (from, Kind::Middle);
        assert_eq!(froms, [(0, Kind::Left), middle(16), middle(32), middle(48), (54, Kind::Right)]);
        assert_eq!(Cover::new(16).tests(LEVEL).len(), 1);
        assert_eq!(Cover::new(15).tests(LEVEL).len(), 0);
        assert_eq!(Cover::new(0).tests(LEVEL).len(), 0);
        assert!(
            cover.least_bits(LEVEL) <= cover.tests(LEVEL).iter().map(|t| u64::from(t.bits)).sum()
        );
    }

    #[test]
    fn claims_are_marked_and_revoked() {
        let mut cover = Cover::new(70);
        let tests = cover.tests(LEVEL);
        // The last two overlap by ten bytes.
        cover.claim(&tests, 16, &[(0, 100, 1), (3, 500, 1), (4, 1000, 2)]);
        let marked =
            [(0, 16, Some(100)), (16, 48, None), (48, 64, Some(500)), (64, 70, Some(1010))];
        assert_eq!(plain(&cover), marked);
        assert_eq!(cover.widest(), 32);
        cover.settle(|group| Some(group == 1));
        assert_eq!(plain(&cover), [(0, 64, None), (64, 70, Some(1010))]);
        cover.know(10, 20, 50);
        cover.know(20, 30, 60);
        cover.settle(|_| Some(false));
        let known = [(0, 10, None), (10, 30, Some(50)), (30, 64, None), (64, 70, Some(1010))];
        assert_eq!(plain(&cover), known);
        let within: Vec<_> = cover.within(15, 66).map(|s| (s.from, s.to, s.at)).collect();
        assert_eq!(within, [(15, 30, Some(55)), (30, 64, None), (64, 66, Some(1010))]);
    }
}
