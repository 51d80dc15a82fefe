//! The thread that writes windows to their files and digests objects, close behind the frames that
//! bring them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError};

use super::session::Event;
use crate::transfer::digests::Digests;
use crate::transfer::error::TransferError;
use crate::wire::{Filled, Transfer};

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Check {
    /// To digest an object's files, of these lengths; the windows of one that has a file come filled,
    /// and are to be written to it.
    Begin(Arc<Transfer>, Option<File>, Vec<u64>),
    /// To write a window.
    Filled(Filled),
    /// To see how much more there is.
    Look,
    /// To end.
    Stop,
}

/// Windows that are digested before the next word is listened to: what arrives is not to wait while a
/// file is read that an earlier run left.
const STEP: usize = 16;

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// All of it is digested.
    Whole,
    /// More of it is there.
    Behind,
    /// The next window is not.
    Waiting,
}

struct Work {
    transfer: Arc<Transfer>,
    file: Option<File>,
    digests: Digests,
    next: u32,
    /// For windows that are read again.
    buffer: Vec<u8>,
}

impl Work {
    /// Writes a window; digests it if it is next.
    fn write(&mut self, filled: Filled) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let at = self.transfer.spec().begin(filled.window());
        file.write_all_at(filled.bytes(), at)?;
        if filled.window() == self.next {
            self.digests.take(filled.bytes());
            self.next += 1;
        }
        filled.done();
        Ok(())
    }

    /// Digests some of what is there.
    fn go_on(&mut self) -> io::Result<Stand> {
        for _ in 0..STEP {
            if !self.transfer.is_done(self.next) {
                break;
            }
            match (&self.file, self.transfer.window(self.next)) {
                (Some(file), _) => {
                    let spec = self.transfer.spec();
                    self.buffer.resize(spec.window_len(self.next) as usize, 0);
                    file.read_exact_at(&mut self.buffer, spec.begin(self.next))?;
                    self.digests.take(&self.buffer);
                }
                (None, Some(bytes)) => self.digests.take(bytes),
                (None, None) => break,
            }
            self.next += 1;
        }
        Ok(match self.next == self.transfer.windows() {
            true => Stand::Whole,
            false if self.transfer.is_done(self.next) => Stand::Behind,
            false => Stand::Waiting,
        })
    }
}

/// Works until it is told to stop or nobody asks any more.
pub(super) fn run(asked: &Receiver<Check>, events: &Sender<Event>) {
    let (mut works, mut behind) = (Vec::<Work>::new(), false);
    loop {
        let check = match asked.try_recv() {
            Err(TryRecvError::Empty) if behind => Ok(Check::Look),
            Err(TryRecvError::Empty) => asked.recv(),
            check => check.map_err(|_| RecvError),
        };
        let Ok(check) = check else { return };
        let done = match check {
            Check::Begin(transfer, file, lengths) => {
                let digests = Digests::new(&lengths);
                works.push(Work { transfer, file, digests, next: 0, buffer: Vec::new() });
                Ok(())
            }
            Check::Filled(filled) => {
                let id = filled.transfer().spec().id;
                match works.iter_mut().find(|work| work.transfer.spec().id == id) {
                    Some(work) => work.write(filled),
                    // Of an object that is no more.
                    None => Ok(()),
                }
            }
            Check::Look => Ok(()),
            Check::Stop => return,
        };
        let done = done.and_then(|()| end(&mut works));
        let told = match done {
            Ok((over, more)) => {
                behind = more;
                over.into_iter().try_for_each(|event| events.send(event))
            }
            Err(error) => {
                let error = TransferError::io("writing what arrives", error);
                // Without a session nobody wants to know.
                let _ = events.send(Event::Deaf(error));
                return;
            }
        };
        if told.is_err() {
            return;
        }
    }
}

/// Goes on with all objects; takes out those that are whole, with their digests, and says whether there
/// is more to digest.
fn end(works: &mut Vec<Work>) -> io::Result<(Vec<Event>, bool)> {
    let (mut over, mut behind, mut at) = (Vec::new(), false, 0);
    while at < works.len() {
        match works[at].go_on()? {
            Stand::Whole => {
                let work = works.swap_remove(at);
                let (object, digests) = (work.transfer.spec().id, work.digests.end());
                over.push(Event::Digested { object, digests });
                continue;
            }
            Stand::Behind => behind = true,
            Stand::Waiting => {}
        }
        at += 1;
    }
    Ok((over, behind))
}
