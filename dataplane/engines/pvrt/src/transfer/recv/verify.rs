//! The thread that digests objects, close behind the frames that bring them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use super::session::Event;
use crate::transfer::digests::Digests;
use crate::wire::Transfer;

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Check {
    /// To digest an object's files, of these lengths.
    Begin(Arc<Transfer>, Vec<u64>),
    /// To see how much more there is.
    Look,
}

struct Work {
    transfer: Arc<Transfer>,
    digests: Digests,
    next: u32,
}

impl Work {
    /// Digests what is there; whether that is all.
    fn go_on(&mut self) -> bool {
        while let Some(bytes) = self.transfer.window(self.next) {
            self.digests.take(bytes);
            self.next += 1;
        }
        self.next == self.transfer.windows()
    }
}

/// Works until nobody asks any more.
pub(super) fn run(asked: &Receiver<Check>, events: &Sender<Event>) {
    let mut works: Vec<Work> = Vec::new();
    while let Ok(check) = asked.recv() {
        match check {
            Check::Begin(transfer, lengths) => {
                works.push(Work { transfer, digests: Digests::new(&lengths), next: 0 });
            }
            Check::Look => {}
        }
        let mut at = 0;
        while at < works.len() {
            if !works[at].go_on() {
                at += 1;
                continue;
            }
            let work = works.swap_remove(at);
            let digested =
                Event::Digested { object: work.transfer.spec().id, digests: work.digests.end() };
            if events.send(digested).is_err() {
                return;
            }
        }
    }
}
