//! Memory that is touched before it is needed, by a thread for all reservations of the process.
//!
//! The first touch of a huge page clears 2 MiB: a tenth of a millisecond where the machine has the
//! memory, and some four where a host has to find it first. Whoever writes is not to wait for that.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Requests that wait at a time; more are dropped, since they are only for speed.
const MOST: usize = 64;

/// Requests of one reservation that are not done.
#[derive(Debug, Default)]
pub(super) struct Pending {
    count: Mutex<usize>,
    none: Condvar,
}

struct Request {
    at: usize,
    len: usize,
    pending: Arc<Pending>,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, usize> {
        // A number is whole at every step.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for memory behind `len` bytes at `at`, when the thread is not too busy. The caller keeps these addresses
    /// mapped until [`Pending::wait`] returns.
    pub(super) fn ask(self: &Arc<Self>, at: NonNull<c_void>, len: usize) {
        static THREAD: OnceLock<Option<SyncSender<Request>>> = OnceLock::new();
        let Some(thread) = THREAD.get_or_init(start) else { return };
        *self.lock() += 1;
        let request = Request { at: at.as_ptr() as usize, len, pending: Arc::clone(self) };
        if thread.try_send(request).is_err() {
            self.done();
        }
    }

    fn done(&self) {
        *self.lock() -= 1;
        self.none.notify_all();
    }

    /// Waits until nothing of this reservation is being touched.
    pub(super) fn wait(&self) {
        let mut count = self.lock();
        while *count > 0 {
            count = self.none.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn start() -> Option<SyncSender<Request>> {
    let (send, requests) = sync_channel::<Request>(MOST);
    let run = move || {
        while let Ok(Request { at, len, pending }) = requests.recv() {
            // SAFETY: the advice changes no content: it has the kernel put memory behind pages that
            // have none. The addresses stay mapped until `pending` is done, by the contract of `ask`;
            // pages that are not writable any more make it fail, as does a kernel before 5.14.
            unsafe { libc::madvise(at as *mut c_void, len, libc::MADV_POPULATE_WRITE) };
            pending.done();
        }
    };
    let thread = std::thread::Builder::new().name("pfs-kv-memory".to_owned()).spawn(run);
    match thread {
        Ok(_) => Some(send),
        Err(error) => {
            tracing::debug!(%error, "no thread that touches memory ahead");
            None
        }
    }
}
