//! Merging a piece of up to 64 bytes where it lies.
//!
//! Each byte has a slot. A slot whose token has merged into the one before it is dead. The slot of a
//! live token holds, beside its number, the rank of merging it with the next live one; rank and
//! position make one integer, so that the least of them is the next merge, leftmost among equals.

use super::{Bpe, NONE};

/// Most bytes that merge at once: a slot is a bit of a word.
pub(crate) const WINDOW: usize = 64;

/// Bits of a position beside a rank.
pub(super) const POSITION_BITS: u32 = 6;

/// What two neighbours merge into, wherever that is written.
pub(super) trait Joins {
    /// What two bytes merge into; [`NONE`] for nothing.
    fn bytes(&self, first: u8, second: u8) -> u32;
    /// What two numbers merge into; [`NONE`] for nothing.
    fn numbers(&self, left: u32, right: u32) -> u32;
}

impl Joins for Bpe {
    #[inline(always)]
    fn bytes(&self, first: u8, second: u8) -> u32 {
        debug_assert_eq!(self.bytes.len(), 1 << 16);
        let at = usize::from(first) << 8 | usize::from(second);
        // SAFETY: the table has an entry for each pair of bytes; `build` and `stored` see to it.
        unsafe { *self.bytes.get_unchecked(at) }
    }

    #[inline(always)]
    fn numbers(&self, left: u32, right: u32) -> u32 {
        self.pairs.get(left, right)
    }
}

/// The tokens of a piece: `numbers[i]` for each bit `i` of `live`, in order.
pub(crate) struct Merged {
    pub(crate) numbers: [u32; WINDOW],
    pub(crate) live: u64,
}

impl Default for Merged {
    fn default() -> Self {
        Self { numbers: [0; WINDOW], live: 0 }
    }
}

impl Merged {
    /// The numbers in order.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut live = self.live;
        std::iter::from_fn(move || {
            let at = (live != 0).then(|| live.trailing_zeros() as usize)?;
            live &= live - 1;
            Some(self.numbers[at % WINDOW])
        })
    }
}

/// The ids of a word of up to 15 bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Few {
    pub(crate) ids: [u32; 15],
    /// How many there are; what is behind them is of no account.
    pub(crate) count: u32,
}

/// A piece of 16 to 64 bytes and its ids.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Wide {
    pub(crate) bytes: [u8; WINDOW],
    pub(crate) ids: [u32; WINDOW],
    /// Bytes of the piece.
    pub(crate) len: u32,
    /// How many ids there are; what is behind them is of no account.
    pub(crate) count: u32,
}

impl Default for Wide {
    fn default() -> Self {
        Self { bytes: [0; WINDOW], ids: [0; WINDOW], len: 0, count: 0 }
    }
}

impl Wide {
    /// The piece's bytes.
    #[inline(always)]
    pub(super) fn piece(&self) -> &[u8] {
        &self.bytes[..WINDOW.min(self.len as usize)]
    }
}

#[inline(always)]
pub(super) const fn order(rank: u32, position: usize) -> u32 {
    rank << POSITION_BITS | position as u32
}

/// Merges `piece`, of 1 to 64 bytes.
#[inline(always)]
pub(super) fn merge(joins: &impl Joins, piece: &[u8]) -> Merged {
    let len = piece.len();
    debug_assert!((1..=WINDOW).contains(&len));
    let mut numbers = [0u32; WINDOW];
    let mut orders = [u32::MAX; WINDOW];
    for (slot, &byte) in numbers.iter_mut().zip(piece) {
        *slot = u32::from(byte);
    }
    for (at, pair) in piece.windows(2).enumerate() {
        orders[at] = order(joins.bytes(pair[0], pair[1]), at);
    }
    let used = len.next_multiple_of(16).min(WINDOW);
    let mut live = u64::MAX >> (WINDOW - len);
    loop {
        let least = orders[..used].iter().fold(u32::MAX, |least, &order| least.min(order));
        if least >= NONE << POSITION_BITS {
            return Merged { numbers, live };
        }
        let at = least as usize % WINDOW;
        let above = live & (u64::MAX << at << 1);
        let taken = above.trailing_zeros() as usize % WINDOW;
        live &= !(1 << taken);
        let number = least >> POSITION_BITS;
        numbers[at] = number;
        orders[taken] = u32::MAX;
        let above = above & (above - 1);
        let right = if above == 0 {
            NONE
        } else {
            joins.numbers(number, numbers[above.trailing_zeros() as usize % WINDOW])
        };
        orders[at] = order(right, at);
        let below = live & ((1 << at) - 1);
        if below != 0 {
            let before = 63 - below.leading_zeros() as usize;
            orders[before] = order(joins.numbers(numbers[before], number), before);
        }
    }
}

/// Merges a piece of any length, in time quadratic in it: for tokens when a vocabulary is compiled.
pub(super) fn merge_any(joins: &impl Joins, piece: &[u8]) -> Vec<u32> {
    if (1..=WINDOW).contains(&piece.len()) {
        return merge(joins, piece).iter().collect();
    }
    let mut numbers: Vec<u32> = piece.iter().map(|&byte| u32::from(byte)).collect();
    let pairs = piece.windows(2);
    let mut ranks: Vec<u32> = pairs.map(|pair| joins.bytes(pair[0], pair[1])).collect();
    loop {
        let least = ranks.iter().enumerate().min_by_key(|&(at, rank)| (*rank, at));
        let Some((at, &number)) = least.filter(|&(_, &rank)| rank < NONE) else {
            return numbers;
        };
        numbers[at] = number;
        numbers.remove(at + 1);
        ranks.remove(at);
        if let Some(&right) = numbers.get(at + 1) {
            ranks[at] = joins.numbers(number, right);
        }
        if at > 0 {
            ranks[at - 1] = joins.numbers(numbers[at - 1], number);
        }
    }
}
