//! Waiting for packets: by watching the ring, by naps, or asleep in poll(2).

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use xsk_rs::RxQueue;

use super::spec::WaitMode;

/// Naps grow to this multiple of the first, then poll(2) takes over.
const LONGEST_NAP: u32 = 8;
/// Longest sleep in poll(2): it does not return when the interface goes away, so the socket is
/// asked that often.
const SLEEP: Duration = Duration::from_millis(100);
/// Looks at the ring between two looks at the clock.
const LOOKS: u32 = 256;

/// Waits for one socket.
///
/// In adaptive mode a thread that found nothing naps for a fixed time instead of sleeping in
/// poll(2): packets gather meanwhile, and no sender has to wake anyone. (That wake-ups are what
/// makes poll(2) slow under traffic is likely, not measured.) Naps double while nothing comes;
/// then poll(2) it is.
#[derive(Debug)]
pub(super) struct Waiter {
    mode: WaitMode,
    first_nap: Duration,
    nap: Duration,
    fd: RawFd,
    pub(super) naps: u64,
    pub(super) sleeps: u64,
}

impl Waiter {
    /// `fd` is the socket's; the owner keeps it open as long as it calls [`Self::step`].
    pub(super) const fn new(mode: WaitMode, nap_us: u32, fd: RawFd) -> Self {
        let nap = Duration::from_micros(nap_us as u64);
        Self { mode, first_nap: nap, nap, fd, naps: 0, sleeps: 0 }
    }

    /// Packets have come: naps are short again.
    #[inline]
    pub(super) const fn traffic(&mut self) {
        self.nap = self.first_nap;
    }

    /// Waits a while, at most to `deadline`. `true` when a packet may be there; `false` when
    /// none came and the socket should be looked after.
    pub(super) fn step(&mut self, rx: &mut RxQueue, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now()).min(SLEEP);
        if rx.nb_avail_exact() > 0 {
            return Ok(true);
        }
        match self.mode {
            WaitMode::Spin => Ok(spin(rx, Instant::now() + left)),
            WaitMode::Adaptive if self.nap <= self.first_nap * LONGEST_NAP => {
                self.naps += 1;
                thread::sleep(self.nap.min(left));
                self.nap *= 2;
                Ok(true)
            }
            WaitMode::Adaptive => self.sleep(left),
        }
    }

    fn sleep(&mut self, left: Duration) -> io::Result<bool> {
        self.sleeps += 1;
        // SAFETY: the socket is open while its owner, who called, has it.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None) {
            Ok(0) => Ok(false),
            // A signal: the caller may have to stop.
            Err(Errno::EINTR) => Ok(true),
            Ok(_) => Ok(fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn spin(rx: &mut RxQueue, until: Instant) -> bool {
    loop {
        for _ in 0..LOOKS {
            if rx.nb_avail_exact() > 0 {
                return true;
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= until {
            return false;
        }
    }
}
