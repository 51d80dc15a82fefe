//! One client's connection: its socket, what it has sent that is not done, what it has not yet read.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::output::Output;

/// Which protocol a listening socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Resp,
    Cheetah,
}

/// What executes commands. The loop knows nothing of protocols or stores.
pub(super) trait Service {
    /// What it keeps for one connection.
    type Session;
    /// What comes from elsewhere for a connection that waits.
    type Arrival;

    /// A client has connected; `token` names its connection, and no other before or after it.
    fn open(&mut self, protocol: Protocol, token: u64) -> Self::Session;

    /// Executes commands at the front of `input` and appends their replies to `out`, until the input
    /// ends or `out` is as long as replies may wait.
    fn serve(&mut self, session: &mut Self::Session, input: &[u8], out: &mut Vec<u8>) -> Served;

    /// Goes on with the command that a connection stands at: a step of it, when it runs, or what
    /// follows the last arrival, when it waited.
    fn resume(&mut self, session: &mut Self::Session, out: &mut Vec<u8>) -> Served;

    /// Does what others want from this loop; what has come for a connection that waits.
    fn receive(&mut self);

    /// The next arrival for a connection.
    fn arrival(&mut self) -> Option<(u64, Self::Arrival)>;

    /// Gives an arrival to its connection; whether that waits no longer.
    fn take(&mut self, session: &mut Self::Session, arrival: Self::Arrival) -> bool;

    /// Bytes of memory that a connection's command at hand takes.
    fn held(&self, session: &Self::Session) -> usize;

    /// The loop is about to sleep: whether it may.
    fn may_sleep(&mut self) -> bool;

    /// What a client is told that cannot be served.
    fn refusal(&self, protocol: Protocol) -> String;

    /// Called after each turn of the loop: what is written may become durable together. Gives the place in
    /// the log up to which everything is.
    fn commit(&mut self) -> u64;

    /// Called before each turn, with the milliseconds since 1970.
    fn begin(&mut self, now: u64);

    /// Called some ten times a second.
    fn tick(&mut self);

    /// Whether writes wait for the disk.
    fn is_waiting(&self) -> bool;

    /// Whether what waits will never be on disk.
    fn is_broken(&mut self) -> bool;

    /// Does a piece of what is to be done in the background; `false` when there is nothing.
    fn work(&mut self) -> bool;
}

/// What one call of [`Service::serve`] has done.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Bytes of the input that are done with.
    pub(super) consumed: usize,
    /// Bytes that must follow them before another call can do more; at least 1.
    pub(super) need: usize,
    /// Place in the log that must be durable before the replies may go.
    pub(super) until: Option<u64>,
    /// Why the connection ends behind the replies, if it does.
    pub(super) close: Option<Reason>,
    /// Whether a command has begun and not ended: what follows it runs after it.
    pub(super) stands: Stands,
}

/// Whether a connection stands at a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stands {
    /// It does not.
    #[default]
    No,
    /// The command runs, step by step.
    Runs,
    /// The command waits for an arrival.
    Waits,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The client closed it, or said that it wants to.
    Client,
    /// What it sent is not the protocol.
    Protocol(String),
    /// Too many wrong passwords.
    Auth,
    /// It did not read its replies.
    Stalled { waiting: usize },
    /// It sent nothing.
    Idle,
    /// All buffers together were too large.
    Memory { own: usize },
    /// What it wrote could not be made durable.
    Disk,
    /// The socket failed.
    Socket(String),
    /// The server stops.
    Stop,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client => f.write_str("closed by the client"),
            Self::Protocol(what) => write!(f, "protocol error: {what}"),
            Self::Auth => f.write_str("too many wrong passwords"),
            Self::Stalled { waiting } => {
                write!(f, "the client does not read: {waiting} bytes of replies wait")
            }
            Self::Disk => f.write_str("what it wrote could not be made durable"),
            Self::Idle => f.write_str("nothing was sent for too long"),
            Self::Memory { own } => {
                write!(f, "all buffers together are too large; this client's are {own} bytes")
            }
            Self::Socket(error) => write!(f, "socket: {error}"),
            Self::Stop => f.write_str("the server stops"),
        }
    }
}

/// Bytes that are read at a time.
pub(super) const READ: usize = 64 << 10;
/// Bytes of memory that an empty input keeps.
const KEPT: usize = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stream: TcpStream,
    pub(super) session: S,
    pub(super) output: Output,
    /// Bytes that were read and not executed; empty for most connections most of the time.
    pub(super) input: Input,
    /// Why it ends once its replies are written.
    pub(super) closing: Option<Reason>,
    /// What the loop's poll waits for: reading, writing.
    pub(super) interest: (bool, bool),
    /// When it last sent something, in milliseconds.
    pub(super) heard: u64,
    /// Since when it has left replies unread, in milliseconds; 0: it has not.
    pub(super) stalled: u64,
    /// Memory of its buffers, as accounted.
    pub(super) accounted: usize,
    /// Whether it is in the loop's list of those that wait for the disk.
    pub(super) listed: bool,
    /// Whether it stands at a command.
    pub(super) stands: Stands,
    /// More has come while it stands, and is not read.
    pub(super) unread: bool,
    /// Its replies in the loop's outbox; when there are any, its output is empty.
    pub(super) unsent: u32,
}

impl<S> Connection<S> {
    pub(super) fn new(stream: TcpStream, session: S, now: u64) -> Self {
        Self {
            stream,
            session,
            output: Output::default(),
            input: Input::default(),
            closing: None,
            interest: (true, false),
            heard: now,
            stalled: 0,
            accounted: 0,
            listed: false,
            stands: Stands::No,
            unread: false,
            unsent: 0,
        }
    }
}

/// What a connection has sent and is not executed yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Bytes at the front that are done.
    done: usize,
    /// Bytes that must be there before it is worth executing.
    pub(super) need: usize,
}

impl Input {
    /// What is not done.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// Bytes of memory.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there is enough for another command.
    pub(super) fn suffices(&self) -> bool {
        self.rest().len() >= self.need.max(1)
    }

    /// Appends what was read elsewhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `count` bytes more are done.
    pub(super) fn advance(&mut self, count: usize) {
        self.done += count;
        if self.done == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.done = 0;
        } else if self.done > self.bytes.len() / 2 {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
    }

    /// Receives more from `stream` behind what is there: at least [`READ`] bytes of room, and as much as
    /// there is already when a long command is on its way. Memory grows with what has arrived, not with
    /// what was announced.
    pub(super) fn receive(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let missing = self.need.saturating_sub(self.rest().len());
        let room = missing.min(self.bytes.len()).clamp(READ, 1 << 20);
        self.bytes.reserve(room);
        let spare = self.bytes.spare_capacity_mut();
        let spare = &mut spare[..room];
        // SAFETY: the kernel writes at most `spare.len()` bytes to `spare`, which is ours to write and
        // lives through the call; the descriptor is open while `stream` is borrowed.
        let count =
            unsafe { libc::recv(stream.as_raw_fd(), spare.as_mut_ptr().cast(), spare.len(), 0) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has written the first `count` bytes of the spare capacity, and
        // `count <= room` of them fit.
        unsafe { self.bytes.set_len(self.bytes.len() + count) };
        Ok(count)
    }
}
