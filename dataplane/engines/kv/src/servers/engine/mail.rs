//! Letters between loops: whole bursts, under one lock a turn.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::burst::Parcel;
use super::local::Local;
use crate::servers::event_loop::Waker;

/// What a loop asks of another one, and answers.
pub(super) enum Letter {
    /// Operations for a shard of the receiver.
    Parcel { from: usize, parcel: Box<Parcel> },
    /// The same with its answers.
    Back(Box<Parcel>),
    /// Something to be done with the receiver's shards.
    Run { from: usize, ticket: u64, job: Job },
    /// What came of it.
    Ran { ticket: u64, result: Box<dyn Any + Send> },
    /// Asks to be told when everything that the receiver has written is durable.
    Settle { from: usize, token: u64 },
    /// It is, or will never be.
    Settled { token: u64, durable: bool },
    /// The receiver is to do nothing for anybody but the sender, until it is released.
    Hold { from: usize },
    /// The receiver's word that it does.
    Held,
    /// The end of [`Letter::Hold`].
    Release,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Self::Parcel { .. } => "Parcel",
            Self::Back(_) => "Back",
            Self::Run { .. } => "Run",
            Self::Ran { .. } => "Ran",
            Self::Settle { .. } => "Settle",
            Self::Settled { .. } => "Settled",
            Self::Hold { .. } => "Hold",
            Self::Held => "Held",
            Self::Release => "Release",
        })
    }
}

/// Work on the shards of another loop.
pub(super) type Job = Box<dyn FnOnce(&mut Local) -> Box<dyn Any + Send> + Send>;

/// What lies before a loop's door.
struct Door {
    letters: Vec<Letter>,
    /// The loop sleeps, or is about to: who brings a letter wakes it.
    sleeps: bool,
}

struct Inbox {
    door: Mutex<Door>,
    waker: Waker,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Door> {
        // Each step leaves the door whole: another thread's panic does as well.
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inboxes of all loops.
struct Post {
    inboxes: Vec<Inbox>,
    /// The loop that holds all others, plus 1; 0 for none.
    holder: AtomicUsize,
}

/// One loop's way to the others: what is sent in a turn goes together.
pub(super) struct Mail {
    post: Arc<Post>,
    me: usize,
    outgoing: Vec<Vec<Letter>>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Mail({} of {})", self.me, self.outgoing.len())
    }
}

impl Mail {
    /// A way for each loop that one of `wakers` wakes.
    pub(super) fn between(wakers: &[Waker]) -> Vec<Self> {
        let inbox = |waker: &Waker| Inbox {
            door: Mutex::new(Door { letters: Vec::new(), sleeps: false }),
            waker: waker.clone(),
        };
        let inboxes = wakers.iter().map(inbox).collect();
        let post = Arc::new(Post { inboxes, holder: AtomicUsize::new(0) });
        let outgoing = || wakers.iter().map(|_| Vec::new()).collect();
        (0..wakers.len())
            .map(|me| Self { post: Arc::clone(&post), me, outgoing: outgoing() })
            .collect()
    }

    /// Lays a letter to loop `to` ready.
    pub(super) fn send(&mut self, to: usize, letter: Letter) {
        if let Some(letters) = self.outgoing.get_mut(to) {
            letters.push(letter);
        }
    }

    /// Brings what lies ready, and wakes those that sleep.
    pub(super) fn deliver(&mut self) {
        for (letters, inbox) in self.outgoing.iter_mut().zip(&self.post.inboxes) {
            if letters.is_empty() {
                continue;
            }
            let mut door = inbox.lock();
            door.letters.append(letters);
            let wakes = std::mem::take(&mut door.sleeps);
            drop(door);
            if wakes {
                inbox.waker.wake();
            }
        }
    }

    /// What has come.
    pub(super) fn collect(&self) -> Vec<Letter> {
        let Some(inbox) = self.post.inboxes.get(self.me) else { return Vec::new() };
        let mut door = inbox.lock();
        door.sleeps = false;
        std::mem::take(&mut door.letters)
    }

    /// Whether this loop may sleep: nothing has come, and who brings something will wake it.
    pub(super) fn may_sleep(&self) -> bool {
        let Some(inbox) = self.post.inboxes.get(self.me) else { return true };
        let mut door = inbox.lock();
        door.sleeps = door.letters.is_empty();
        door.sleeps
    }

    /// Sleeps until something comes, for two milliseconds at most.
    pub(super) fn wait(&self) {
        if let (true, Some(inbox)) = (self.may_sleep(), self.post.inboxes.get(self.me)) {
            inbox.waker.wait(2);
        }
    }

    /// Takes the right to hold all loops, if nobody has it.
    pub(super) fn try_hold(&self) -> bool {
        let holder = &self.post.holder;
        // Acquire and Release: whoever holds next sees what this one has sent.
        holder.compare_exchange(0, self.me + 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives that right back.
    pub(super) fn end_hold(&self) {
        self.post.holder.store(0, Ordering::Release);
    }
}
