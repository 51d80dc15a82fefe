//! Absolute keys: positions given out in turn, never twice.
//!
//! Shard `s` of `n` gives out `s + 1, s + 1 + n, s + 1 + 2 n, …`, so that no two shards meet, and a
//! single shard counts from 1.

use super::{Journal, Shard};
use crate::change::Change;
use crate::log::Loc;
use crate::op::{ABSOLUTE_MAX, OpError, Reply, Space, VALUE_MAX};
use crate::record::{Draft, OBJECT};

impl Shard {
    /// Position of an absolute key of this shard.
    fn position(&self, absolute: u64) -> Option<u64> {
        let index = absolute.checked_sub(1)?;
        let shards = u64::from(self.settings.shards);
        let mine = index % shards == u64::from(self.settings.shard) && absolute <= ABSOLUTE_MAX;
        mine.then_some(index / shards)
    }

    const fn absolute(&self, position: u64) -> u64 {
        position * self.settings.shards as u64 + self.settings.shard as u64 + 1
    }

    #[inline]
    pub(super) fn object(&self, space: Space, absolute: u64) -> Option<Loc> {
        self.space(space)?.objects.get(self.position(absolute)?)
    }

    pub(super) fn insert_object(
        &mut self,
        space: Space,
        value: &[u8],
        journal: &mut impl Journal,
    ) -> Result<Reply, OpError> {
        let absolute = self.next_absolute(space);
        if absolute > ABSOLUTE_MAX {
            return Err(OpError::NoAbsolute);
        }
        self.set_object(space, absolute, value)?;
        journal.note(&Change::Object { space: space.0, absolute, value });
        Ok(Reply::Absolute(absolute))
    }

    pub(super) fn edit_object(
        &mut self,
        space: Space,
        absolute: u64,
        value: &[u8],
        journal: &mut impl Journal,
    ) -> Result<Reply, OpError> {
        if self.object(space, absolute).is_none() {
            return Ok(Reply::Missing);
        }
        self.set_object(space, absolute, value)?;
        journal.note(&Change::Object { space: space.0, absolute, value });
        Ok(Reply::Done)
    }

    /// Gives `absolute`, which must be this shard's, a value; others are left alone.
    pub(super) fn set_object(
        &mut self,
        space: Space,
        absolute: u64,
        value: &[u8],
    ) -> Result<(), OpError> {
        if value.len() > VALUE_MAX {
            return Err(OpError::ValueTooLong { len: value.len() });
        }
        let Some(position) = self.position(absolute) else { return Ok(()) };
        let key = absolute.to_be_bytes();
        let draft = Draft { space: space.0, flags: OBJECT, expiry: 0, key: &key, value };
        let (loc, _) = self.append(&draft)?;
        let space = self.space_mut(space);
        space.next = space.next.max(position + 1);
        let old = space.objects.set(position, loc);
        self.payload += value.len() as u64;
        if let Some(old) = old {
            self.forget(old);
        }
        Ok(())
    }

    fn forget(&mut self, loc: Loc) {
        self.payload -= self.log.record(loc).value.len() as u64;
        self.log.kill(loc);
    }

    pub(super) fn remove_object(
        &mut self,
        space: Space,
        absolute: u64,
        journal: &mut impl Journal,
    ) -> Reply {
        let Some(position) = self.position(absolute) else { return Reply::Missing };
        let Some(loc) = self.space_mut(space).objects.remove(position) else {
            return Reply::Missing;
        };
        self.forget(loc);
        journal.note(&Change::Remove { space: space.0, absolute });
        Reply::Done
    }

    /// Absolute keys below `absolute` are not given out any more.
    pub(super) fn given_out(&mut self, space: Space, absolute: u64) {
        if let Some(position) = self.position(absolute) {
            let space = self.space_mut(space);
            space.next = space.next.max(position);
        }
    }

    /// The absolute key that the next [`crate::Op::Insert`] of `space` gets here.
    #[must_use]
    pub fn next_absolute(&self, space: Space) -> u64 {
        self.absolute(self.space(space).map_or(0, |space| space.next))
    }

    /// Calls `each` with absolute keys from `from` on and their values, in order, a few thousand at
    /// most; the key to go on with, if there may be more.
    pub fn each_object<'a>(
        &'a self,
        space: Space,
        from: u64,
        mut each: impl FnMut(u64, &'a [u8]),
    ) -> Option<u64> {
        let shards = u64::from(self.settings.shards);
        let before = u64::from(self.settings.shard) + 1;
        let first = from.saturating_sub(before).div_ceil(shards);
        let mut last = None;
        for (position, loc) in self.space(space)?.objects.from(first)? {
            each(self.absolute(position), self.log.record(loc).value);
            last = Some(position);
        }
        last.map(|position| self.absolute(position + 1))
    }

    /// Lets the entry of an object that moved from `from` lead to `to`; false when it is another's.
    pub(super) fn move_object(&mut self, space: u16, key: &[u8], from: Loc, to: Loc) -> bool {
        let Some(absolute) = key.first_chunk().map(|key| u64::from_be_bytes(*key)) else {
            return false;
        };
        let Some(position) = self.position(absolute) else { return false };
        let objects = &mut self.space_mut(Space(space)).objects;
        let mine = objects.get(position) == Some(from);
        if mine {
            objects.set(position, to);
        }
        mine
    }
}
