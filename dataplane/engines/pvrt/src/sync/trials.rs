//! Claims that wait to be confirmed.

use super::hash;

/// Claims that are confirmed together.
const GROUP: u32 = 6;
/// Bits of their common hash.
pub(super) const GROUP_BITS: u32 = 12;

/// The groups of the last round's claims.
#[derive(Debug)]
pub(super) struct Trials {
    /// Number of the first group; those of earlier rounds are below.
    first: u32,
    groups: Vec<u64>,
    count: u32,
}

/// What became of the groups of one round.
#[derive(Debug)]
pub(super) struct Verdicts {
    first: u32,
    revoked: Vec<bool>,
}

impl Trials {
    /// None on trial.
    pub(super) const fn new() -> Self {
        Self { first: 1, groups: Vec::new(), count: 0 }
    }

    /// Whether none is on trial.
    pub(super) const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The common hashes, of [`GROUP_BITS`] each.
    pub(super) fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.groups.iter().map(|group| group & ((1 << GROUP_BITS) - 1))
    }

    /// Puts a claim of a block with this hash on trial; gives its group's number.
    pub(super) fn put(&mut self, hash: u64) -> u32 {
        if self.count.is_multiple_of(GROUP) {
            self.groups.push(0);
        }
        self.count += 1;
        if let Some(group) = self.groups.last_mut() {
            // The low bits have been compared already: here the others must tell.
            *group = hash::mix(group.rotate_left(7) ^ hash >> 20);
        }
        self.first + self.groups.len() as u32 - 1
    }

    /// Ends the trial of all groups, `revoked` saying of each, in order, whether it failed; the
    /// claims that come now are of the next round.
    pub(super) fn judge(&mut self, revoked: Vec<bool>) -> Verdicts {
        let verdicts = Verdicts { first: self.first, revoked };
        self.first += self.groups.len() as u32;
        self.groups.clear();
        self.count = 0;
        verdicts
    }
}

impl Verdicts {
    /// Whether group `trial` failed; nothing when its turn has not come.
    pub(super) fn of(&self, trial: u32) -> Option<bool> {
        self.revoked.get(trial.checked_sub(self.first)? as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_judged_once() {
        let mut trials = Trials::new();
        let groups: Vec<_> = (0..8).map(|n| trials.put(n << 40)).collect();
        assert_eq!(groups, [1, 1, 1, 1, 1, 1, 2, 2]);
        assert_eq!(trials.hashes().count(), 2);
        let verdicts = trials.judge(vec![false, true]);
        assert!(trials.is_empty());
        assert_eq!(trials.put(1), 3);
        assert_eq!([1, 2, 3].map(|group| verdicts.of(group)), [Some(false), Some(true), None]);
    }
}
