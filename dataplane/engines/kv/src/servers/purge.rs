//! Purges in steps: each is one change of one shard.

use super::engine::{Burst, Stretch};
use super::service::StoreService;
use crate::Database;
use crate::op::{Op, OpError, Reply, Space};

/// Keys that a step removes, and those that others wrote before its beginning meanwhile.
const STEP: usize = 1024;

/// The purge of all keys of a space that begin with a prefix, shard by shard and in order.
#[derive(Debug)]
pub(super) struct Purge {
    space: Space,
    prefix: Vec<u8>,
    /// Where the values are that go with the keys, when these are pairs.
    objects: Option<Space>,
    shard: usize,
    /// What is before this key was purged.
    after: Option<Vec<u8>>,
    /// Keys removed.
    pub(super) purged: u64,
}

/// Why a purge ended half way.
#[derive(Debug, thiserror::Error)]
pub(super) enum PurgeError {
    #[error("{0}")]
    Refused(#[from] OpError),
    #[error("the server stops")]
    Stopping,
}

impl Purge {
    /// Of keys.
    pub(super) fn of_keys(space: Space, prefix: Vec<u8>) -> Self {
        Self { space, prefix, objects: None, shard: 0, after: None, purged: 0 }
    }

    /// Of pairs, hidden ones too, and of the values that they lead to.
    pub(super) fn of_pairs(db: Database, prefix: Vec<u8>) -> Self {
        Self { objects: Some(db.objects()), ..Self::of_keys(db.pairs(), prefix) }
    }

    /// Removes a thousand keys or so, the values that they lead to before them; whether all are gone. What
    /// others write under the prefix while it runs may stay or go.
    pub(super) fn step(&mut self, service: &mut StoreService) -> Result<bool, PurgeError> {
        let (number, space) = (self.shard, self.space);
        if number >= service.engine.shards() {
            return Ok(true);
        }
        let (prefix, after) = (self.prefix.clone(), self.after.clone());
        let found = service.engine.ask(number, false, move |local| {
            local.stretch(number, space, &prefix, after.as_deref(), STEP)
        });
        let Some(Stretch { absolutes, last, more }) = found.ok_or(PurgeError::Stopping)? else {
            return Ok(self.next_shard(service));
        };
        if let Some(objects) = self.objects {
            remove(service, objects, &absolutes)?;
        }
        // Between the steps of several loops a pair may have come to lead elsewhere.
        let expected = (self.objects.is_some() && service.engine.loops() > 1).then_some(absolutes);
        let (prefix, end) = (self.prefix.clone(), last.clone());
        let purged = service.engine.ask(number, true, move |local| {
            local.purge_to(number, space, &prefix, &end, expected.as_deref())
        });
        if let Some(purged) = purged.ok_or(PurgeError::Stopping)?? {
            self.purged += purged;
            self.after = Some(last);
            if !more {
                return Ok(self.next_shard(service));
            }
        }
        Ok(false)
    }

    fn next_shard(&mut self, service: &StoreService) -> bool {
        self.shard += 1;
        self.after = None;
        self.shard >= service.engine.shards()
    }
}

/// Removes values by their absolute keys.
fn remove(service: &mut StoreService, space: Space, absolutes: &[u64]) -> Result<(), PurgeError> {
    let ops: Vec<_> = absolutes.iter().map(|&absolute| Op::Remove { space, absolute }).collect();
    let mut burst = Burst::default();
    let until = service.engine.execute(&ops, &mut burst);
    service.until = service.until.max(until);
    let failed = (0..ops.len()).find_map(|index| match burst.get(index) {
        Some(Reply::Failed(error)) => Some(PurgeError::Refused(error)),
        Some(_) => None,
        None => Some(PurgeError::Stopping),
    });
    service.engine.recycle(&mut burst);
    failed.map_or(Ok(()), Err)
}

/// The emptying of a database: keys, pairs, values. Absolute keys go on counting.
#[derive(Debug)]
pub(super) struct Reset {
    purges: Vec<Purge>,
    objects: Space,
    /// Shard and absolute key at which removing values goes on.
    at: (usize, u64),
}

impl Reset {
    pub(super) fn of(db: Database) -> Self {
        let purges =
            vec![Purge::of_keys(db.pairs(), Vec::new()), Purge::of_keys(db.keys(), Vec::new())];
        Self { purges, objects: db.objects(), at: (0, 1) }
    }

    /// A step; whether it was the last.
    pub(super) fn step(&mut self, service: &mut StoreService) -> Result<bool, PurgeError> {
        if let Some(purge) = self.purges.last_mut() {
            if purge.step(service)? {
                self.purges.pop();
            }
            return Ok(false);
        }
        let ((number, from), space) = (self.at, self.objects);
        if number >= service.engine.shards() {
            return Ok(true);
        }
        let next = service
            .engine
            .ask(number, true, move |local| local.remove_objects(number, space, from));
        self.at = match next.ok_or(PurgeError::Stopping)?? {
            Some(next) => (number, next),
            None => (number + 1, 1),
        };
        Ok(false)
    }
}
