//! Words of up to 15 bytes and the ids that they become: one aligned cell per look-up.
//!
//! The keys are known when a vocabulary is compiled, so that the table is a perfect hash: a secret
//! seed and one byte of displacement per bucket (as in PTHash and CHD) give every key a cell of its
//! own. A look-up reads one displacement and one 32-byte cell, compares the full key, and is done,
//! whether the word is there or not.
//!
//! That fixed cost is also why the table's seed need not be secret once it lies in a file: no text
//! can make a look-up take longer than any other, and nothing in the table changes with the text.

mod build;
mod list;
mod long;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use build::Builder;
pub(crate) use list::listed;
pub(crate) use long::LongWords;

use bytemuck::{Pod, Zeroable};

use crate::Table;
use crate::pages::Granted;

/// Most bytes of a word in the table.
pub(crate) const WORD_BYTES: usize = 15;
/// Most ids that a word becomes.
pub(crate) const WORD_IDS: usize = 4;
/// Bits of an id in a cell; above them in the last one stands the number of ids less one.
const ID_BITS: u32 = 30;
/// Clears the bits above the ids.
const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// A word of up to 15 bytes, zero-padded, its length in the last byte.
///
/// That byte is 255 in the key of a longer piece, which so is in no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(16))]
pub(crate) struct Key {
    /// Bytes 0–7, little-endian.
    pub(crate) low: u64,
    /// Bytes 8–14 and the length, little-endian.
    pub(crate) high: u64,
}

/// What is kept of 16 loaded bytes for a word of some length, and what its last byte becomes.
#[repr(C, align(32))]
struct Mask {
    keep: [u64; 2],
    length: u64,
}

/// By length; one for all that are too long.
static MASKS: [Mask; 17] = masks();

const fn masks() -> [Mask; 17] {
    let mut masks = [const { Mask { keep: [0; 2], length: 255 << 56 } }; 17];
    let mut len = 0;
    while len < 16 {
        let keep: u128 = (1 << (8 * len)) - 1;
        masks[len].keep = [keep as u64, (keep >> 64) as u64];
        masks[len].length = (len as u64) << 56;
        len += 1;
    }
    masks
}

impl Key {
    /// The key of the `len` bytes at `start`.
    ///
    /// # Safety
    /// 16 bytes must be readable from `start`, whatever `len` is.
    #[inline(always)]
    pub(crate) unsafe fn load(start: *const u8, len: usize) -> Self {
        let mask = &MASKS[len.min(16)];
        // SAFETY: 16 bytes are readable by the caller; a key is any 16 bytes.
        let loaded: Self = unsafe { start.cast::<Self>().read_unaligned() };
        Self {
            low: u64::from_le(loaded.low) & mask.keep[0],
            high: u64::from_le(loaded.high) & mask.keep[1] | mask.length,
        }
    }

    /// The key of `word`; that of no word where it is longer than 15 bytes.
    pub(crate) fn of(word: &[u8]) -> Self {
        let mut padded = [0; 16];
        let len = word.len().min(16);
        padded[..len].copy_from_slice(&word[..len]);
        // SAFETY: `padded` has 16 bytes.
        unsafe { Self::load(padded.as_ptr(), word.len()) }
    }

    /// Bytes of the word; 255 for no word.
    #[inline(always)]
    pub(crate) const fn len(self) -> usize {
        (self.high >> 56) as usize
    }

    /// Whether it is that of a word.
    #[inline(always)]
    pub(crate) const fn is_word(self) -> bool {
        debug_assert!(self.len() > 0);
        self.len() <= WORD_BYTES
    }

    /// The word's bytes, zero-padded, and their number; `None` for the key of no word.
    pub(crate) fn word(self) -> Option<([u8; 16], usize)> {
        let bytes = (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes();
        self.is_word().then_some((bytes, self.len()))
    }
}

/// A secret that the hash of words starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Seed([u64; 2]);

impl Seed {
    /// One that nobody can foretell, or, without a source of randomness, the address of a variable.
    pub(crate) fn random() -> Self {
        let mut bytes = [0u8; 16];
        if getrandom::fill(&mut bytes).is_err() {
            let here = std::ptr::from_ref(&bytes) as u64;
            return Self([
                here ^ 0x9e37_79b9_7f4a_7c15,
                here.rotate_left(32) ^ 0xbf58_476d_1ce4_e5b9,
            ]);
        }
        Self(bytemuck::cast(bytes))
    }

    /// The 64-bit hash of `key`: both halves of a 128-bit product.
    #[inline(always)]
    pub(crate) fn hash(self, key: Key) -> u64 {
        let product = u128::from(key.low ^ self.0[0]) * u128::from(key.high ^ self.0[1]);
        product as u64 ^ (product >> 64) as u64
    }
}

/// A word with its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(32))]
pub(crate) struct Cell {
    key: Key,
    ids: [u32; WORD_IDS],
}

impl Cell {
    /// No word: the key of a piece that is too long with a length that no key has.
    pub(crate) const FREE: Self = Self { key: Key { low: 0, high: 254 << 56 }, ids: [0; WORD_IDS] };

    /// The word of `key` with its one to four ids.
    pub(crate) fn new(key: Key, ids: &[u32]) -> Self {
        debug_assert!((1..=WORD_IDS).contains(&ids.len()));
        let mut cell = Self { key, ids: [0; WORD_IDS] };
        cell.ids[..ids.len()].copy_from_slice(ids);
        cell.ids[WORD_IDS - 1] |= (ids.len() as u32 - 1) << ID_BITS;
        cell
    }

    /// How many ids the word has, 1 to 4.
    #[inline(always)]
    pub(crate) const fn count(&self) -> usize {
        (self.ids[WORD_IDS - 1] >> ID_BITS) as usize + 1
    }

    /// The ids, of which the first [`Cell::count`] are the word's.
    #[inline(always)]
    pub(crate) const fn ids(&self) -> [u32; WORD_IDS] {
        let [a, b, c, d] = self.ids;
        [a, b, c, d & ID_MASK]
    }

    /// Whether the word is `key`'s.
    #[inline(always)]
    pub(crate) fn is(&self, key: &Key) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8};
            // SAFETY: SSE2 is part of x86-64; both keys are 16 bytes at 16-byte aligned addresses.
            unsafe {
                let a = _mm_load_si128(std::ptr::from_ref(&self.key).cast());
                let b = _mm_load_si128(std::ptr::from_ref(key).cast());
                _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) == 0xffff
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self.key == *key
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct WordTable {
    seed: Seed,
    /// A power of two of them; what a bucket's hashes are multiplied by is `2 * pilot + 1`.
    pilots: Table<u8>,
    cells: Table<Cell>,
    len: usize,
}

impl WordTable {
    /// The ids of `word`, if it is in the table.
    #[cfg(test)]
    pub(crate) fn get(&self, word: &[u8]) -> Option<([u32; WORD_IDS], usize)> {
        let key = Key::of(word);
        let view = self.view();
        let cell = view.cell(view.slot(key));
        cell.is(&key).then(|| (cell.ids(), cell.count()))
    }

    /// What the cells lie in.
    pub(crate) fn granted(&self) -> Granted {
        self.cells.granted()
    }

    /// Number of words.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.pilots) + size_of_val(&*self.cells)
    }

    /// The arrays, taken once per call of an encoder.
    #[inline(always)]
    pub(crate) fn view(&self) -> WordView<'_> {
        WordView { seed: self.seed, pilots: &self.pilots, cells: &self.cells }
    }
}

/// The arrays of a [`WordTable`], borrowed.
#[derive(Clone, Copy)]
pub(crate) struct WordView<'a> {
    seed: Seed,
    pilots: &'a [u8],
    cells: &'a [Cell],
}

/// The cell of a hash among `cells` cells, in a bucket of displacement `pilot`.
#[inline(always)]
const fn place(hash: u64, pilot: u8, cells: usize) -> u32 {
    let spread = hash.wrapping_mul(pilot as u64 * 2 + 1);
    ((spread as u128 * cells as u128) >> 64) as u32
}

impl<'a> WordView<'a> {
    /// The number of the one cell where `key` can be.
    #[inline(always)]
    pub(crate) fn slot(self, key: Key) -> u32 {
        let hash = self.seed.hash(key);
        let bucket = hash as usize & (self.pilots.len() - 1);
        // SAFETY: the number of pilots is a power of two and not 0 (`build` and `stored` see to
        // it), so that the mask keeps the index below it.
        let pilot = unsafe { *self.pilots.get_unchecked(bucket) };
        place(hash, pilot, self.cells.len())
    }

    /// The cell of number `slot`, which comes from [`WordView::slot`].
    #[inline(always)]
    pub(crate) fn cell(self, slot: u32) -> &'a Cell {
        debug_assert!((slot as usize) < self.cells.len());
        // SAFETY: `place` scales a 64-bit number below 2^64 to the number of cells, so that the
        // slot is below it.
        unsafe { self.cells.get_unchecked(slot as usize) }
    }

    /// Asks the processor to fetch the cell of number `slot`.
    #[inline(always)]
    pub(crate) fn prefetch(self, slot: u32) {
        let cell = self.cells.as_ptr().wrapping_add(slot as usize);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64, and a prefetch of any address cannot fault.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(cell.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: `prfm` of any address cannot fault.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) cell, options(nostack, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = cell;
    }
}
