//! Commands of RESP that run step by step.

use super::commands::Name;
use super::plan::{Words, write_error};
use crate::op::{Op, OpError, Reply, Space};
use crate::resp::{Encoder, Version};
use crate::servers::engine::Burst;
use crate::servers::purge::{Purge, PurgeError};
use crate::servers::service::StoreService;

/// Words of a command from which on it runs step by step, when it may.
pub(super) const WIDE: usize = 2048;
/// Keys of a step.
const STEP: usize = 1024;

/// A long command.
#[derive(Debug)]
pub(in crate::servers) struct RedisTask {
    version: Version,
    what: What,
}

#[derive(Debug)]
enum What {
    /// `FLUSHDB`, `FLUSHALL`: what is still to be purged.
    Flush(Vec<Purge>),
    Wide(Wide),
}

/// `DEL`, `UNLINK`, `EXISTS` and `MGET` of many keys.
#[derive(Debug)]
struct Wide {
    name: Name,
    space: Space,
    /// All keys, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Keys that are done.
    done: usize,
    /// Of these, those that count.
    counted: i64,
    /// Replies of `MGET` so far.
    values: Vec<u8>,
}

impl RedisTask {
    /// `FLUSHDB` of `spaces`.
    pub(super) fn flush(spaces: impl IntoIterator<Item = Space>, version: Version) -> Self {
        let purges = spaces.into_iter().map(|space| Purge::of_keys(space, Vec::new()));
        Self { version, what: What::Flush(purges.collect()) }
    }

    /// Whether a command may run step by step when it has many keys. One that writes values may not: either all
    /// of them are in the log, in one frame, or none.
    pub(super) const fn is_wide(name: Name) -> bool {
        matches!(name, Name::Del | Name::Unlink | Name::Exists | Name::MGet)
    }

    /// The command `name` for the keys in `words`.
    pub(super) fn wide(name: Name, words: Words<'_>, space: Space, version: Version) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(words.len()));
        for key in words.from(1) {
            bytes.extend_from_slice(key);
            ends.push(bytes.len());
        }
        let values = Vec::new();
        let wide = Wide { name, space, bytes, ends, done: 0, counted: 0, values };
        Self { version, what: What::Wide(wide) }
    }

    /// Bytes of memory, about.
    pub(in crate::servers) fn memory(&self) -> usize {
        match &self.what {
            What::Flush(_) => 0,
            What::Wide(wide) => {
                wide.bytes.capacity() + wide.ends.capacity() * 8 + wide.values.capacity()
            }
        }
    }

    /// A step; whether it was the last, and the reply is in `out`.
    pub(in crate::servers) fn step(
        &mut self,
        service: &mut StoreService,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut encoder = Encoder::new(out, self.version);
        match &mut self.what {
            What::Flush(purges) => flush(purges, service, &mut encoder),
            What::Wide(wide) => wide.step(service, &mut encoder),
        }
    }
}

fn flush(purges: &mut Vec<Purge>, service: &mut StoreService, out: &mut Encoder<'_>) -> bool {
    let step = purges.last_mut().map_or(Ok(true), |purge| purge.step(service));
    match step {
        Ok(false) => return false,
        Ok(true) => {
            purges.pop();
            if !purges.is_empty() {
                return false;
            }
            out.ok();
        }
        Err(PurgeError::Refused(error)) => write_error(out, error),
        Err(error) => out.error(&format!("ERR {error}")),
    }
    true
}

impl Wide {
    fn step(&mut self, service: &mut StoreService, out: &mut Encoder<'_>) -> bool {
        let last = self.ends.len().min(self.done + STEP);
        let mut burst = std::mem::take(&mut service.burst);
        let failed = self.keys(self.done..last, service, &mut burst, out.version());
        service.engine.recycle(&mut burst);
        service.burst = burst;
        self.done = last;
        if let Some(error) = failed {
            write_error(out, error);
            return true;
        }
        if self.values.len() > service.common.limits.reply_bytes {
            out.error("ERR reply larger than this server gives; ask for fewer keys");
            return true;
        }
        if self.done < self.ends.len() {
            return false;
        }
        if self.name == Name::MGet {
            out.array(self.ends.len());
            out.raw().append(&mut self.values);
        } else {
            out.integer(self.counted);
        }
        true
    }

    /// Does it for the keys of `range`; why it was refused, if it was.
    fn keys(
        &mut self,
        range: std::ops::Range<usize>,
        service: &mut StoreService,
        burst: &mut Burst,
        version: Version,
    ) -> Option<OpError> {
        let space = self.space;
        let key = |index: usize| {
            let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            self.bytes.get(begin..self.ends[index]).unwrap_or_default()
        };
        let writes = matches!(self.name, Name::Del | Name::Unlink);
        let op = |key| if writes { Op::delete(space, key) } else { Op::get(space, key) };
        let ops: Vec<_> = range.map(|index| op(key(index))).collect();
        let until = service.engine.execute(&ops, burst);
        service.until = service.until.max(until);
        for index in 0..ops.len() {
            service.engine.ensure(burst, index);
            match burst.get(index) {
                Some(Reply::Failed(error)) => return Some(error),
                Some(Reply::Done | Reply::Value { .. }) => self.counted += 1,
                _ => {}
            }
            if self.name == Name::MGet && self.values.len() <= service.common.limits.reply_bytes {
                let mut out = Encoder::new(&mut self.values, version);
                match service.engine.value(burst, index) {
                    Some(value) => out.bulk(value),
                    None => out.null(),
                }
            }
        }
        None
    }
}
