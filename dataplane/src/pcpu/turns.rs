//! Which rounds are timed: all long ones, and of the short ones one in seven.

/// Ticks of a round that is short: where the counter's readings would be a good part of it.
const SHORT: u64 = 16384;
/// Short rounds that one stands for. Odd, so that nothing that is done every second, fourth or
/// eighth round is always met, or never.
const EVERY: u32 = 7;

/// Chooses rounds to be timed, and what each of them stands for: to read the time-stamp counter
/// takes some 25 ticks, several times a round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    /// Rounds to be passed over.
    left: u32,
    weight: u32,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { left: 0, weight: 1 }
    }

    /// How many rounds the one that begins stands for; 0 when it is not timed.
    #[inline]
    pub(crate) const fn weight(&self) -> u64 {
        if self.left == 0 { self.weight as u64 } else { 0 }
    }

    /// A round is over, which took so many ticks if it was timed.
    #[inline]
    pub(crate) const fn next(&mut self, ticks: u64) {
        if self.left > 0 {
            self.left -= 1;
        } else if ticks < SHORT {
            (self.left, self.weight) = (EVERY - 1, EVERY);
        } else {
            self.weight = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reckoned for rounds that take so many ticks each, and how many of them were timed.
    fn reckon(rounds: impl IntoIterator<Item = u64>) -> (u64, u64) {
        let (mut turns, mut sum, mut timed) = (Turns::new(), 0, 0);
        for ticks in rounds {
            let weight = turns.weight();
            sum += weight * ticks;
            timed += weight.min(1);
            turns.next(if weight > 0 { ticks } else { 0 });
        }
        (sum, timed)
    }

    #[test]
    fn long_rounds_are_all_timed() {
        assert_eq!(reckon((0..100).map(|n| SHORT + n)), (100 * SHORT + 99 * 50, 100));
    }

    #[test]
    fn a_short_round_stands_for_itself_and_those_passed_over() {
        assert_eq!(reckon([900]), (900, 1));
        assert_eq!(reckon([900; 701]), (701 * 900, 101));
    }

    #[test]
    fn what_happens_every_fourth_round_is_met_as_often_as_it_happens() {
        let rounds = (0..28_001).map(|n: u64| if n.is_multiple_of(4) { 5000 } else { 100 });
        let (sum, exact) = (reckon(rounds.clone()).0, rounds.sum::<u64>());
        assert!(sum.abs_diff(exact) * 100 < exact, "{sum} for {exact}");
    }

    #[test]
    fn rounds_that_grow_long_are_timed_again() {
        let rounds = std::iter::repeat_n(100, 70).chain(std::iter::repeat_n(SHORT, 70));
        let (_, timed) = reckon(rounds);
        assert!((10 + 63..=11 + 70).contains(&timed), "{timed}");
    }
}
