//! Stopping early: a signal asks, loops between measurements look, and what was measured by then
//! is reported as a part.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on the first SIGINT or SIGTERM asks to stop, and a second one ends the process with
/// code 1. One that was held back ([`hold`]) comes now. For groups that look at [`asked`] between
/// measurements.
///
/// # Panics
/// When the handlers cannot be installed, which the kernel refuses for no valid signal.
pub fn watch() {
    ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))
                .and_then(|_| flag::register(signal, Arc::clone(&asked)))
                .expect("SIGINT and SIGTERM can be caught");
        }
        asked
    });
    // Refused for no valid signal, and then nothing was held back.
    let _ = signals().thread_unblock();
}

/// Holds SIGINT and SIGTERM back, in this thread and in what it becomes by `exec`, until [`watch`]:
/// a group that is told to stop while it starts stops then, and still writes its report.
pub fn hold() {
    // As above: at worst such a signal ends the process.
    let _ = signals().thread_block();
}

fn signals() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals
}

/// Whether a signal has asked to stop.
#[must_use]
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
