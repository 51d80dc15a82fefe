//! From a key to its record.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::Shard;
use crate::log::Loc;
use crate::op::Space;
use crate::record::{OBJECT, Record};

/// Which shard of a store owns which key: the same for all of them, and for as long as it is kept.
#[derive(Clone, Debug)]
pub struct Owners {
    hash: FixedState,
    shards: u32,
}

impl Owners {
    /// The shard that owns `key`, of as many as there are.
    #[inline]
    #[must_use]
    pub fn of(&self, space: Space, key: &[u8]) -> usize {
        let low = Shard::hash_of(&self.hash, space, key) & 0xffff_ffff;
        ((low * u64::from(self.shards)) >> 32) as usize
    }
}

/// Mixes the low half of a product into the high one.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

impl Shard {
    /// 64 bits that tell keys apart, well spread in both halves.
    #[inline(always)]
    fn hash_of(hash: &FixedState, space: Space, key: &[u8]) -> u64 {
        let mut hasher = hash.build_hasher();
        hasher.write(key);
        // A key's length is not hashed by `write`; the space must not be taken for key bytes.
        let end = u64::from(space.0) << 32 ^ key.len() as u64;
        fold(hasher.finish() ^ end.wrapping_mul(0x9e37_79b9_7f4a_7c15), 0xa076_1d64_78bd_642f)
    }

    #[inline(always)]
    pub(super) fn tag(&self, space: Space, key: &[u8]) -> u32 {
        Self::tag_with(&self.hash, space, key)
    }

    #[inline(always)]
    pub(super) fn tag_with(hash: &FixedState, space: Space, key: &[u8]) -> u32 {
        (Self::hash_of(hash, space, key) >> 32) as u32
    }

    /// The shard that owns `key`, of as many as there are.
    #[must_use]
    pub fn owner(&self, space: Space, key: &[u8]) -> usize {
        self.owners().of(space, key)
    }

    /// Who owns which key, for who has not the shard at hand.
    #[must_use]
    pub fn owners(&self) -> Owners {
        Owners { hash: self.hash.clone(), shards: self.settings.shards }
    }

    /// The record of `key`, whether or not it expired.
    #[inline(always)]
    pub(super) fn find(&self, tag: u32, space: Space, key: &[u8]) -> Option<(Loc, Record<'_>)> {
        let mut found = None;
        let loc = self.table.find(tag, |loc| {
            let record = self.log.record(loc);
            let same = record.key == key && record.space == space.0;
            if same {
                found = Some(record);
            }
            same
        })?;
        Some((loc, found?))
    }

    /// The value of `key`.
    #[inline]
    #[must_use]
    pub fn get(&self, space: Space, key: &[u8]) -> Option<&[u8]> {
        let (_, record) = self.find(self.tag(space, key), space, key)?;
        (!record.expired(self.now)).then_some(record.value)
    }

    /// The value of an absolute key.
    #[must_use]
    pub fn read(&self, space: Space, absolute: u64) -> Option<&[u8]> {
        let loc = self.object(space, absolute)?;
        let record = self.log.record(loc);
        debug_assert!(record.flags & OBJECT != 0);
        Some(record.value)
    }

    /// The bytes that a reply speaks of, unless the shard has moved on.
    #[inline(always)]
    pub(crate) fn bytes_at(&self, origin: (u64, u64), start: usize, len: usize) -> Option<&[u8]> {
        if origin != self.origin {
            return None;
        }
        Some(self.log.bytes_at(start, len))
    }
}
