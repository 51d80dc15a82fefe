//! What an encoder learns, where it is asked to: words that it has merged and their ids.

use crate::bpe::Few;
use crate::words::{Cell, Key, Seed, WORD_IDS};

/// Most bytes that are taken: a shared cache is no place for more of one encoder's.
const MOST: usize = 16 << 20;

/// Words of up to 15 bytes and four ids, each in the one cell that a secret gives it.
///
/// A later word takes an earlier one's cell. A look-up compares the full key, so that no text
/// changes the ids of another, whatever cells they share.
#[derive(Debug)]
pub(super) struct Learned {
    seed: Seed,
    /// A power of two of them.
    cells: Box<[Cell]>,
}

impl Learned {
    /// An empty cache of at most `bytes` bytes; `None` where not even one word fits.
    pub(super) fn with_room(bytes: usize) -> Option<Self> {
        let count = bytes.min(MOST) / size_of::<Cell>();
        let count = 1 << count.checked_ilog2()?;
        Some(Self { seed: Seed::random(), cells: vec![Cell::FREE; count].into() })
    }

    fn place(&self, key: Key) -> usize {
        (self.seed.hash(key) >> 32) as usize & (self.cells.len() - 1)
    }

    /// The ids of the word of `key`, if it has been learned.
    pub(super) fn get(&self, key: Key) -> Option<Few> {
        let cell = &self.cells[self.place(key)];
        cell.is(&key).then(|| {
            let mut few = Few { count: cell.count() as u32, ..Few::default() };
            few.ids[..WORD_IDS].copy_from_slice(&cell.ids());
            few
        })
    }

    /// Keeps the ids of the word of `key`, if they are few enough.
    pub(super) fn put(&mut self, key: Key, few: &Few) {
        let ids = few.ids.get(..few.count as usize).unwrap_or_default();
        if key.is_word() && (1..=WORD_IDS).contains(&ids.len()) {
            self.cells[self.place(key)] = Cell::new(key, ids);
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_to_its_room_and_knows_only_what_it_was_given() {
        assert!(Learned::with_room(31).is_none());
        let mut learned = Learned::with_room(100).unwrap();
        assert_eq!(learned.memory(), 64);
        let few = |ids: &[u32]| {
            let mut few = Few { count: ids.len() as u32, ..Few::default() };
            few.ids[..ids.len()].copy_from_slice(ids);
            few
        };
        for n in 0..1000u32 {
            let key = Key::of(&n.to_le_bytes());
            assert!(learned.get(key).is_none(), "never put");
            learned.put(key, &few(&[n, n + 1]));
            let found = learned.get(key).unwrap();
            assert_eq!(found.ids[..found.count as usize], [n, n + 1]);
        }
        let known = (0..1000u32).filter(|n| learned.get(Key::of(&n.to_le_bytes())).is_some());
        assert!((1..=2).contains(&known.count()));
        let many = Key::of(b"many");
        learned.put(many, &few(&[1, 2, 3, 4, 5]));
        assert!(learned.get(many).is_none());
    }
}
