//! Replies on their way: those that wait for the disk, and those that wait for the client.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};

/// A connection's replies that could not be written at once, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// Bytes at the front that are written.
    written: usize,
    /// Stretches that may go only when what they acknowledge is durable: place in the log, begin in `bytes`.
    /// Places and begins grow; a stretch ends where the next begins.
    held: VecDeque<(u64, usize)>,
}

/// Bytes of memory that an empty output keeps.
const KEPT: usize = 16 << 10;

impl Output {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Bytes of memory.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes that could go now.
    pub(super) fn ready(&self) -> usize {
        self.held.front().map_or(self.bytes.len(), |&(_, begin)| begin) - self.written
    }

    /// Whether replies wait for the disk.
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the replies in `out`, of which the first `written` bytes are written, behind what waits; with
    /// `until`, they and all that follow wait for [`Output::release`]. Long ones are not copied: the
    /// buffers change places.
    pub(super) fn take(&mut self, out: &mut Vec<u8>, written: usize, until: Option<u64>) {
        if self.len() > 0 || out.len() - written < KEPT {
            return self.push(&out[written..], until);
        }
        self.held.clear();
        self.held.extend(until.map(|until| (until, written)));
        std::mem::swap(&mut self.bytes, out);
        self.written = written;
    }

    /// Appends replies; as [`Output::take`].
    pub(super) fn push(&mut self, replies: &[u8], until: Option<u64>) {
        let last = self.held.back().map_or(0, |&(place, _)| place);
        if let Some(until) = until.filter(|&until| until > last) {
            self.held.push_back((until, self.bytes.len()));
        }
        self.bytes.extend_from_slice(replies);
    }

    /// What the log holds up to `durable` is on disk.
    pub(super) fn release(&mut self, durable: u64) {
        while self.held.front().is_some_and(|&(until, _)| until <= durable) {
            self.held.pop_front();
        }
    }

    /// Writes what can go to `stream`; gives the bytes that it took.
    pub(super) fn write(&mut self, stream: &mut impl Write) -> io::Result<usize> {
        let end = self.written + self.ready();
        let before = self.written;
        while self.written < end {
            match stream.write(&self.bytes[self.written..end]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let count = self.written - before;
        self.compact();
        Ok(count)
    }

    /// Gives up the bytes that are written, when that is cheap.
    fn compact(&mut self) {
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        } else if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.held.iter_mut().for_each(|(_, begin)| *begin -= self.written);
        } else {
            return;
        }
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then blocks.
    struct Pipe {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_not_durable_waits_and_so_does_what_follows() {
        let mut output = Output::default();
        let mut pipe = Pipe { taken: Vec::new(), room: 1000 };
        output.push(b"a", None);
        output.push(b"b", Some(5));
        output.push(b"c", None);
        output.push(b"d", Some(5));
        output.push(b"e", Some(9));
        assert_eq!((output.len(), output.ready()), (5, 1));
        assert_eq!(output.write(&mut pipe).unwrap(), 1);
        output.release(4);
        assert_eq!(output.write(&mut pipe).unwrap(), 0);
        output.release(5);
        assert_eq!(output.write(&mut pipe).unwrap(), 3);
        output.push(b"f", None);
        output.release(20);
        assert_eq!(output.write(&mut pipe).unwrap(), 2);
        assert_eq!((output.len(), pipe.taken.as_slice()), (0, &b"abcdef"[..]));
    }

    #[test]
    fn a_client_that_takes_little_at_a_time_gets_everything() {
        let mut output = Output::default();
        let mut pipe = Pipe { taken: Vec::new(), room: 0 };
        let mut sent = Vec::new();
        for round in 0_u64..200 {
            let piece = vec![round as u8; 37];
            output.push(&piece, (round % 3 == 0).then_some(round + 1));
            sent.extend_from_slice(&piece);
            output.release(round.saturating_sub(2));
            pipe.room = 31;
            output.write(&mut pipe).unwrap();
        }
        output.release(1000);
        pipe.room = usize::MAX;
        output.write(&mut pipe).unwrap();
        assert!(pipe.taken == sent && output.len() == 0 && output.capacity() <= KEPT);
    }
}
