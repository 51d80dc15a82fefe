//! From absolute keys to locations: an array in chunks that exist while something is in them.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::log::Loc;

const CHUNK: u64 = 4096;

#[derive(Debug)]
struct Chunk {
    locs: Box<[Loc]>,
    used: u32,
}

/// Locations by position: what is left of an absolute key when its shard is taken out of it.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    chunks: HashMap<u64, Chunk, FixedState>,
    len: u64,
}

impl Objects {
    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.len() as u64 * (CHUNK * 4 + 48)
    }

    /// Entries.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// The location at `position`.
    #[inline]
    pub(crate) fn get(&self, position: u64) -> Option<Loc> {
        let chunk = self.chunks.get(&(position / CHUNK))?;
        let loc = chunk.locs[(position % CHUNK) as usize];
        (loc != 0).then_some(loc)
    }

    /// Sets the location at `position`; the one before, if any.
    pub(crate) fn set(&mut self, position: u64, loc: Loc) -> Option<Loc> {
        let empty = || Chunk { locs: vec![0; CHUNK as usize].into_boxed_slice(), used: 0 };
        let chunk = self.chunks.entry(position / CHUNK).or_insert_with(empty);
        let old = std::mem::replace(&mut chunk.locs[(position % CHUNK) as usize], loc);
        if old == 0 {
            chunk.used += 1;
            self.len += 1;
        }
        (old != 0).then_some(old)
    }

    /// Removes what is at `position`.
    pub(crate) fn remove(&mut self, position: u64) -> Option<Loc> {
        let chunk = self.chunks.get_mut(&(position / CHUNK))?;
        let old = std::mem::take(&mut chunk.locs[(position % CHUNK) as usize]);
        if old == 0 {
            return None;
        }
        chunk.used -= 1;
        self.len -= 1;
        if chunk.used == 0 {
            self.chunks.remove(&(position / CHUNK));
        }
        Some(old)
    }

    /// Positions in use from `from` on, ascending, at most one chunk's.
    pub(crate) fn from(&self, from: u64) -> Option<impl Iterator<Item = (u64, Loc)> + '_> {
        let wanted = from / CHUNK;
        let (&first, chunk) = match self.chunks.get_key_value(&wanted) {
            Some(found) if found.1.locs[(from % CHUNK) as usize..].iter().any(|&loc| loc != 0) => {
                found
            }
            _ => self
                .chunks
                .iter()
                .filter(|(chunk, _)| **chunk > wanted)
                .min_by_key(|(chunk, _)| **chunk)?,
        };
        let positions = (first * CHUNK..).zip(chunk.locs.iter().copied());
        Some(positions.filter(move |&(position, loc)| loc != 0 && position >= from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_far_apart_cost_a_chunk_each() {
        let mut objects = Objects::default();
        assert_eq!(objects.set(1 << 47, 5), None);
        assert_eq!(objects.set(3, 6), None);
        assert_eq!(objects.set(3, 7), Some(6));
        assert_eq!((objects.get(3), objects.get(4), objects.len()), (Some(7), None, 2));
        assert_eq!(objects.from(0).unwrap().collect::<Vec<_>>(), [(3, 7)]);
        assert_eq!(objects.from(4).unwrap().collect::<Vec<_>>(), [(1 << 47, 5)]);
        assert_eq!(
            (objects.remove(3), objects.remove(3), objects.remove(9)),
            (Some(7), None, None)
        );
        assert!(objects.from((1 << 47) + 1).is_none());
        assert_eq!(objects.len(), 1);
    }
}
