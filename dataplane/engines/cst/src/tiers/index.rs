//! Where each tree of a store is, by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::hot::{Key, Stored};
use super::source::Note;
use crate::cold::Frozen;

/// A tree that is not on disk yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frozen: Frozen,
    pub(super) hot: Arc<Stored>,
    pub(super) note: Note,
}

impl Waiting {
    /// Bytes of memory, but for what all trees share.
    pub(super) fn bytes(&self) -> usize {
        self.frozen.bytes() + self.hot.bytes() + size_of::<Self>()
    }
}

/// Where a tree is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Waiting(Arc<Waiting>),
    /// The `number`-th tree of a segment.
    Frozen {
        segment: u32,
        number: u32,
    },
}

impl Place {
    /// What the hot tier knows it by; waiting trees are not in that.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Waiting(_) => Key::MAX,
            Self::Frozen { segment, number } => super::key_of(*segment, *number),
        }
    }

    /// Whether it is this very tree.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Waiting(one), Self::Waiting(other)) => Arc::ptr_eq(one, other),
            (Self::Frozen { .. }, Self::Frozen { .. }) => self.key() == other.key(),
            _ => false,
        }
    }
}

type Map = HashMap<Box<str>, Place, foldhash::fast::RandomState>;

/// Places by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    map: RwLock<Map>,
    /// Bytes of all names.
    names: AtomicUsize,
}

impl Index {
    pub(super) fn get(&self, name: &str) -> Option<Place> {
        self.map.read().get(name).cloned()
    }

    /// Puts a tree at a place; gives the one where it was.
    pub(super) fn put(&self, name: &str, place: Place) -> Option<Place> {
        let mut map = self.map.write();
        if let Some(slot) = map.get_mut(name) {
            return Some(std::mem::replace(slot, place));
        }
        map.insert(name.into(), place);
        self.names.fetch_add(name.len(), Ordering::Relaxed);
        None
    }

    /// Moves a tree, if it still is where it was.
    pub(super) fn move_to(&self, name: &str, from: &Place, to: Place) -> bool {
        let mut map = self.map.write();
        let slot = map.get_mut(name).filter(|slot| slot.is(from));
        slot.map(|slot| *slot = to).is_some()
    }

    pub(super) fn remove(&self, name: &str) -> Option<Place> {
        let removed = self.map.write().remove(name);
        if removed.is_some() {
            self.names.fetch_sub(name.len(), Ordering::Relaxed);
        }
        removed
    }

    /// Takes the places of `other`.
    pub(super) fn replace(&self, other: Self) {
        self.names.store(other.names.into_inner(), Ordering::Relaxed);
        *self.map.write() = other.map.into_inner();
    }

    pub(super) fn names(&self) -> Vec<Box<str>> {
        let mut names: Vec<_> = self.map.read().keys().cloned().collect();
        names.sort_unstable();
        names
    }

    pub(super) fn len(&self) -> usize {
        self.map.read().len()
    }

    /// Bytes of memory: the table, and the names as malloc rounds them.
    pub(super) fn bytes(&self) -> usize {
        let map = self.map.read();
        map.capacity() * (size_of::<(Box<str>, Place)>() + 1)
            + map.len() * 16
            + self.names.load(Ordering::Relaxed)
    }
}
