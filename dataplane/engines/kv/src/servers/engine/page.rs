//! Pages of keys of all loops, in one order.

use super::{Engine, Local};
use crate::op::Space;
use crate::pair_of;
use crate::shard::Scan;

/// Which keys a page has.
#[derive(Clone, Debug)]
pub(in crate::servers) struct PageOf {
    pub(in crate::servers) space: Space,
    pub(in crate::servers) prefix: Vec<u8>,
    /// Only keys behind this one.
    pub(in crate::servers) after: Option<Vec<u8>>,
    pub(in crate::servers) hidden: bool,
    /// At most so many.
    pub(in crate::servers) limit: usize,
}

/// Bytes of keys that one loop's part of a page has, and one key more.
const PART_BYTES: usize = 1 << 20;

/// Keys in order, and what they lead to when they are pairs.
#[derive(Debug, Default)]
pub(in crate::servers) struct Keys {
    bytes: Vec<u8>,
    /// Where each key ends, and its number.
    rows: Vec<(usize, u64)>,
    /// Whether there are keys behind them.
    pub(in crate::servers) more: bool,
}

impl Keys {
    fn push(&mut self, key: &[u8], number: u64) {
        self.bytes.extend_from_slice(key);
        self.rows.push((self.bytes.len(), number));
    }

    /// Key `index` and its number.
    fn get(&self, index: usize) -> Option<(&[u8], u64)> {
        let &(end, number) = self.rows.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| self.rows[before].0);
        Some((self.bytes.get(begin..end)?, number))
    }

    /// The keys and their numbers.
    pub(in crate::servers) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        (0..self.rows.len()).filter_map(|index| self.get(index))
    }
}

impl Local {
    /// The first keys of a page, of this loop's shards.
    fn page(&self, page: &PageOf) -> Keys {
        let scan = Scan {
            space: page.space,
            prefix: &page.prefix,
            after: page.after.as_deref(),
            hidden: page.hidden,
            limit: Some(page.limit.saturating_add(1)),
        };
        let (mut keys, mut rows) = (Keys::default(), self.scan(&scan));
        while keys.rows.len() < page.limit
            && keys.bytes.len() <= PART_BYTES
            && let Some(row) = rows.next()
        {
            keys.push(row.key, pair_of(row.value).unwrap_or(0));
        }
        keys.more = rows.next().is_some();
        keys
    }
}

impl Engine {
    /// The first keys of a page, of all loops; there may be fewer than its limit although there are
    /// more. `None` when the server stops.
    pub(in crate::servers) fn page(&mut self, page: &PageOf) -> Option<Keys> {
        let asked = page.clone();
        let parts = self.everywhere(move |local| local.page(&asked));
        if parts.len() < self.loops() {
            return None;
        }
        let mut merged = Keys::default();
        let mut at = vec![0; parts.len()];
        while merged.rows.len() < page.limit {
            // Behind the end of a part that has more, the order is not known.
            let ends = |(part, &at): (&Keys, &usize)| at == part.rows.len() && part.more;
            if parts.iter().zip(&at).any(ends) {
                break;
            }
            let heads = parts.iter().zip(&at).enumerate();
            let heads = heads.filter_map(|(of, (part, &at))| Some((part.get(at)?, of)));
            let Some(((key, number), of)) = heads.min_by_key(|&((key, _), _)| key) else { break };
            merged.push(key, number);
            at[of] += 1;
        }
        merged.more = parts.iter().zip(&at).any(|(part, &at)| at < part.rows.len() || part.more);
        Some(merged)
    }
}
