//! The store as the servers see it: spaces by name and number, execution, scans.

use std::collections::HashMap;

use crate::op::{Op, OpError, Replies, Space};
use crate::shard::{Scan, ScanRows, Shard, Usage};

/// The store of one loop.
#[derive(Debug)]
pub(super) struct Engine {
    shard: Shard,
    names: HashMap<String, u16>,
}

impl Engine {
    pub(super) fn new(shard: Shard) -> Self {
        Self { shard, names: HashMap::new() }
    }

    /// Tells the time, in milliseconds since 1970.
    pub(super) fn set_clock(&mut self, now: u64) {
        self.shard.set_clock(now);
    }

    /// Executes `ops`; gives the place in the log that must be durable before the answers go.
    #[inline]
    pub(super) fn execute(&mut self, ops: &[Op<'_>], replies: &mut Replies) -> Option<u64> {
        self.shard.execute(ops, replies);
        None
    }

    /// The value that operation `index` found.
    #[inline]
    pub(super) fn value<'a>(&'a self, replies: &'a Replies, index: usize) -> Option<&'a [u8]> {
        replies.value(&self.shard, index)
    }

    pub(super) fn scan<'a>(&'a self, scan: &Scan<'a>) -> ScanRows<'a> {
        self.shard.scan(scan)
    }

    pub(super) fn keys(&self, space: Space) -> u64 {
        self.shard.len(space)
    }

    pub(super) fn purge(
        &mut self,
        space: Space,
        prefix: &[u8],
    ) -> (Result<u64, OpError>, Option<u64>) {
        let mut purged = 0;
        loop {
            let (count, more) = self.shard.purge(space, prefix, 4096);
            purged += count;
            if !more {
                return (Ok(purged), None);
            }
        }
    }

    pub(super) fn default_space(&self) -> Space {
        Space(0)
    }

    pub(super) fn numbered(&self, index: u32) -> Option<Space> {
        u16::try_from(index).ok().map(Space)
    }

    pub(super) fn usage(&self) -> Usage {
        self.shard.usage()
    }

    pub(super) fn memory_bound(&self) -> u64 {
        self.shard.settings().memory_bytes
    }

    pub(super) fn is_durable(&self) -> bool {
        false
    }

    pub(super) fn commit(&mut self) -> u64 {
        u64::MAX
    }
}
