//! Clients come and go.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use nix::sys::epoll::EpollEvent;

use super::{EventLoop, Slot, flags_of, is_again};
use crate::servers::Limits;
use crate::servers::connection::{Connection, Protocol, Reason, Service, Stands};
use crate::servers::counters::add;

impl<V: Service> EventLoop<V> {
    pub(super) fn accept(&mut self, index: usize) {
        // As many as a burst: clients that are connected have a turn as well.
        for _ in 0..64 {
            let Some((listener, protocol)) = self.listeners.get(index) else { return };
            let protocol = *protocol;
            match listener.accept() {
                Ok((stream, _)) => self.admit(stream, protocol),
                Err(error) if is_again(&error) => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    add(&self.common.counters.refused, 1);
                    self.common.journal.note(format!("accepting a connection: {error}"));
                    self.rest_listeners();
                    return;
                }
            }
        }
    }

    /// Files have run out: asking again at once would fail again.
    fn rest_listeners(&mut self) {
        for (listener, _) in &self.listeners {
            let _ = self.epoll.delete(listener);
        }
        self.resting = true;
    }

    fn admit(&mut self, mut stream: TcpStream, protocol: Protocol) {
        let counters = &self.common.counters;
        let open = counters.connections.fetch_add(1, Ordering::AcqRel);
        if open >= self.common.limits.connections as u64 {
            counters.connections.fetch_sub(1, Ordering::AcqRel);
            add(&counters.refused, 1);
            let _ = stream.set_nonblocking(true);
            let _ = stream.write(self.service.refusal(protocol).as_bytes());
            return;
        }
        if let Err(error) = self.install(stream, protocol) {
            self.common.counters.connections.fetch_sub(1, Ordering::AcqRel);
            self.common.journal.note(format!("taking a connection: {error}"));
            return;
        }
        add(&self.common.counters.accepted, 1);
    }

    fn install(&mut self, stream: TcpStream, protocol: Protocol) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None });
            self.slots.len() as u32 - 1
        });
        let event = EpollEvent::new(flags_of((true, false)), self.token(slot));
        if let Err(error) = self.epoll.add(&stream, event) {
            self.free.push(slot);
            return Err(error.into());
        }
        let session = self.service.open(protocol, self.token(slot));
        let connection = Connection::new(stream, session, self.now);
        self.slots[slot as usize].connection = Some(Box::new(connection));
        Ok(())
    }

    /// The socket is closed when `connection` goes, and leaves the poll with it.
    pub(super) fn end(&mut self, slot: u32, connection: Connection<V::Session>, reason: &Reason) {
        self.buffers -= connection.accounted;
        let found = &mut self.slots[slot as usize];
        found.generation = found.generation.wrapping_add(1) & (u32::MAX >> 1);
        self.free.push(slot);
        let counters = &self.common.counters;
        counters.connections.fetch_sub(1, Ordering::AcqRel);
        match reason {
            Reason::Client | Reason::Socket(_) | Reason::Stop => return,
            Reason::Protocol(_) => add(&counters.protocol_errors, 1),
            Reason::Stalled { .. } => add(&counters.dropped_stalled, 1),
            Reason::Idle => add(&counters.dropped_idle, 1),
            Reason::Memory { .. } => add(&counters.dropped_memory, 1),
            Reason::Auth | Reason::Disk => {}
        }
        let peer = connection.stream.peer_addr();
        let peer = peer.map_or_else(|_| "a client".to_owned(), |peer| peer.to_string());
        self.common.journal.note(format!("{peer} dropped: {reason}"));
    }

    /// Ends connections that have been quiet for too long.
    pub(super) fn sweep(&mut self) {
        let Limits { stall, idle, .. } = self.common.limits;
        let (stall, idle) = (stall.as_millis() as u64, idle.as_millis() as u64);
        for slot in 0..self.slots.len() {
            let Some(connection) = &self.slots[slot].connection else { continue };
            let since = |then: u64| self.now.saturating_sub(then);
            let reason = if connection.stalled != 0 && since(connection.stalled) >= stall {
                Reason::Stalled { waiting: connection.output.len() }
            } else if idle != 0
                && connection.stands == Stands::No
                && since(connection.heard) >= idle
            {
                Reason::Idle
            } else {
                continue;
            };
            if let Some(connection) = self.slots[slot].connection.take() {
                self.end(slot as u32, *connection, &reason);
            }
        }
    }
}
