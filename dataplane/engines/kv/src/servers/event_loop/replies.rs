//! Replies: gathered over a turn, held for the disk, written as sockets take them.

use std::io::Write;

use super::{EventLoop, READ, is_again};
use crate::servers::connection::{Connection, Reason, Service};
use crate::servers::counters::add;

impl<V: Service> EventLoop<V> {
    /// Puts the burst's replies where they wait: for the end of the turn, for the disk, or for those before them.
    pub(super) fn emit(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
        until: Option<u64>,
    ) -> Result<(), Reason> {
        if self.out.is_empty() {
            return Ok(());
        }
        let waits = until.is_some() || connection.output.len() > 0;
        if !waits && self.outbox.has_room(self.out.len()) {
            self.outbox.put(self.token(slot), &self.out);
            connection.unsent += 1;
            self.out.clear();
            return Ok(());
        }
        self.send_unsent(slot, connection)?;
        let waits = until.is_some() || connection.output.len() > 0;
        let written = if waits { 0 } else { self.write(connection, &self.out)? };
        if written < self.out.len() {
            if until.is_none() && connection.stalled == 0 {
                connection.stalled = self.now;
            }
            connection.output.take(&mut self.out, written, until);
            if until.is_some() && !connection.listed {
                connection.listed = true;
                self.held.push(slot);
            }
        }
        self.out.clear();
        // One large reply must not cost the loop memory for good.
        self.out.shrink_to(self.common.limits.output_bytes.max(READ));
        Ok(())
    }

    /// Writes what the socket takes of `bytes`; how many that are.
    fn write(
        &self,
        connection: &mut Connection<V::Session>,
        bytes: &[u8],
    ) -> Result<usize, Reason> {
        let written = match connection.stream.write(bytes) {
            Ok(count) => count,
            Err(error) if is_again(&error) => 0,
            Err(error) => return Err(Reason::Socket(error.to_string())),
        };
        add(&self.common.counters.written_bytes, written as u64);
        Ok(written)
    }

    /// Writes replies that wait for nothing but those before them.
    fn send(&self, connection: &mut Connection<V::Session>, replies: &[u8]) -> Result<(), Reason> {
        let first = connection.output.len() == 0;
        let written = if first { self.write(connection, replies)? } else { 0 };
        if written < replies.len() {
            if connection.stalled == 0 {
                connection.stalled = self.now;
            }
            connection.output.push(&replies[written..], None);
        }
        Ok(())
    }

    /// Writes a connection's replies that are in the outbox.
    pub(super) fn send_unsent(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
    ) -> Result<(), Reason> {
        if connection.unsent == 0 {
            return Ok(());
        }
        connection.unsent = 0;
        let replies = self.outbox.take(self.token(slot));
        self.send(connection, &replies)
    }

    /// Writes all replies in the outbox.
    pub(super) fn send_all(&mut self) {
        let mut outbox = std::mem::take(&mut self.outbox);
        for (token, replies) in outbox.replies() {
            let Some((slot, mut connection)) = self.take(token) else { continue };
            connection.unsent -= 1;
            let reason = self.send(&mut connection, replies).err();
            if reason.is_some() || connection.unsent == 0 {
                self.settle(slot, connection, reason);
            } else {
                self.slots[slot as usize].connection = Some(connection);
            }
        }
        outbox.clear();
        self.outbox = outbox;
    }

    /// Writes what waits, then goes on with commands that waited for room.
    pub(super) fn resume(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
    ) -> Option<Reason> {
        let count = match connection.output.write(&mut connection.stream) {
            Ok(count) => count,
            Err(error) => return Some(Reason::Socket(error.to_string())),
        };
        add(&self.common.counters.written_bytes, count as u64);
        let waits = connection.output.ready() > 0;
        connection.stalled = match (waits, count > 0 || connection.stalled == 0) {
            (false, _) => 0,
            (true, true) => self.now,
            (true, false) => connection.stalled,
        };
        if connection.output.len() <= self.common.limits.output_bytes {
            return self.execute_rest(slot, connection);
        }
        None
    }

    /// Ends the turn: what was written becomes durable as the policy says, and replies that waited for it go.
    pub(super) fn release(&mut self) {
        let durable = self.service.commit();
        let broken = self.service.is_broken();
        for slot in std::mem::take(&mut self.held) {
            let Some(mut connection) = self.slots[slot as usize].connection.take() else {
                continue;
            };
            if !connection.listed {
                // The one that waited is gone, and another has its place.
                self.slots[slot as usize].connection = Some(connection);
                continue;
            }
            connection.output.release(durable);
            connection.listed = connection.output.is_held();
            if connection.listed {
                self.held.push(slot);
            }
            let reason = if connection.listed && broken {
                Some(Reason::Disk)
            } else {
                self.resume(slot, &mut connection)
            };
            self.settle(slot, connection, reason);
        }
    }
}
