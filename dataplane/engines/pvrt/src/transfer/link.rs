//! The control channel at work: a thread that reads, a lock to write, a word now and then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::control::{Incoming, Outgoing, PATIENCE};
use super::error::TransferError;
use super::message::Message;

/// After this long without a word this end says that it is alive.
const QUIET: Duration = Duration::from_secs(5);

/// Says messages; shared by the threads of an end.
#[derive(Clone, Debug)]
pub(super) struct Link(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    out: Mutex<Outgoing>,
    received: AtomicU64,
    over: AtomicBool,
}

/// The thread that hears the other end.
#[derive(Debug)]
pub(super) struct Listener {
    link: Link,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Gives what comes in to `each`, in a thread of its own, until it fails or `each` says false.
    pub(super) fn start(
        out: Outgoing,
        incoming: Incoming,
        each: impl FnMut(Result<Message, TransferError>) -> bool + Send + 'static,
    ) -> (Self, Listener) {
        let shared = Shared {
            out: Mutex::new(out),
            received: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        let link = Self(Arc::new(shared));
        let hearing = link.clone();
        let thread = thread::spawn(move || hearing.listen(incoming, each));
        (link.clone(), Listener { link, thread: Some(thread) })
    }

    fn out(&self) -> MutexGuard<'_, Outgoing> {
        // A record is written whole or the connection is lost, whoever panicked.
        self.0.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(
        &self,
        mut incoming: Incoming,
        mut each: impl FnMut(Result<Message, TransferError>) -> bool,
    ) {
        let mut heard = Instant::now();
        loop {
            let next = incoming.receive();
            self.0.received.store(incoming.received(), Ordering::Relaxed);
            if self.0.over.load(Ordering::Relaxed) {
                return;
            }
            let said = match next {
                Ok(Some(message)) => {
                    heard = Instant::now();
                    match Message::read(&message) {
                        Ok(Message::Alive) => continue,
                        Ok(Message::Error(why)) => Err(TransferError::Peer(why)),
                        other => other.map_err(TransferError::from),
                    }
                }
                Ok(None) if heard.elapsed() > PATIENCE => Err(TransferError::Silent {
                    doing: "waiting for it",
                    seconds: PATIENCE.as_secs(),
                }),
                Ok(None) => match self.stay_alive() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            let failed = said.is_err();
            if !each(said) || failed {
                return;
            }
        }
    }

    fn stay_alive(&self) -> Result<(), TransferError> {
        // Whoever holds the lock is saying something.
        let Ok(mut out) = self.0.out.try_lock() else { return Ok(()) };
        if out.last().elapsed() < QUIET {
            return Ok(());
        }
        out.send(&Message::Alive.write())?;
        out.flush()
    }

    /// Says `message` at once; returns its bytes.
    pub(super) fn say(&self, message: &Message) -> Result<u64, TransferError> {
        let (bytes, mut out) = (message.write(), self.out());
        out.send(&bytes)?;
        out.flush()?;
        Ok(bytes.len() as u64)
    }

    /// Queues `message`, to be said with the next one that is said at once.
    pub(super) fn queue(&self, message: &Message) -> Result<u64, TransferError> {
        let bytes = message.write();
        self.out().send(&bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Says what is queued.
    pub(super) fn flush(&self) -> Result<(), TransferError> {
        self.out().flush()
    }

    /// Tells the other end why this one gives up.
    pub(super) fn give_up(&self, why: &TransferError) {
        if !matches!(
            why,
            TransferError::Peer(_) | TransferError::Closed { .. } | TransferError::Silent { .. }
        ) {
            // It may be gone already.
            let _ = self.say(&Message::Error(why.to_string()));
        }
    }

    /// Bytes sent and received so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.out().sent(), self.0.received.load(Ordering::Relaxed))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.link.0.over.store(true, Ordering::Relaxed);
        self.link.out().close();
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}
