//! A column of rows sorted by a 64-bit key, searched where it lies.

/// Keys in ascending order, each with its row; rows of equal keys ascend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sorted<'a> {
    pub(crate) keys: &'a [u64],
    pub(crate) rows: &'a [u32],
}

/// Steps of interpolation before halving takes over: hashes are found in two or three, and keys
/// that are not spread evenly cost no more than so many steps besides.
const GUESSES: usize = 4;

impl<'a> Sorted<'a> {
    /// The first place whose key is at least `key`.
    pub(crate) fn lower(&self, key: u64) -> usize {
        let (mut from, mut to) = (0, self.keys.len());
        for _ in 0..GUESSES {
            if to - from < 8 {
                break;
            }
            let (least, most) = (self.keys[from], self.keys[to - 1]);
            if key <= least {
                return from;
            }
            if key > most {
                return to;
            }
            let share = (key - least) as f64 / (most - least) as f64;
            let span = to - from - 1;
            let guess = from + ((share * span as f64) as usize).min(span);
            // The guess may be on either side; a little to both is mostly enough.
            let off = 4 + span.isqrt() / 2;
            let (low, high) = (guess.saturating_sub(off).max(from), (guess + off).min(to - 1));
            match (self.keys[low] < key, self.keys[high] < key) {
                (true, false) => (from, to) = (low + 1, high + 1),
                (false, _) => to = low + 1,
                (true, true) => from = high + 1,
            }
        }
        from + self.keys[from..to].partition_point(|held| *held < key)
    }

    /// Rows whose key is `key`.
    pub(crate) fn of(&self, key: u64) -> &'a [u32] {
        let from = self.lower(key);
        let count = self.keys[from..].iter().take_while(|held| **held == key).count();
        &self.rows[from..from + count]
    }

    /// Rows whose keys lie in `keys`, in the keys' order.
    pub(crate) fn between(&self, keys: std::ops::RangeInclusive<u64>) -> &'a [u32] {
        if keys.is_empty() {
            return &[];
        }
        let from = self.lower(*keys.start());
        let to = keys.end().checked_add(1).map_or(self.keys.len(), |end| self.lower(end));
        &self.rows[from..to]
    }
}

/// Keys and rows of such a column, from keys in the order of their rows.
pub(crate) fn sort(keys: impl Iterator<Item = u64>) -> (Vec<u64>, Vec<u32>) {
    let mut pairs: Vec<(u64, u32)> = keys.zip(0..).collect();
    pairs.sort_unstable();
    pairs.into_iter().unzip()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_scan_would(
            keys in prop::collection::vec(prop_oneof![0..50_u64, any::<u64>()], 0..400),
            wanted in prop_oneof![0..50_u64, any::<u64>()],
            to in prop_oneof![0..50_u64, any::<u64>()],
            pick: prop::sample::Index,
        ) {
            let (sorted, rows) = sort(keys.iter().copied());
            let column = Sorted { keys: &sorted, rows: &rows };
            let picked = keys.get(pick.index(keys.len().max(1))).copied().unwrap_or(wanted);
            for key in [wanted, picked, u64::MAX, 0] {
                prop_assert_eq!(column.lower(key), sorted.partition_point(|held| *held < key));
                let scan: Vec<u32> =
                    (0..).zip(&keys).filter(|(_, k)| **k == key).map(|(at, _)| at).collect();
                prop_assert_eq!(column.of(key), scan);
                let mut got = column.between(key..=to).to_vec();
                got.sort_unstable();
                let within: Vec<u32> = (0..)
                    .zip(&keys)
                    .filter(|(_, held)| (key..=to).contains(held))
                    .map(|(at, _)| at)
                    .collect();
                prop_assert_eq!(got, within);
            }
        }
    }
}
