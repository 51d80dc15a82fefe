//! What a server has counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters with their meaning in one table.
macro_rules! counters {
    ($($name:ident $doc:literal,)*) => {
        /// What a server has counted since it started; each only grows, but for `connections`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct ServerCounters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl ServerCounters {
            /// Names, values and meanings, in order.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), self.$name, $doc),)*]
            }
        }

        /// The counters as loops share them.
        #[derive(Debug, Default)]
        pub(super) struct Shared {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Shared {
            pub(super) fn read(&self) -> ServerCounters {
                // Each counter is a number of its own: nothing is read through it.
                ServerCounters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    connections "connections open now",
    accepted "connections accepted",
    refused "connections refused, because there are too many or files have run out",
    commands "commands executed",
    bursts "bursts they came in",
    read_bytes "bytes read from clients",
    written_bytes "bytes written to clients",
    hits "gets of keys that were there",
    misses "gets of keys that were not there",
    protocol_errors "connections closed for what is not the protocol",
    auth_failures "wrong passwords",
    dropped_stalled "connections dropped because their client did not read",
    dropped_idle "connections dropped because their client sent nothing",
    dropped_memory "connections dropped because all buffers together were too large",
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
