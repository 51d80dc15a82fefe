//! The symbols of one grammar, numbered as they first occur.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::symbol::{Symbol, SymbolId};

/// Symbols of each class that a table can hold.
pub const SYMBOLS_MAX: usize = 1 << 15;

const CHUNK: usize = 256;

type Chunk = Box<[AtomicU64; CHUNK]>;

/// One class of symbols: read without a lock, appended under the table's.
#[derive(Debug)]
struct Column(Box<[OnceLock<Chunk>]>);

impl Column {
    fn new() -> Self {
        Self((0..SYMBOLS_MAX / CHUNK).map(|_| OnceLock::new()).collect())
    }

    #[inline]
    fn get(&self, index: u16) -> Option<(Symbol, u16)> {
        let chunk = self.0.get(usize::from(index) / CHUNK)?.get()?;
        // Pairs with the store in `set`: whoever has the number got it after that store.
        let slot = chunk[usize::from(index) % CHUNK].load(Ordering::Acquire);
        if slot == 0 {
            return None;
        }
        let bits = !slot;
        let symbol = Symbol::from_bits(bits & (u64::MAX >> 16))?;
        Some((symbol, (bits >> 48) as u16))
    }

    /// Slots hold the complement: an empty one would be a leaf without a text that is quoted.
    fn set(&self, index: u16, symbol: Symbol, implied: u16) {
        let new = || Box::new([const { AtomicU64::new(0) }; CHUNK]);
        let chunk = self.0[usize::from(index) / CHUNK].get_or_init(new);
        let bits = symbol.bits() | u64::from(implied) << 48;
        chunk[usize::from(index) % CHUNK].store(!bits, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<Symbol, SymbolId, foldhash::fast::RandomState>,
    lens: [u16; 2],
}

/// Numbers symbols, and gives them back. Only grows, so that a number means the same to every tree
/// of the grammar in this process.
#[derive(Debug)]
pub struct SymbolTable {
    known: Mutex<Known>,
    columns: [Column; 2],
}

impl Default for SymbolTable {
    fn default() -> Self {
        Self { known: Mutex::default(), columns: [Column::new(), Column::new()] }
    }
}

impl SymbolTable {
    /// The number of `symbol`, a new one if it is met for the first time; none when its class has
    /// [`SYMBOLS_MAX`] already. `implied` are the bytes of a leaf of it that is not measured.
    pub fn intern(&self, symbol: Symbol, implied: u16) -> Option<SymbolId> {
        let mut known = self.lock();
        if let Some(id) = known.ids.get(&symbol) {
            return Some(*id);
        }
        let class = usize::from(symbol.is_measured_leaf());
        let index = known.lens[class];
        if usize::from(index) == SYMBOLS_MAX {
            return None;
        }
        let id = SymbolId::new(symbol.is_measured_leaf(), index);
        self.columns[class].set(index, symbol, implied);
        known.ids.insert(symbol, id);
        known.lens[class] += 1;
        Some(id)
    }

    /// The symbol that has number `id`, and the bytes of a leaf of it that is not measured.
    #[inline]
    pub fn get(&self, id: SymbolId) -> Option<(Symbol, u16)> {
        self.columns[usize::from(id.is_measured_leaf())].get(id.index())
    }

    /// Symbols of each class: others, leaves whose length is stored.
    pub fn lens(&self) -> [u16; 2] {
        self.lock().lens
    }

    /// All symbols of a class in the order of their numbers.
    pub fn symbols(&self, measured_leaves: bool) -> Vec<Symbol> {
        let len = self.lens()[usize::from(measured_leaves)];
        let symbol = |index| Some(self.get(SymbolId::new(measured_leaves, index))?.0);
        (0..len).filter_map(symbol).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing under the lock can leave it half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::Flags;

    #[test]
    fn numbers_are_stable_and_classes_apart() {
        let table = SymbolTable::default();
        let leaf = Flags::LEAF.with(Flags::MEASURED);
        let ids: Vec<_> = (0..1000u16)
            .map(|kind| {
                let flags = if kind % 3 == 0 { leaf } else { Flags::NAMED };
                (table.intern(Symbol::new(kind, 0, flags), 7).unwrap(), kind, flags)
            })
            .collect();
        for (id, kind, flags) in ids {
            assert_eq!(table.intern(Symbol::new(kind, 0, flags), 7), Some(id));
            assert_eq!(table.get(id), Some((Symbol::new(kind, 0, flags), 7)));
            assert_eq!(id.is_measured_leaf(), flags == leaf);
        }
        assert_eq!(table.lens(), [666, 334]);
        assert_eq!(table.get(SymbolId::new(true, 334)), None);
    }

    #[test]
    fn a_full_class_refuses() {
        let table = SymbolTable::default();
        for kind in 0..SYMBOLS_MAX {
            assert!(table.intern(Symbol::new(kind as u16, 0, Flags::NAMED), 7).is_some());
        }
        assert_eq!(table.intern(Symbol::new(40_000, 0, Flags::NAMED), 7), None);
        assert!(table.intern(Symbol::new(1, 0, Flags::NAMED), 7).is_some());
    }
}
