//! Whether two sets of samples differ by more than chance: the rank-sum test of Mann and Whitney,
//! and a bootstrap of the ratio of medians.

/// Most pairs of set sizes for which every way to share the ranks out is counted.
const EXACT: usize = 24;
/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

/// Two-sided probability that sets of one distribution differ in rank by as much as `a` and `b`;
/// 1 when one is empty. Exact up to 24 samples without ties, else by the normal law with the
/// correction for ties.
pub(super) fn p_value(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let (twice_u, ties) = rank_sum(a, b);
    let (n, m) = (a.len(), b.len());
    if ties == 0.0 && n + m <= EXACT {
        return exact(n, m, (twice_u / 2.0).round() as usize);
    }
    let (n, m) = (n as f64, m as f64);
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let away = ((twice_u / 2.0 - n * m / 2.0).abs() - 0.5).max(0.0);
    2.0 * normal_tail(away / variance.sqrt())
}

/// Twice the statistic U of `a` (a pair that is equal counts as one half), and the sum of
/// `t³ − t` over groups of equal samples.
fn rank_sum(a: &[f64], b: &[f64]) -> (f64, f64) {
    let below = |x: f64| {
        b.iter().fold(0.0, |sum, &y| {
            sum + match x.total_cmp(&y) {
                std::cmp::Ordering::Greater => 2.0,
                std::cmp::Ordering::Equal => 1.0,
                std::cmp::Ordering::Less => 0.0,
            }
        })
    };
    let twice_u = a.iter().map(|&x| below(x)).sum();
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let groups = all.chunk_by(|x, y| x == y).map(|group| group.len() as f64);
    (twice_u, groups.map(|t| t.powi(3) - t).sum())
}

/// Share of all ways to choose `n` of `n + m` ranks whose U is as far from the middle as `u`.
fn exact(n: usize, m: usize, u: usize) -> f64 {
    let most = n * m;
    // ways[i][s]: ways to choose i of the ranks seen so far with U = s.
    let mut ways = vec![vec![0.0f64; most + 1]; n + 1];
    ways[0][0] = 1.0;
    for rank in 0..n + m {
        for i in (1..=n.min(rank + 1)).rev() {
            // The i-th of `a` at this rank is above `rank - (i - 1)` of `b`.
            let add = rank + 1 - i;
            for s in (add..=most).rev() {
                let more = ways[i - 1][s - add];
                ways[i][s] += more;
            }
        }
    }
    let total: f64 = ways[n].iter().sum();
    let far = u.abs_diff(most - u);
    let as_far = |s: &usize| s.abs_diff(most - s) >= far;
    (0..=most).filter(as_far).map(|s| ways[n][s]).sum::<f64>() / total
}

/// Probability of a standard normal value above `z` ≥ 0: Abramowitz and Stegun 26.2.17, to 1e-7.
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429]
        .iter()
        .rev()
        .fold(0.0, |sum, &c| (sum + c) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly
}

/// Median of `new` over that of `old`, with the middle 95 % of what resampling gives.
pub(super) fn ratio(old: &[f64], new: &[f64]) -> (f64, f64, f64) {
    let mut draws = Draws(0x2545_f491_4f6c_dd1d);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| over(median(draws.resample(new)), median(draws.resample(old))))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((RESAMPLES - 1) as f64 * share) as usize];
    (over(median(new.to_vec()), median(old.to_vec())), at(0.025), at(0.975))
}

fn over(new: f64, old: f64) -> f64 {
    if old == 0.0 { if new == 0.0 { 1.0 } else { f64::INFINITY } } else { new / old }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(0.0)
}

/// xorshift64: the same resamples in every run.
struct Draws(u64);

impl Draws {
    fn resample(&mut self, of: &[f64]) -> Vec<f64> {
        let mut draw = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            of[(self.0 % of.len() as u64) as usize]
        };
        (0..of.len()).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sets_have_the_published_probabilities() {
        // Of the 252 ways to share 10 ranks, one on each side is as far apart as this.
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((p_value(&low, &high) - 2.0 / 252.0).abs() < 1e-12);
        assert!((p_value(&high, &low) - 2.0 / 252.0).abs() < 1e-12);
        // Mann and Whitney's table: n = m = 4, U = 1: 0.029 on one side.
        assert!((p_value(&[1.0, 2.0, 3.0, 5.0], &[4.0, 6.0, 7.0, 8.0]) - 4.0 / 70.0).abs() < 1e-12);
        assert_eq!(p_value(&[1.0, 4.0], &[2.0, 3.0]), 1.0);
        assert_eq!(p_value(&[], &[2.0]), 1.0);
    }

    #[test]
    fn equal_sets_do_not_differ_and_large_ones_follow_the_normal_law() {
        assert_eq!(p_value(&[3.0; 6], &[3.0; 6]), 1.0);
        let a: Vec<f64> = (0..40).map(f64::from).collect();
        let b: Vec<f64> = (0..40).map(|x| f64::from(x) + 20.0).collect();
        assert!(p_value(&a, &b) < 1e-6);
        assert!(p_value(&a, &a) > 0.9);
        assert!((normal_tail(1.959_964) - 0.025).abs() < 1e-6);
    }

    #[test]
    fn the_interval_holds_the_ratio() {
        let old = [10.0, 10.1, 9.9, 10.0, 10.2];
        let new = [11.0, 11.1, 10.9, 11.0, 11.2];
        let (ratio, least, most) = ratio(&old, &new);
        assert!((ratio - 1.1).abs() < 1e-9 && least <= ratio && ratio <= most);
        assert!(least > 1.05 && most < 1.15);
    }
}
