//! Reducers: payloads of known layouts, decoded and brought together.
//!
//! All numbers are big-endian. `counts`: version 1 (8 bits), order (8), n (16), n times token (32)
//! and count (32). `probabilities`: version 1 (8), order (8), n (16), n times token (32), quantized
//! log-probability (8) and back-off (16; 0xFFFF for none). `continuation`: version 1 (8), token
//! (32), contexts (32). These are the layouts that the clients of cheetah-db write.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use thiserror::Error;

/// Layout of payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Tokens and how often they were seen.
    Counts,
    /// Tokens, their quantized log-probabilities, and back-offs.
    Probabilities,
    /// A token and the number of contexts that it continues.
    Continuation,
}

/// Why a payload was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// It is shorter or longer than it says.
    #[error("a payload of {len} bytes, where its head asks for {wanted}")]
    Length {
        /// Its bytes.
        len: usize,
        /// Those that it should have.
        wanted: usize,
    },
    /// It is of another version.
    #[error("a payload of version {version}; only version 1 is known")]
    Version {
        /// The version.
        version: u8,
    },
}

/// What is known of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Payloads that have it.
    pub seen: u64,
    /// Its values' sum; no overflow: it stays at the greatest.
    pub sum: u64,
    /// The least value.
    pub min: u32,
    /// The greatest value.
    pub max: u32,
    /// The greatest back-off, of those that have one.
    pub backoff: Option<u16>,
}

/// One token's value in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    token: u32,
    value: u32,
    backoff: Option<u16>,
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

impl Layout {
    /// The layout of that name: as reducers are called in the grammar.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "counts" | "count" => Self::Counts,
            "probabilities" | "probs" | "backoffs" => Self::Probabilities,
            "continuations" | "continuation" => Self::Continuation,
            _ => return None,
        })
    }

    fn decode(self, payload: &[u8], mut each: impl FnMut(Item)) -> Result<(), LayoutError> {
        let item = match self {
            Self::Counts => 8,
            Self::Probabilities => 7,
            Self::Continuation => 8,
        };
        let (head, n) = match self {
            Self::Continuation => (1, 1),
            _ => (4, usize::from(u16_of(payload.get(2..).unwrap_or_default()))),
        };
        let (len, wanted) = (payload.len(), head + n * item);
        if len != wanted {
            return Err(LayoutError::Length { len, wanted });
        }
        if payload[0] != 1 {
            return Err(LayoutError::Version { version: payload[0] });
        }
        for bytes in payload[head..].chunks_exact(item) {
            let (token, rest) = (u32_of(bytes), &bytes[4..]);
            each(match self {
                Self::Probabilities => {
                    let backoff = Some(u16_of(&rest[1..])).filter(|&backoff| backoff != 0xffff);
                    Item { token, value: u32::from(rest[0]), backoff }
                }
                _ => Item { token, value: u32_of(rest), backoff: None },
            });
        }
        Ok(())
    }
}

/// Brings payloads together, token by token.
#[derive(Clone, Debug)]
pub struct Reducer {
    layout: Layout,
    tokens: HashMap<u32, Aggregate, RandomState>,
    /// Payloads taken in.
    pub payloads: u64,
    /// Payloads that were not of the layout.
    pub refused: u64,
}

impl Reducer {
    /// A reducer of payloads of `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, tokens: HashMap::default(), payloads: 0, refused: 0 }
    }

    /// Takes a payload in.
    ///
    /// # Errors
    /// When it is not of the layout; nothing of it is taken in, and it is counted.
    pub fn add(&mut self, payload: &[u8]) -> Result<(), LayoutError> {
        let tokens = &mut self.tokens;
        let taken = self.layout.decode(payload, |item| {
            let new = Aggregate { seen: 0, sum: 0, min: u32::MAX, max: 0, backoff: None };
            let token = tokens.entry(item.token).or_insert(new);
            token.seen += 1;
            token.sum = token.sum.saturating_add(u64::from(item.value));
            token.min = token.min.min(item.value);
            token.max = token.max.max(item.value);
            token.backoff = token.backoff.max(item.backoff);
        });
        *if taken.is_ok() { &mut self.payloads } else { &mut self.refused } += 1;
        taken
    }

    /// Takes in what another reducer of the same layout has.
    pub fn merge(&mut self, other: &Self) {
        for (&token, from) in &other.tokens {
            let into = self.tokens.entry(token).or_insert(Aggregate { seen: 0, sum: 0, ..*from });
            into.seen += from.seen;
            into.sum = into.sum.saturating_add(from.sum);
            into.min = into.min.min(from.min);
            into.max = into.max.max(from.max);
            into.backoff = into.backoff.max(from.backoff);
        }
        self.payloads += other.payloads;
        self.refused += other.refused;
    }

    /// Tokens seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What is known of `token`.
    #[must_use]
    pub fn get(&self, token: u32) -> Option<Aggregate> {
        self.tokens.get(&token).copied()
    }

    /// The `k` tokens with the greatest sums, greatest first; of equal ones the lesser token first.
    #[must_use]
    pub fn top(&self, k: usize) -> Vec<(u32, Aggregate)> {
        let mut all: Vec<_> = self.tokens.iter().map(|(&token, &of)| (token, of)).collect();
        let order = |(a, of_a): &(u32, Aggregate), (b, of_b): &(u32, Aggregate)| {
            of_b.sum.cmp(&of_a.sum).then(a.cmp(b))
        };
        if k < all.len() && k > 0 {
            all.select_nth_unstable_by(k - 1, order);
        }
        all.truncate(k);
        all.sort_unstable_by(order);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(items: &[(u32, u32)]) -> Vec<u8> {
        let mut payload = vec![1, 2];
        payload.extend_from_slice(&(items.len() as u16).to_be_bytes());
        for (token, count) in items {
            payload.extend_from_slice(&token.to_be_bytes());
            payload.extend_from_slice(&count.to_be_bytes());
        }
        payload
    }

    #[test]
    fn counts_are_summed_and_ranked() {
        let (mut one, mut two) = (Reducer::new(Layout::Counts), Reducer::new(Layout::Counts));
        one.add(&counts(&[(7, 10), (8, 1)])).unwrap();
        two.add(&counts(&[(7, 5), (9, 15)])).unwrap();
        two.add(&counts(&[])).unwrap();
        one.merge(&two);
        let seven = Aggregate { seen: 2, sum: 15, min: 5, max: 10, backoff: None };
        assert_eq!(one.get(7), Some(seven));
        let top: Vec<u32> = one.top(2).iter().map(|(token, _)| *token).collect();
        assert_eq!((top, one.len(), one.payloads), (vec![7, 9], 3, 3));
        assert_eq!((one.top(0), one.top(9).len()), (vec![], 3));
    }

    #[test]
    fn probabilities_and_continuations_are_decoded() {
        let mut reducer = Reducer::new(Layout::Probabilities);
        reducer.add(&[1, 1, 0, 2, 0, 0, 0, 5, 200, 0, 9, 0, 0, 0, 6, 100, 255, 255]).unwrap();
        assert_eq!(reducer.get(5).unwrap().backoff, Some(9));
        assert_eq!((reducer.get(6).unwrap().backoff, reducer.get(6).unwrap().max), (None, 100));
        let mut reducer = Reducer::new(Layout::Continuation);
        reducer.add(&[1, 0, 0, 0, 5, 0, 0, 1, 0]).unwrap();
        assert_eq!(reducer.get(5).unwrap().sum, 256);
    }

    #[test]
    fn what_is_not_of_the_layout_is_refused_whole() {
        let mut reducer = Reducer::new(Layout::Counts);
        let mut payload = counts(&[(1, 1), (2, 2)]);
        payload.pop();
        assert_eq!(reducer.add(&payload), Err(LayoutError::Length { len: 19, wanted: 20 }));
        payload.push(0);
        payload[0] = 2;
        assert_eq!(reducer.add(&payload), Err(LayoutError::Version { version: 2 }));
        for len in 0..4 {
            assert!(reducer.add(&payload[..len]).is_err());
        }
        assert!(reducer.is_empty());
        assert_eq!((reducer.payloads, reducer.refused), (0, 6));
    }
}
