//! Which tokens are dropped.

use super::length::xlog;
use crate::trie::Trie;

/// The indexes of `tokens` without the `drop` whose removal lengthens the text least; those of one
/// byte stay.
///
/// A removal is judged by the parts into which longest match would cut the token itself, with the counts
/// that the removals before it have left.
pub(super) fn keep(tokens: &[Vec<u8>], counts: &[u64], trie: &Trie, drop: usize) -> Vec<bool> {
    let parts: Vec<Vec<u32>> = tokens.iter().map(|token| parts(token, trie)).collect();
    let mut counts: Vec<f64> = counts.iter().map(|&c| c as f64).collect();
    let mut all: f64 = counts.iter().sum();
    let mut order: Vec<(f64, usize)> = (0..tokens.len())
        .filter(|&index| tokens[index].len() > 1)
        .map(|index| (loss(&counts, all, index, &parts[index]), index))
        .collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then_with(|| tokens[a.1].cmp(&tokens[b.1])));
    // What is worse than this now is not looked at again in this call.
    let mut limit = order.get(drop.saturating_sub(1)).map_or(f64::MAX, |(loss, _)| *loss);
    let mut kept = vec![true; tokens.len()];
    let mut left = drop;
    while left > 0 {
        let before = left;
        for &(_, index) in &order {
            if left == 0 {
                break;
            }
            if !kept[index] || loss(&counts, all, index, &parts[index]) > limit {
                continue;
            }
            kept[index] = false;
            left -= 1;
            all += counts[index] * (parts[index].len() as f64 - 1.0);
            for &part in &parts[index] {
                counts[part as usize] += counts[index];
            }
            counts[index] = 0.0;
        }
        if before == left && limit == f64::MAX {
            break;
        }
        limit = if limit > 0.0 { limit * 2.0 } else { 1.0 };
        if !limit.is_finite() || limit > 1e18 {
            limit = f64::MAX;
        }
    }
    kept
}

/// The tokens that longest match takes in `token` when it is not there itself.
fn parts(token: &[u8], trie: &Trie) -> Vec<u32> {
    let Some((_, mut rest)) = token.split_last().filter(|(_, head)| !head.is_empty()) else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some((id, len)) = trie.longest(rest) {
        parts.push(id);
        at += len;
        rest = &token[at..];
    }
    parts
}

/// By how many bits the text lengthens when `parts` stand for a token.
fn loss(counts: &[f64], all: f64, index: usize, parts: &[u32]) -> f64 {
    let count = counts[index];
    let mut loss = xlog(all + count * (parts.len() as f64 - 1.0)) - xlog(all) + xlog(count);
    for (at, &part) in parts.iter().enumerate() {
        // Several times in one token: the later ones add to what the earlier ones have added.
        let earlier = parts[..at].iter().filter(|&&other| other == part).count() as f64;
        let from = counts[part as usize] + earlier * count;
        loss -= xlog(from + count) - xlog(from);
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::length::bits;

    #[test]
    fn a_loss_is_the_difference_of_lengths() {
        // Tokens a, b, aba: the last becomes a, b, a.
        let (before, after) = (bits(&[5, 7, 11]), bits(&[27, 18, 0]));
        let found = loss(&[5.0, 7.0, 11.0], 23.0, 2, &[0, 1, 0]);
        assert!((found - (after - before)).abs() < 1e-9);
    }

    #[test]
    fn the_least_useful_go_and_bytes_stay() {
        let words: [&[u8]; 4] = [b"a", b"b", b"ab", b"ba"];
        let tokens = words.map(<[u8]>::to_vec);
        let trie = Trie::build((0..).zip(words)).unwrap();
        assert_eq!(keep(&tokens, &[1, 1, 500, 2], &trie, 1), [true, true, true, false]);
        assert_eq!(keep(&tokens, &[0, 0, 0, 0], &trie, 9), [true, true, false, false]);
    }
}
