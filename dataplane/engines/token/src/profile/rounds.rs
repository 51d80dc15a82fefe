//! The rounds of a build.

use super::count::{Counts, chunks, count};
use super::grow::Limits;
use super::measure::{Measure, check_text, threads_of};
use super::{BuildError, BuildOptions, Progress, grow, prune};
use crate::trie::Trie;
use crate::vocab::{Grammar, MAX_ID, MAX_TOKEN_BYTES, Mode, Ranks, Unknown, VocabSource};

/// Rounds in which the vocabulary grows beyond the size asked for. Tokens at most double in length in
/// one.
const GROWTH: usize = 10;
/// How far it grows: this many times the size, and no less than by [`POOL_LEAST`] tokens.
const POOL: usize = 3;
const POOL_LEAST: usize = 4096;
/// The share of the tokens beyond the bytes that one round of pruning leaves.
const LEAVE: f64 = 0.75;
/// Tokens that a refinement tries beyond the size: this share in the first one, less in each later.
const SURPLUS: f64 = 0.25;
const DECAY: f64 = 0.75;

/// A vocabulary, and what it makes of the text that it was built from.
#[derive(Clone, Debug)]
pub struct Built {
    /// Longest match over as many tokens as were asked for: ids 0 to 255 are the bytes, then tokens by
    /// descending frequency.
    pub source: VocabSource,
    /// On the text that it was built from.
    pub measure: Measure,
}

/// Builds a vocabulary of `options.size` tokens from `texts`; `progress` is told of each segmentation.
///
/// No token reaches from one text into the next.
///
/// # Errors
/// [`BuildError`], when options are out of range or the text has too few different strings.
pub fn build(
    texts: &[&[u8]],
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Built, BuildError> {
    check(texts, options)?;
    let bytes = texts.iter().map(|text| text.len()).sum();
    let mut builder = Builder {
        chunks: chunks(texts),
        bytes,
        options,
        tokens: (0..=255).map(|byte| vec![byte]).collect(),
        best: None,
        done: 0,
        progress,
    };
    builder.grow()?;
    builder.refine();
    builder.result()
}

fn check(texts: &[&[u8]], options: &BuildOptions) -> Result<(), BuildError> {
    let most = MAX_ID as usize + 1;
    if !(256..=most).contains(&options.size) {
        return Err(BuildError::Size { size: options.size, most });
    }
    if !(1..=MAX_TOKEN_BYTES).contains(&options.longest) {
        return Err(BuildError::Longest { longest: options.longest, most: MAX_TOKEN_BYTES });
    }
    check_text(texts.iter().map(|text| text.len()).sum())
}

struct Builder<'a> {
    chunks: Vec<&'a [u8]>,
    bytes: usize,
    options: &'a BuildOptions,
    tokens: Vec<Vec<u8>>,
    /// The best vocabulary of the size asked for, with its counts.
    best: Option<(Measure, Vec<Vec<u8>>, Vec<u64>)>,
    done: usize,
    progress: &'a mut dyn FnMut(Progress),
}

impl Builder<'_> {
    /// Segmentations of the whole build.
    fn passes(&self) -> usize {
        let (pool, size) = (self.pool() - 256, (self.options.size - 256).max(1));
        let prunes = ((pool as f64 / size as f64).ln() / -LEAVE.ln()).ceil() as usize;
        GROWTH + prunes + 1 + 2 * self.options.refinements
    }

    /// Tokens to grow to before pruning.
    fn pool(&self) -> usize {
        256 + ((self.options.size - 256) * POOL).max(POOL_LEAST)
    }

    fn trie(&self) -> Result<Trie, BuildError> {
        let tokens = self.tokens.iter().map(Vec::as_slice);
        // A trie that is too large has more prefixes than any text that is read has bytes to give.
        Trie::build((0..).zip(tokens))
            .map_err(|_| BuildError::TooFew { asked: self.options.size, found: self.tokens.len() })
    }

    fn segment(&mut self, trie: &Trie, pairs: bool) -> Counts {
        let threads = threads_of(self.options.threads);
        let counts = count(trie, self.tokens.len(), &self.chunks, pairs, threads);
        let measure = Measure::of(&counts.tokens, self.bytes);
        let of = self.passes();
        self.done = of.min(self.done + 1);
        (self.progress)(Progress {
            done: self.done,
            of,
            tokens: self.tokens.len(),
            bits_per_byte: measure.bits_per_byte,
        });
        let better = self.best.as_ref().is_none_or(|b| measure.bits_per_byte < b.0.bits_per_byte);
        if self.tokens.len() == self.options.size && better {
            self.best = Some((measure, self.tokens.clone(), counts.tokens.clone()));
        }
        counts
    }

    /// Grows well beyond the size asked for, by equal factors, then prunes to it, by equal factors.
    fn grow(&mut self) -> Result<(), BuildError> {
        let goal = self.pool() as f64 / 256.0;
        for round in 1..=GROWTH {
            let next = 256.0 * goal.powf(round as f64 / GROWTH as f64);
            let trie = self.trie()?;
            let counts = self.segment(&trie, true);
            self.join(&counts, next.round() as usize, false);
        }
        // What the text has to offer may lie in pairs that only the last joins have made, and when it
        // is short, in pairs that do not shorten it.
        for any in [false, false, true, true, true, true] {
            if self.tokens.len() >= self.options.size {
                break;
            }
            let trie = self.trie()?;
            let counts = self.segment(&trie, true);
            self.join(&counts, self.options.size, any);
        }
        if self.tokens.len() < self.options.size {
            let (asked, found) = (self.options.size, self.tokens.len());
            return Err(BuildError::TooFew { asked, found });
        }
        while self.tokens.len() > self.options.size {
            let left = (self.tokens.len() - 256) as f64 * LEAVE;
            self.prune(self.options.size.max(256 + left as usize))?;
        }
        Ok(())
    }

    /// Tries other tokens in the place of the least useful.
    fn refine(&mut self) {
        let mut surplus = SURPLUS;
        for _ in 0..self.options.refinements {
            let Ok(trie) = self.trie() else { return };
            let counts = self.segment(&trie, true);
            self.join(&counts, self.surplus(surplus), false);
            let grown = self.tokens.len() > self.options.size;
            if !grown || self.prune(self.options.size).is_err() {
                return;
            }
            surplus *= DECAY;
        }
    }

    fn surplus(&self, share: f64) -> usize {
        let size = self.options.size;
        size + ((size - 256) as f64 * share).ceil() as usize
    }

    fn join(&mut self, counts: &Counts, to: usize, any: bool) {
        let most = to.saturating_sub(self.tokens.len());
        // Short texts have few stretches to be spread over.
        let spread = self.options.spread.min(1 + (self.bytes >> 20) as u32);
        let limits = Limits { longest: self.options.longest, spread, any };
        let joins = grow::joins(&self.tokens, counts, most, limits);
        self.tokens.extend(joins);
    }

    fn prune(&mut self, to: usize) -> Result<(), BuildError> {
        let drop = self.tokens.len().saturating_sub(to);
        let trie = self.trie()?;
        let counts = self.segment(&trie, false);
        let kept = prune::keep(&self.tokens, &counts.tokens, &trie, drop);
        let mut kept = kept.into_iter();
        self.tokens.retain(|_| kept.next().unwrap_or(true));
        Ok(())
    }

    fn result(mut self) -> Result<Built, BuildError> {
        let trie = self.trie()?;
        self.done = self.passes() - 1;
        self.segment(&trie, false);
        let (asked, found) = (self.options.size, self.tokens.len());
        let Some((measure, tokens, counts)) = self.best else {
            return Err(BuildError::TooFew { asked, found });
        };
        let mut order: Vec<usize> = (256..tokens.len()).collect();
        order.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then_with(|| tokens[a].cmp(&tokens[b])));
        let order = (0..256).chain(order);
        let tokens = (0..).zip(order.map(|index| tokens[index].clone())).collect();
        let source = VocabSource {
            name: self.options.name.clone(),
            mode: Mode::Greedy,
            tokens,
            ranks: Ranks::ById,
            whole_piece_first: false,
            grammar: Grammar::Whole,
            specials: vec![],
            unknown: Unknown::AddBytes,
        };
        Ok(Built { source, measure })
    }
}
