//! Changes of records and both indexes together.

use std::io;

use super::execute::Put;
use super::scan::Row;
use super::{Journal, NoJournal, Shard};
use crate::change::Change;
use crate::index::Place;
use crate::log::{AppendError, Head, Loc};
use crate::op::{Expiry, KEY_MAX, OpError, Space, VALUE_MAX};
use crate::record::{Draft, EXPIRES, HIDDEN};

pub(super) fn system(error: &io::Error) -> OpError {
    OpError::System { errno: error.raw_os_error().unwrap_or(0) }
}

impl Shard {
    /// Sets a key whose record is at `old`, if there is one.
    pub(super) fn put(
        &mut self,
        tag: u32,
        old: Option<Loc>,
        put: &Put<'_>,
        journal: &mut impl Journal,
    ) -> Result<(), OpError> {
        let &Put { space, key, value, expiry, flags, place } = put;
        if key.len() > KEY_MAX {
            return Err(OpError::KeyTooLong { len: key.len() });
        }
        if value.len() > VALUE_MAX {
            return Err(OpError::ValueTooLong { len: value.len() });
        }
        let draft = Draft { space: space.0, flags, expiry, key, value };
        match old {
            Some(loc) if self.fits_in_place(loc, &draft) => self.log.overwrite(loc, value),
            _ => self.put_record(tag, old, place, &draft)?,
        }
        let hidden = flags & HIDDEN != 0;
        journal.note(&Change::Put { space: space.0, hidden, expiry, key, value });
        Ok(())
    }

    fn fits_in_place(&self, loc: Loc, draft: &Draft<'_>) -> bool {
        let record = self.log.record(loc);
        record.value.len() == draft.value.len()
            && record.expiry == draft.expiry
            && record.flags & HIDDEN == draft.flags & HIDDEN
    }

    fn put_record(
        &mut self,
        tag: u32,
        old: Option<Loc>,
        place: &Place,
        draft: &Draft<'_>,
    ) -> Result<(), OpError> {
        let (new, cleaned) = self.append(draft)?;
        let space = Space(draft.space);
        // Cleaning moves records, and lets those go that expired.
        let old = match old {
            Some(_) if cleaned => self.find(tag, space, draft.key).map(|(loc, _)| loc),
            old => old,
        };
        match old {
            Some(old) => self.index_over(tag, old, new, draft),
            None => self.index_new(tag, new, place, draft)?,
        }
        self.account(new, 1);
        Ok(())
    }

    fn index_over(&mut self, tag: u32, old: Loc, new: Loc, draft: &Draft<'_>) {
        self.account(old, -1);
        self.log.kill(old);
        self.table.replace(tag, old, new);
        let Self { spaces, arena, .. } = self;
        if let Some(space) = spaces.get(usize::from(draft.space)) {
            space.order.replace(arena, draft.key, old, new);
        }
    }

    fn index_new(
        &mut self,
        tag: u32,
        new: Loc,
        place: &Place,
        draft: &Draft<'_>,
    ) -> Result<(), OpError> {
        self.space_mut(Space(draft.space));
        let Self { table, spaces, arena, log, .. } = self;
        let order = &mut spaces[usize::from(draft.space)].order;
        let ordered = |()| order.insert(arena, log, place, draft.key, new);
        let indexed = table.reserve().and_then(ordered);
        if let Err(error) = indexed {
            self.log.kill(new);
            return Err(system(&error));
        }
        self.table.insert(tag, new);
        Ok(())
    }

    /// Appends a record; cleans when the bound stands in the way, and says so.
    pub(super) fn append(&mut self, draft: &Draft<'_>) -> Result<(Loc, bool), OpError> {
        self.debt += draft.len() as u64;
        let mut cleaned = false;
        loop {
            let Self { log, settings, table, arena, spaces, .. } = self;
            let bound = || Self::log_bound_of(settings, table, arena, spaces);
            match log.append(Head::Write, draft, bound) {
                Ok(loc) => return Ok((loc, cleaned)),
                Err(AppendError::System(error)) => return Err(system(&error)),
                Err(AppendError::Bound) if self.clean_for(draft.len()) => cleaned = true,
                Err(AppendError::Bound) => {
                    return Err(OpError::Full { bound: self.settings.memory_bytes });
                }
            }
        }
    }

    /// Counts the record at `loc` in or out.
    pub(super) fn account(&mut self, loc: Loc, by: i64) {
        let record = self.log.record(loc);
        let bytes = (record.key.len() + record.value.len()) as i64;
        self.payload = self.payload.wrapping_add_signed(by * bytes);
        if record.flags & EXPIRES != 0 {
            self.expiring = self.expiring.wrapping_add_signed(by);
        }
    }

    /// Removes the record at `loc` from both indexes and the log.
    pub(super) fn delete(&mut self, tag: u32, loc: Loc) {
        self.account(loc, -1);
        let Self { log, table, spaces, arena, .. } = self;
        let record = log.record(loc);
        table.remove(tag, loc);
        if let Some(space) = spaces.get_mut(usize::from(record.space)) {
            space.order.remove(arena, log, record.key, loc);
        }
        self.log.kill(loc);
    }

    /// Does `change` again: it is read from disk.
    pub(crate) fn apply(&mut self, change: &Change<'_>) -> Result<(), OpError> {
        self.origin.1 += 1;
        self.maintain_burst();
        match *change {
            Change::Put { space, hidden, expiry, key, value } => {
                let (space, flags) = (Space(space), if hidden { HIDDEN } else { 0 });
                let tag = self.tag(space, key);
                let old = self.find(tag, space, key).map(|(loc, _)| loc);
                let place = &Place::NONE;
                let put = Put { space, key, value, expiry, flags, place };
                self.put(tag, old, &put, &mut NoJournal)?;
            }
            Change::Delete { space, key } => {
                let tag = self.tag(Space(space), key);
                if let Some((loc, _)) = self.find(tag, Space(space), key) {
                    self.delete(tag, loc);
                }
            }
            Change::Expire { space, expiry, key } => {
                let tag = self.tag(Space(space), key);
                let expiry = if expiry == 0 { Expiry::Never } else { Expiry::At(expiry) };
                self.expire(tag, Space(space), key, expiry, &mut NoJournal)?;
            }
            Change::Purge { space, prefix, last } => {
                self.delete_range(Space(space), prefix, last);
            }
            Change::Object { space, absolute, value } => {
                self.set_object(Space(space), absolute, value)?;
            }
            Change::Remove { space, absolute } => {
                self.remove_object(Space(space), absolute, &mut NoJournal);
            }
            Change::Next { space, absolute } => self.given_out(Space(space), absolute),
        }
        Ok(())
    }

    /// Removes up to `most` keys that begin with `prefix`, hidden and expired ones too, as one
    /// change: the number removed, and whether there are more.
    pub(crate) fn purge_noted(
        &mut self,
        space: Space,
        prefix: &[u8],
        most: usize,
        journal: &mut impl Journal,
    ) -> (u64, bool) {
        let Some((last, more)) = self.stretch(space, prefix, None, most, |_| {}) else {
            return (0, false);
        };
        (self.purge_to_noted(space, prefix, &last, journal), more)
    }

    /// Removes all keys that begin with `prefix` up to `last`, and that one, as one change.
    pub(crate) fn purge_to_noted(
        &mut self,
        space: Space,
        prefix: &[u8],
        last: &[u8],
        journal: &mut impl Journal,
    ) -> u64 {
        self.origin.1 += 1;
        let removed = self.delete_range(space, prefix, last);
        journal.note(&Change::Purge { space: space.0, prefix, last });
        removed
    }

    /// Calls `each` with the rows that begin with `prefix`, hidden and expired ones too, from the
    /// first on, until `most` of them lie behind `after`: the last one's key, and whether there are
    /// more. `None` when no row is behind `after`.
    ///
    /// A purge in steps goes on from the key that it is given; what others wrote meanwhile before
    /// that key is met again, since a step removes everything up to its end.
    pub(crate) fn stretch(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
        mut each: impl FnMut(&Row<'_>),
    ) -> Option<(Vec<u8>, bool)> {
        let (mut last, mut behind) = (None, 0);
        let mut rows = self.every_row(space, prefix);
        while behind < most
            && let Some(row) = rows.next()
        {
            each(&row);
            last = Some(row.key);
            behind += usize::from(after.is_none_or(|after| row.key > after));
        }
        let last = last.filter(|_| behind > 0)?.to_vec();
        Some((last, rows.next().is_some()))
    }

    /// Removes up to `most` keys that begin with `prefix`, hidden ones too, in one step: the number
    /// removed, and whether there are more.
    pub fn purge(&mut self, space: Space, prefix: &[u8], most: usize) -> (u64, bool) {
        self.purge_noted(space, prefix, most, &mut NoJournal)
    }

    fn delete_range(&mut self, space: Space, prefix: &[u8], last: &[u8]) -> u64 {
        let whole = self.every_row(space, b"").next().is_some() && prefix.is_empty();
        let rows = self.every_row(space, prefix);
        let doomed: Vec<Loc> = rows.take_while(|row| row.key <= last).map(|row| row.loc).collect();
        if whole && doomed.len() as u64 == self.len(space) {
            return self.clear(space, &doomed);
        }
        for &loc in &doomed {
            let tag = self.tag(space, self.log.key(loc));
            self.delete(tag, loc);
        }
        doomed.len() as u64
    }

    /// Removes every key of `space`, whose records are `all`, and its order at once.
    fn clear(&mut self, space: Space, all: &[Loc]) -> u64 {
        for &loc in all {
            let tag = self.tag(space, self.log.key(loc));
            self.account(loc, -1);
            self.table.remove(tag, loc);
            self.log.kill(loc);
        }
        let Self { spaces, arena, .. } = self;
        spaces[usize::from(space.0)].order.clear(arena);
        all.len() as u64
    }
}
