//! Numbers that stand for the key at which a `SCAN` goes on: RESP clients read cursors as integers.

use std::collections::{HashMap, VecDeque};

/// Scans that are under way at a time, all clients together.
const MOST: usize = 1 << 14;
/// Bytes of their keys.
const MOST_BYTES: usize = 16 << 20;

/// The cursors that have been given out and not been forgotten.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    keys: HashMap<u64, Box<[u8]>>,
    order: VecDeque<u64>,
    bytes: usize,
    last: u64,
}

impl Cursors {
    /// A number for `key`; never 0. The oldest are forgotten when there are too many.
    pub(super) fn give(&mut self, key: &[u8]) -> u64 {
        while self.order.len() >= MOST || self.bytes + key.len() > MOST_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(key) = self.keys.remove(&oldest) {
                self.bytes -= key.len();
            }
        }
        self.last += 1;
        self.bytes += key.len();
        self.order.push_back(self.last);
        self.keys.insert(self.last, key.into());
        self.last
    }

    /// The key that `cursor` stands for; it may be asked for again.
    pub(super) fn key(&self, cursor: u64) -> Option<&[u8]> {
        self.keys.get(&cursor).map(|key| &**key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_stand_for_keys_until_forgotten() {
        let mut cursors = Cursors::default();
        let first = cursors.give(b"a");
        let second = cursors.give(b"b");
        assert!(first != 0 && first != second);
        assert_eq!((cursors.key(first), cursors.key(second)), (Some(&b"a"[..]), Some(&b"b"[..])));
        for _ in 0..MOST {
            cursors.give(b"c");
        }
        assert_eq!((cursors.key(first), cursors.key(0)), (None, None));
        for _ in 0..10 {
            cursors.give(&vec![0; MOST_BYTES / 4]);
        }
        assert!(cursors.bytes <= MOST_BYTES && cursors.keys.len() == cursors.order.len());
    }
}
