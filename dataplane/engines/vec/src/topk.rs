//! The best of what was seen.

/// A vector that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which one: its place among those searched.
    pub at: u32,
    /// How near; higher is nearer.
    pub score: f32,
}

/// Keeps the `k` best scores that are offered, the earlier place first among equals.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// Worst first once there are `k`.
    heap: Vec<Hit>,
    /// What a score must exceed to be kept.
    floor: f32,
}

impl TopK {
    /// For `k` hits of at least `least`; `f32::NEG_INFINITY` for no bound.
    #[must_use]
    pub fn new(k: usize, least: f32) -> Self {
        let mut top = Self { k, heap: Vec::new(), floor: 0.0 };
        top.reset(k, least);
        top
    }

    /// Empty again, for `k` hits of at least `least`.
    pub fn reset(&mut self, k: usize, least: f32) {
        self.k = k;
        self.heap.clear();
        self.floor = if k == 0 { f32::INFINITY } else { least.next_down() };
    }

    /// What a score must exceed to be kept now.
    #[must_use]
    #[inline]
    pub const fn floor(&self) -> f32 {
        self.floor
    }

    /// Takes a hit if it is among the best so far.
    #[inline]
    pub fn offer(&mut self, at: u32, score: f32) {
        if score > self.floor {
            self.keep(Hit { at, score });
        }
    }

    #[inline(never)]
    fn keep(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(hit);
            self.up(self.heap.len() - 1);
        } else {
            self.heap[0] = hit;
            self.down();
        }
        if self.heap.len() == self.k {
            self.floor = self.floor.max(self.heap[0].score);
        }
    }

    /// Whether `a` is to leave before `b`.
    fn worse(a: &Hit, b: &Hit) -> bool {
        a.score < b.score || (a.score == b.score && a.at > b.at)
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 && Self::worse(&self.heap[at], &self.heap[(at - 1) / 2]) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn down(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && Self::worse(&self.heap[child], &self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// The hits, best first.
    #[must_use]
    pub fn sorted(&self) -> Vec<Hit> {
        let mut hits = self.heap.clone();
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at)));
        hits
    }

    /// The hits in no order.
    #[must_use]
    pub fn hits(&self) -> &[Hit] {
        &self.heap
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_keeps_what_sorting_would(
            scores in prop::collection::vec(-4i32..4, 0..200),
            k in 0usize..40,
            least in -5i32..5,
        ) {
            let mut top = TopK::new(k, least as f32);
            let mut all: Vec<Hit> = Vec::new();
            for (at, score) in scores.iter().enumerate() {
                top.offer(at as u32, *score as f32);
                all.push(Hit { at: at as u32, score: *score as f32 });
            }
            all.retain(|hit| hit.score >= least as f32);
            all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at)));
            all.truncate(k);
            prop_assert_eq!(top.sorted(), all);
        }
    }
}
