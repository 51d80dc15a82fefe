//! Replies of one turn of a loop, which go together at its end: a client that has several connections is woken
//! once for all of them, and the processor stays with the store while it executes.

use std::ops::Range;

/// Bytes of replies that are gathered.
const BYTES: usize = 64 << 10;
/// Replies that are gathered: none waits for longer than it takes to execute so many bursts.
const MOST: usize = 64;

/// Replies to several connections, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// The connection, by its token, and its bytes.
    entries: Vec<(u64, Range<usize>)>,
}

impl Outbox {
    /// Whether a reply of `len` bytes may go with the others.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.bytes.len() + len <= BYTES
    }

    /// Whether it is time to send.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MOST || self.bytes.len() > BYTES / 2
    }

    /// Puts a reply in for the connection that `token` names.
    pub(super) fn put(&mut self, token: u64, reply: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(reply);
        self.entries.push((token, begin..self.bytes.len()));
    }

    /// All replies, in order.
    pub(super) fn replies(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.entries.iter().map(|(token, range)| (*token, &self.bytes[range.clone()]))
    }

    /// Takes the replies to one connection out.
    pub(super) fn take(&mut self, token: u64) -> Vec<u8> {
        let mut taken = Vec::new();
        self.entries.retain(|(other, range)| {
            if *other == token {
                taken.extend_from_slice(&self.bytes[range.clone()]);
            }
            *other != token
        });
        taken
    }

    /// Empties it; the memory stays.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_go_in_order_and_one_connection_can_be_taken_out() {
        let mut outbox = Outbox::default();
        for (token, reply) in [(1, "a"), (2, "b"), (1, "c"), (3, "")] {
            outbox.put(token, reply.as_bytes());
        }
        assert_eq!(outbox.take(1), b"ac");
        assert_eq!(outbox.take(1), b"");
        let left: Vec<_> = outbox.replies().collect();
        assert_eq!(left, [(2, &b"b"[..]), (3, b"")]);
        assert!(outbox.has_room(BYTES - 3) && !outbox.has_room(BYTES) && !outbox.is_full());
        (0..MOST as u64).for_each(|token| outbox.put(token, b""));
        assert!(outbox.is_full());
        outbox.clear();
        assert_eq!(outbox.replies().count(), 0);
    }
}
