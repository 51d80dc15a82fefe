//! Candidates: the best of many, in no order.

/// Keeps at least the `keep` best of what is offered, with little work for each.
///
/// Everything above the floor goes into a buffer; when that is full, all but the best are
/// dropped, and the floor rises to the least of them.
#[derive(Debug)]
pub(crate) struct Pool {
    keep: usize,
    /// Order of a score, then what came with it.
    held: Vec<u64>,
    floor: f32,
}

/// Times as many as are to be kept that the buffer takes.
const ROOM: usize = 4;
/// Least places of the buffer.
const LEAST: usize = 128;

impl Pool {
    /// For the `keep` best, at least one.
    pub(crate) fn new(keep: usize) -> Self {
        let keep = keep.max(1);
        let held = Vec::with_capacity((ROOM * keep).max(LEAST));
        Self { keep, held, floor: f32::NEG_INFINITY }
    }

    /// What a score must exceed.
    pub(crate) const fn floor(&self) -> f32 {
        self.floor
    }

    /// Takes a score, which must exceed the floor, with what belongs to it.
    #[inline]
    pub(crate) fn push(&mut self, score: f32, what: u32) {
        if self.held.len() == self.held.capacity() {
            self.settle();
            if score <= self.floor {
                return;
            }
        }
        self.held.push(order(score) << 32 | u64::from(what));
    }

    /// Drops all but the best.
    #[inline(never)]
    pub(crate) fn settle(&mut self) {
        if self.held.len() >= self.keep {
            let (_, least, _) = self.held.select_nth_unstable_by(self.keep - 1, |a, b| b.cmp(a));
            self.floor = score((*least >> 32) as u32);
            self.held.truncate(self.keep);
        }
    }

    /// What is held: scores with what belongs to them.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (f32, u32)> + '_ {
        self.held.iter().map(|held| (score((held >> 32) as u32), *held as u32))
    }
}

/// A number that orders as the score does.
#[inline]
pub(crate) fn order(score: f32) -> u64 {
    let bits = score.to_bits();
    u64::from(if bits >> 31 == 0 { bits | 1 << 31 } else { !bits })
}

/// The score of that number.
#[inline]
pub(crate) const fn score(order: u32) -> f32 {
    f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_keeps_the_best(
            scores in prop::collection::vec(-1e9_f32..1e9, 0..2000),
            keep in 1usize..200,
        ) {
            let mut pool = Pool::new(keep);
            for (at, &score) in scores.iter().enumerate() {
                if score > pool.floor() {
                    pool.push(score, at as u32);
                }
            }
            pool.settle();
            let mut got: Vec<f32> = pool.iter().map(|(score, _)| score).collect();
            for (score, at) in pool.iter() {
                prop_assert_eq!(score, scores[at as usize]);
            }
            let mut want = scores;
            want.sort_by(|a, b| b.total_cmp(a));
            want.truncate(keep);
            got.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(got, want);
        }
    }
}
