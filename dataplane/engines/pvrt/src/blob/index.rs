//! Where each chunk is: a table of digests.

use super::Digest;

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    /// First address.
    pub(super) offset: u64,
    /// Bytes; 0 in a vacant entry.
    pub(super) len: u32,
    /// How often it was retained.
    pub(super) refs: u32,
    /// How many objects and places in them it is part of.
    pub(super) parts: u32,
}

impl Entry {
    /// Whether nothing refers to it.
    pub(super) const fn is_garbage(&self) -> bool {
        self.refs == 0 && self.parts == 0
    }
}

/// Open addressing with linear probing. A slot holds 32 bits of the hash and the number of an
/// entry, so that a miss costs one cache line and a hit two. Numbers of entries stay.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    /// 0, or the hash's upper half and 1 more than the entry's number; a power of two of them, at
    /// most three quarters of which are taken.
    slots: Vec<u64>,
    /// Odd and secret: who chooses digests that begin alike cannot choose slots.
    factor: u64,
}

impl Index {
    /// An empty one with room for `chunks`.
    pub(super) fn new(chunks: usize) -> Self {
        let slots = (chunks + chunks / 2).next_power_of_two().max(64);
        // Without the kernel's random numbers the table serves all the same.
        let factor = getrandom::u64().unwrap_or(0x9E37_79B9_7F4A_7C15) | 1;
        let entries = Vec::with_capacity(chunks);
        Self { entries, vacant: Vec::new(), slots: vec![0; slots], factor }
    }

    /// Chunks that it has.
    pub(super) const fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    #[inline]
    const fn hash(&self, digest: &Digest) -> u64 {
        // The product's upper bits hang on all of the factor and of the digest's first bytes.
        let product = digest.head() as u128 * self.factor as u128;
        (product >> 64) as u64 ^ product as u64
    }

    /// The entry's number.
    #[inline]
    pub(super) fn find(&self, digest: &Digest) -> Option<u32> {
        let hash = self.hash(digest);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let number = (slot as u32).wrapping_sub(1);
            if slot >> 32 == hash >> 32 && self.entries[number as usize].digest == *digest {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[number as usize]
    }

    /// The chunk with that digest.
    #[inline]
    pub(super) fn look(&self, digest: &Digest) -> Option<&Entry> {
        self.find(digest).map(|number| self.get(number))
    }

    /// Adds a chunk whose digest is not there; its number.
    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        debug_assert!(self.find(&entry.digest).is_none() && entry.len > 0);
        if (self.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let number = match self.vacant.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        self.place(number);
        number
    }

    /// Removes a chunk.
    pub(super) fn remove(&mut self, number: u32) {
        let mask = self.slots.len() - 1;
        let home = |index: &Self, slot: u64| {
            let number = (slot as u32).wrapping_sub(1) as usize;
            index.hash(&index.entries[number].digest) as usize & mask
        };
        let wanted = self.hash(&self.get(number).digest);
        let mut hole = wanted as usize & mask;
        while self.slots[hole] as u32 != number + 1 {
            hole = (hole + 1) & mask;
        }
        // What follows moves up, as far as it may: no mark is left that searches must pass.
        let mut at = (hole + 1) & mask;
        while self.slots[at] != 0 {
            let from = home(self, self.slots[at]);
            if (at.wrapping_sub(from) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = (at + 1) & mask;
        }
        self.slots[hole] = 0;
        self.entries[number as usize].len = 0;
        self.vacant.push(number);
    }

    /// All chunks with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.len > 0)
    }

    fn place(&mut self, number: u32) {
        let hash = self.hash(&self.entries[number as usize].digest);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = hash >> 32 << 32 | (u64::from(number) + 1);
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for number in 0..self.entries.len() as u32 {
            if self.entries[number as usize].len > 0 {
                self.place(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(key: u16, offset: u64) -> Entry {
        // Few different beginnings: many share a slot.
        let mut digest = [0; 32];
        digest[0] = (key % 7) as u8;
        digest[30..].copy_from_slice(&key.to_le_bytes());
        Entry { digest: Digest(digest), offset, len: 1, refs: 0, parts: 0 }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u16..300, any::<bool>()), 0..2000)) {
            let (mut index, mut map) = (Index::new(0), HashMap::new());
            for (at, (key, add)) in steps.into_iter().enumerate() {
                let new = entry(key, at as u64);
                match (add, index.find(&new.digest)) {
                    (true, None) => {
                        index.insert(new);
                        map.insert(key, at as u64);
                    }
                    (false, Some(number)) => {
                        index.remove(number);
                        map.remove(&key);
                    }
                    (_, found) => prop_assert_eq!(found.is_some(), map.contains_key(&key)),
                }
                prop_assert_eq!(index.len(), map.len());
            }
            for key in 0..300 {
                let found = index.look(&entry(key, 0).digest).map(|entry| entry.offset);
                prop_assert_eq!(found, map.get(&key).copied());
            }
            prop_assert_eq!(index.iter().count(), map.len());
        }
    }
}
