//! The loop of one thread: accept, read, execute, write.

mod clients;
mod replies;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::servers::connection::{Connection, Protocol, READ, Reason, Served, Service, Stands};
use crate::servers::counters::{Shared, add};
use crate::servers::journal::Journal;
use crate::servers::outbox::Outbox;
use crate::servers::{Limits, ServeError};

/// What all loops of a server share.
#[derive(Debug)]
pub(in crate::servers) struct Common {
    pub(in crate::servers) limits: Limits,
    pub(in crate::servers) loops: usize,
    pub(in crate::servers) counters: Shared,
    pub(in crate::servers) journal: Journal,
    pub(in crate::servers) stop: AtomicBool,
}

impl Common {
    pub(in crate::servers) fn new(limits: Limits, loops: usize) -> Self {
        let (counters, journal) = (Shared::default(), Journal::default());
        Self { limits, loops, counters, journal, stop: AtomicBool::new(false) }
    }
}

/// Wakes one loop from another thread.
#[derive(Clone, Debug)]
pub(in crate::servers) struct Waker(Arc<EventFd>);

impl Waker {
    pub(in crate::servers) fn new() -> Result<Self, ServeError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let fd = EventFd::from_value_and_flags(0, flags).map_err(ServeError::io("eventfd"))?;
        Ok(Self(Arc::new(fd)))
    }

    pub(in crate::servers) fn wake(&self) {
        // It fails only when it is full of wake-ups that have not been seen.
        let _ = self.0.write(1);
    }

    /// Sleeps until it is woken, for `most` milliseconds at most.
    pub(in crate::servers) fn wait(&self, most: u8) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // Whoever waits looks again, whatever this gives.
        if poll(&mut fds, most).is_ok_and(|ready| ready > 0) {
            let _ = self.0.read();
        }
    }
}

const WAKE: u64 = u64::MAX;
const LISTENERS: u64 = u64::MAX - 16;
/// Milliseconds between ticks.
const TICK: u64 = 100;
/// Milliseconds until a turn while writes wait for the disk, when nothing wakes the loop before.
const GROUP: u64 = 2;

#[derive(Debug)]
struct Slot<S> {
    /// Changes when the slot is used again, so that an event of its last connection is not taken for one
    /// of the next.
    generation: u32,
    connection: Option<Box<Connection<S>>>,
}

/// A loop and its connections.
pub(in crate::servers) struct EventLoop<V: Service> {
    service: V,
    common: Arc<Common>,
    epoll: Epoll,
    waker: Waker,
    listeners: Vec<(TcpListener, Protocol)>,
    /// Listeners that rest until the next tick, because files ran out.
    resting: bool,
    slots: Vec<Slot<V::Session>>,
    free: Vec<u32>,
    /// Connections whose replies wait for the disk.
    held: Vec<u32>,
    /// Connections whose command runs step by step; each has its turn.
    running: VecDeque<u64>,
    /// What connections without leftovers are read into.
    shared: Vec<u8>,
    /// Replies of the burst at hand.
    out: Vec<u8>,
    /// Replies of the turn at hand.
    outbox: Outbox,
    /// Memory of all connections' buffers.
    buffers: usize,
    now: u64,
}

impl<V: Service> EventLoop<V> {
    pub(in crate::servers) fn new(
        service: V,
        common: Arc<Common>,
        waker: Waker,
        listeners: Vec<(TcpListener, Protocol)>,
    ) -> Result<Self, ServeError> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(ServeError::io("epoll_create"))?;
        let add = ServeError::io("epoll_ctl");
        epoll.add(&waker.0, EpollEvent::new(EpollFlags::EPOLLIN, WAKE)).map_err(add)?;
        let new = Self {
            service,
            common,
            epoll,
            waker,
            listeners,
            resting: false,
            slots: Vec::new(),
            free: Vec::new(),
            held: Vec::new(),
            running: VecDeque::new(),
            shared: vec![0; READ],
            out: Vec::new(),
            outbox: Outbox::default(),
            buffers: 0,
            now: milliseconds(),
        };
        new.listen()?;
        Ok(new)
    }

    fn listen(&self) -> Result<(), ServeError> {
        for (index, (listener, _)) in self.listeners.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, LISTENERS + index as u64);
            self.epoll.add(listener, event).map_err(ServeError::io("epoll_ctl"))?;
        }
        Ok(())
    }

    /// Serves until the server stops.
    pub(in crate::servers) fn run(&mut self) -> Result<(), ServeError> {
        let mut events = vec![EpollEvent::empty(); 512];
        let mut next_tick = self.now + TICK;
        let mut next_sweep = self.now + 1000;
        let mut busy = false;
        while !self.common.stop.load(Ordering::Acquire) {
            let wait = match (busy, self.service.is_waiting()) {
                (true, _) => 0,
                // The thread that syncs wakes this one; a group that opened meanwhile has its time.
                (false, waiting) => {
                    next_tick.saturating_sub(self.now).min(if waiting { GROUP } else { TICK })
                }
            };
            let wait = if self.service.may_sleep() { wait } else { 0 };
            let count = match self.epoll.wait(&mut events, EpollTimeout::from(wait as u8)) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => 0,
                Err(error) => return Err(ServeError::io("epoll_wait")(error)),
            };
            self.now = milliseconds();
            self.service.begin(self.now);
            self.receive();
            for event in &events[..count] {
                self.event(event.data(), event.events());
                if self.outbox.is_full() {
                    self.send_all();
                }
            }
            self.send_all();
            self.release();
            busy = self.service.work() | self.step();
            self.send_all();
            // A clock that was set back must not stop the ticks.
            if self.now >= next_tick || next_tick > self.now + TICK {
                self.service.tick();
                next_tick = self.now + TICK;
                if self.resting {
                    self.resting = false;
                    self.listen()?;
                }
            }
            if self.now >= next_sweep || next_sweep > self.now + 1000 {
                self.sweep();
                next_sweep = self.now + 1000;
            }
        }
        self.close_all();
        Ok(())
    }

    fn event(&mut self, token: u64, flags: EpollFlags) {
        if token == WAKE {
            let _ = self.waker.0.read();
            return;
        }
        if token >= LISTENERS {
            return self.accept((token - LISTENERS) as usize);
        }
        let Some((slot, mut connection)) = self.take(token) else { return };
        let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        let ready = EpollFlags::EPOLLIN | gone;
        let mut reason = None;
        if connection.stands != Stands::No && flags.intersects(gone) {
            // Nobody is left to hear of the command: it ends where it stands.
            return self.settle(slot, connection, Some(Reason::Client));
        }
        if flags.contains(EpollFlags::EPOLLOUT) {
            reason = self.resume(slot, &mut connection);
        }
        if reason.is_none() && flags.intersects(ready) {
            reason = self.readable(slot, &mut connection);
        }
        self.settle(slot, connection, reason);
    }

    /// Puts a connection back, or ends it.
    fn settle(
        &mut self,
        slot: u32,
        mut connection: Box<Connection<V::Session>>,
        reason: Option<Reason>,
    ) {
        let reason = reason.or_else(|| {
            let closes = connection.closing.is_some();
            let sent = if closes { self.send_unsent(slot, &mut connection) } else { Ok(()) };
            if let Err(reason) = sent {
                return Some(reason);
            }
            let closing = connection.closing.take();
            if connection.output.len() > 0 {
                connection.closing = closing;
                return None;
            }
            closing
        });
        let reason = reason.or_else(|| self.account(&mut connection));
        let reason = reason.or_else(|| self.poll_for(slot, &mut connection).err());
        match reason {
            None => self.slots[slot as usize].connection = Some(connection),
            Some(reason) => self.end(slot, *connection, &reason),
        }
    }

    /// Counts the memory of the connection's buffers; it must go when it grew and all are too large.
    fn account(&mut self, connection: &mut Connection<V::Session>) -> Option<Reason> {
        let held = self.service.held(&connection.session);
        let own = connection.input.capacity() + connection.output.capacity() + held;
        let grew = own > connection.accounted;
        self.buffers = self.buffers - connection.accounted + own;
        connection.accounted = own;
        let too_large = self.buffers > self.common.limits.buffer_bytes / self.common.loops;
        (grew && too_large).then_some(Reason::Memory { own })
    }

    /// Waits for what the connection can do next.
    fn poll_for(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
    ) -> Result<(), Reason> {
        let blocked = connection.output.len() > self.common.limits.output_bytes;
        let reads = connection.closing.is_none() && !blocked && !connection.unread;
        let interest = (reads, connection.output.ready() > 0);
        if interest == connection.interest {
            return Ok(());
        }
        connection.interest = interest;
        let mut event = EpollEvent::new(flags_of(interest), self.token(slot));
        self.epoll
            .modify(&connection.stream, &mut event)
            .map_err(|error| Reason::Socket(format!("epoll_ctl: {error}")))
    }

    fn token(&self, slot: u32) -> u64 {
        u64::from(self.slots[slot as usize].generation) << 32 | u64::from(slot)
    }

    fn readable(&mut self, slot: u32, connection: &mut Connection<V::Session>) -> Option<Reason> {
        if !connection.interest.0 {
            // Only an error or a hang-up is reported when nothing is asked for.
            return Some(Reason::Client);
        }
        if connection.stands != Stands::No {
            connection.unread = true;
            return None;
        }
        let fresh = connection.input.rest().is_empty();
        let read = if fresh {
            connection.stream.read(&mut self.shared)
        } else {
            connection.input.receive(&connection.stream)
        };
        let count = match read {
            Ok(0) => {
                // Its replies are still written: it may have closed its sending side only.
                connection.closing = Some(Reason::Client);
                return None;
            }
            Ok(count) => count,
            Err(error) if is_again(&error) => return None,
            Err(error) => return Some(Reason::Socket(error.to_string())),
        };
        connection.heard = self.now;
        add(&self.common.counters.read_bytes, count as u64);
        if !fresh {
            return self.execute_rest(slot, connection);
        }
        let shared = std::mem::take(&mut self.shared);
        connection.input.need = 1;
        let done = self.execute(slot, connection, &shared[..count]);
        if let Ok(done) = done {
            connection.input.push(&shared[done..count]);
        }
        self.shared = shared;
        done.err()
    }

    /// Executes what is left in the connection's own input.
    fn execute_rest(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
    ) -> Option<Reason> {
        if connection.stands != Stands::No || !connection.input.suffices() {
            return None;
        }
        let input = std::mem::take(&mut connection.input);
        let done = self.execute(slot, connection, input.rest());
        let need = connection.input.need;
        connection.input = input;
        connection.input.need = need;
        match done {
            Ok(done) => {
                connection.input.advance(done);
                None
            }
            Err(reason) => Some(reason),
        }
    }

    /// Executes commands of `input` while replies find room; gives the bytes that are done.
    fn execute(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
        input: &[u8],
    ) -> Result<usize, Reason> {
        let mut done = 0;
        while connection.closing.is_none()
            && connection.output.len() <= self.common.limits.output_bytes
            && done < input.len()
        {
            let served = self.service.serve(&mut connection.session, &input[done..], &mut self.out);
            let Served { consumed, need, .. } = served;
            done += consumed;
            self.served(slot, connection, served)?;
            if consumed == 0 || input.len() - done < need || connection.stands != Stands::No {
                break;
            }
        }
        Ok(done)
    }

    /// Takes note of what a burst left, and writes its replies.
    fn served(
        &mut self,
        slot: u32,
        connection: &mut Connection<V::Session>,
        served: Served,
    ) -> Result<(), Reason> {
        connection.input.need = served.need;
        connection.closing = served.close;
        connection.stands = served.stands;
        if served.stands == Stands::Runs {
            self.running.push_back(self.token(slot));
        }
        self.emit(slot, connection, served.until)
    }

    /// Does what other loops want, and goes on with the connections that something has come for.
    fn receive(&mut self) {
        self.service.receive();
        while let Some((token, arrival)) = self.service.arrival() {
            let Some((slot, mut connection)) = self.take(token) else { continue };
            let mut reason = None;
            if self.service.take(&mut connection.session, arrival) {
                reason = self.go_on(slot, &mut connection);
            }
            self.settle(slot, connection, reason);
        }
    }

    /// Goes on with one of the connections whose command runs; whether any does.
    fn step(&mut self) -> bool {
        let turns = self.running.len();
        for _ in 0..turns {
            let Some(token) = self.running.pop_front() else { break };
            let Some((slot, mut connection)) = self.take(token) else { continue };
            if connection.output.len() > self.common.limits.output_bytes {
                // It has room for replies again when the client has read some.
                self.running.push_back(token);
                self.settle(slot, connection, None);
                continue;
            }
            let reason = self.go_on(slot, &mut connection);
            self.settle(slot, connection, reason);
            return !self.running.is_empty();
        }
        false
    }

    /// The connection that `token` names, if it is still there.
    fn take(&mut self, token: u64) -> Option<(u32, Box<Connection<V::Session>>)> {
        let (slot, generation) = (token as u32, (token >> 32) as u32);
        let found = self.slots.get_mut(slot as usize)?;
        if found.generation != generation {
            return None;
        }
        Some((slot, found.connection.take()?))
    }

    /// Goes on with the command that a connection stands at, and when it ends, with what follows.
    fn go_on(&mut self, slot: u32, connection: &mut Connection<V::Session>) -> Option<Reason> {
        connection.heard = self.now;
        let need = connection.input.need;
        let served = self.service.resume(&mut connection.session, &mut self.out);
        if let Err(reason) = self.served(slot, connection, Served { need, ..served }) {
            return Some(reason);
        }
        if connection.stands != Stands::No {
            return None;
        }
        connection.unread = false;
        self.execute_rest(slot, connection)
    }

    /// Replies that can go do; the rest of them, and all connections, end.
    fn close_all(&mut self) {
        let durable = self.service.commit();
        for slot in 0..self.slots.len() {
            let Some(mut connection) = self.slots[slot].connection.take() else { continue };
            connection.output.release(durable);
            let _ = connection.output.write(&mut connection.stream);
            self.end(slot as u32, *connection, &Reason::Stop);
        }
    }
}

fn flags_of((read, write): (bool, bool)) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, read);
    flags.set(EpollFlags::EPOLLOUT, write);
    flags
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Microseconds since 1970.
pub(in crate::servers) fn microseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Milliseconds since 1970.
pub(in crate::servers) fn milliseconds() -> u64 {
    microseconds() / 1000
}
