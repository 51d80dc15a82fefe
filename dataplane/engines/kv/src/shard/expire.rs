//! Keys whose time has come: unseen at once, removed in turn.

use super::Shard;
use crate::op::Space;

impl Shard {
    /// Looks at `buckets` buckets of the tag table and removes what expired in them.
    pub(super) fn sweep_expired(&mut self, buckets: usize) {
        let mut expired = std::mem::take(&mut self.expired);
        let (log, now) = (&self.log, self.now);
        self.sweep_at = self.table.sweep(self.sweep_at, buckets, |loc| {
            if log.record(loc).expired(now) {
                expired.push(loc);
            }
        });
        for loc in expired.drain(..) {
            let record = self.log.record(loc);
            let tag = self.tag(Space(record.space), record.key);
            self.delete(tag, loc);
        }
        self.expired = expired;
    }
}
