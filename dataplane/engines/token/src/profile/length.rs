//! The length of a text in bits, and what changes of the vocabulary do to it.

/// x·log₂x, 0 at 0 and below.
pub(super) fn xlog(x: f64) -> f64 {
    if x > 0.0 { x * x.log2() } else { 0.0 }
}

/// Bits of a text whose tokens occur `counts` times; the same for any order of them.
pub(super) fn bits(counts: &[u64]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let all: u64 = sorted.iter().sum();
    xlog(all as f64) - sorted.iter().map(|&c| xlog(c as f64)).sum::<f64>()
}

/// By how many bits the text shortens when `joined` of the `all` tokens, at neighbours that occur
/// `left` and `right` times, become one new token. `same`: both are the same token.
pub(super) fn gain_of_join(all: f64, left: f64, right: f64, same: bool, joined: f64) -> f64 {
    let parts = if same {
        xlog(left) - xlog(left - 2.0 * joined)
    } else {
        xlog(left) - xlog(left - joined) + xlog(right) - xlog(right - joined)
    };
    xlog(all) - xlog(all - joined) - parts + xlog(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_the_difference_of_lengths() {
        let before = bits(&[30, 20, 50]);
        let after = bits(&[18, 8, 50, 12]);
        assert!((gain_of_join(100.0, 30.0, 20.0, false, 12.0) - (before - after)).abs() < 1e-9);
        let doubled = bits(&[30 - 24, 70, 12]);
        let before = bits(&[30, 70]);
        assert!((gain_of_join(100.0, 30.0, 30.0, true, 12.0) - (before - doubled)).abs() < 1e-9);
        assert_eq!(bits(&[8, 8, 0]), 16.0, "16 tokens of one bit");
        assert_eq!(bits(&[]), 0.0);
    }
}
