//! What lies under a prefix: counts, payload sizes, bounds, branches.

use std::collections::BTreeMap;

/// Sizes and branches of a set of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Keys.
    pub count: u64,
    /// Bytes of their payloads together.
    pub payload_total: u64,
    /// Bytes of the smallest payload; 0 without keys.
    pub payload_min: u64,
    /// Bytes of the largest payload.
    pub payload_max: u64,
    /// The least key.
    pub min_key: Option<Vec<u8>>,
    /// The greatest key.
    pub max_key: Option<Vec<u8>>,
    /// Bytes of the longest key behind the prefix.
    pub max_depth: u64,
    /// Whether the prefix itself is a key.
    pub self_terminal: bool,
    /// Beginnings behind the prefix, at most as long as asked for, and how many keys each has: by
    /// count, most first, then by bytes.
    pub branches: Vec<(Vec<u8>, u64)>,
}

/// How branches are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branching {
    /// Bytes behind the prefix that make a branch; `None` for the whole rest of the key.
    pub depth: Option<usize>,
    /// Branches reported; `None` for all.
    pub limit: Option<usize>,
}

impl Default for Branching {
    fn default() -> Self {
        Self { depth: Some(1), limit: Some(32) }
    }
}

/// Sums up keys as they come, in any order.
#[derive(Clone, Debug)]
pub struct Summarizer {
    prefix: usize,
    branching: Branching,
    summary: Summary,
    branches: BTreeMap<Vec<u8>, u64>,
}

impl Summarizer {
    /// For keys that begin with a prefix of `prefix` bytes.
    #[must_use]
    pub const fn new(prefix: usize, branching: Branching) -> Self {
        let summary = Summary {
            count: 0,
            payload_total: 0,
            payload_min: 0,
            payload_max: 0,
            min_key: None,
            max_key: None,
            max_depth: 0,
            self_terminal: false,
            branches: Vec::new(),
        };
        Self { prefix, branching, summary, branches: BTreeMap::new() }
    }

    /// Counts `key`, with a payload of `payload` bytes.
    pub fn add(&mut self, key: &[u8], payload: u64) {
        let summary = &mut self.summary;
        let first = summary.count == 0;
        summary.count += 1;
        summary.payload_total += payload;
        summary.payload_min = if first { payload } else { summary.payload_min.min(payload) };
        summary.payload_max = summary.payload_max.max(payload);
        if summary.min_key.as_deref().is_none_or(|least| key < least) {
            summary.min_key = Some(key.to_vec());
        }
        if summary.max_key.as_deref().is_none_or(|most| key > most) {
            summary.max_key = Some(key.to_vec());
        }
        let rest = key.get(self.prefix..).unwrap_or_default();
        summary.max_depth = summary.max_depth.max(rest.len() as u64);
        if rest.is_empty() {
            summary.self_terminal = true;
            return;
        }
        let branch = &rest[..self.branching.depth.unwrap_or(rest.len()).min(rest.len())];
        if branch.is_empty() {
            return;
        }
        match self.branches.get_mut(branch) {
            Some(count) => *count += 1,
            None => {
                self.branches.insert(branch.to_vec(), 1);
            }
        }
    }

    /// What was counted.
    #[must_use]
    pub fn finish(self) -> Summary {
        let mut branches: Vec<_> = self.branches.into_iter().collect();
        branches.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        branches.truncate(self.branching.limit.unwrap_or(usize::MAX));
        Summary { branches, ..self.summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_come_by_count_then_bytes() {
        let mut sum = Summarizer::new(2, Branching { depth: Some(1), limit: Some(2) });
        for (key, payload) in [("ab", 5), ("abc1", 0), ("abc2", 9), ("abb", 1), ("aba", 1)] {
            sum.add(key.as_bytes(), payload);
        }
        let summary = sum.finish();
        assert_eq!((summary.count, summary.payload_total), (5, 16));
        assert_eq!((summary.payload_min, summary.payload_max), (0, 9));
        assert_eq!(summary.min_key.as_deref(), Some(&b"ab"[..]));
        assert_eq!(summary.max_key.as_deref(), Some(&b"abc2"[..]));
        assert_eq!((summary.max_depth, summary.self_terminal), (2, true));
        assert_eq!(summary.branches, [(b"c".to_vec(), 2), (b"a".to_vec(), 1)]);
    }

    #[test]
    fn no_keys_no_bounds() {
        let summary = Summarizer::new(0, Branching::default()).finish();
        assert_eq!(summary, Summary::default());
    }
}
