//! What a lane counts.

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Datagrams.
    Packets,
    /// Bytes.
    Bytes,
    /// Occurrences.
    Events,
}

/// Makes the struct of totals with their names, units and meanings.
macro_rules! counts {
    ($(#[$doc:meta])* $counts:ident { $($name:ident: $unit:ident = $help:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $counts { $(#[doc = $help] pub $name: u64,)+ }

        impl $counts {
            /// Names, units and meanings, in order.
            pub const TABLE: &'static [(&'static str, Quantity, &'static str)] =
                &[$((stringify!($name), Quantity::$unit, $help),)+];

            /// The totals in the order of [`Self::TABLE`].
            #[must_use]
            pub const fn values(&self) -> [u64; Self::TABLE.len()] {
                [$(self.$name,)+]
            }

            /// Adds `other`'s totals.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counts! {
    /// What a lane has counted since it was made. Each datagram is in one of `frames` to `forged`.
    LaneCounters {
        frames: Packets = "Frames of a known transfer whose checksum or seal was right.",
        malformed: Packets = "Payloads that are no frame: short, of another protocol or version, impossible.",
        foreign: Packets = "Frames of transfers that are not under way here.",
        protection: Packets = "Plain frames of an encrypted transfer, or the other way about.",
        bad_crc: Packets = "Frames with a wrong checksum.",
        forged: Packets = "Frames that the transfer's key did not seal.",
        frame_bytes: Bytes = "Bytes of `frames`, headers and tags included, padding not.",
        outside: Events = "Frames and packed bodies of windows, or of fragments, that the file does not have.",
        fragments: Events = "Fragments kept.",
        duplicates: Events = "Fragments that were there already.",
        late: Events = "Frames and packed bodies of windows that were done already.",
        elsewhere: Events = "Frames and packed bodies of windows that another lane is at.",
        changed: Events = "Windows begun anew because the sender cut them otherwise.",
        stale: Events = "Fragments cut otherwise than later ones that came before them.",
        evicted: Events = "Windows given up half-way, for lack of room or after a long silence.",
        unroomed: Events = "Fragments that there was no room to keep.",
        windows: Events = "Windows whose check has passed.",
        bytes: Bytes = "Bytes of these windows.",
        raw_windows: Events = "Windows without references, of all.",
        bad_bodies: Events = "Bodies that are none, or whose raw bytes do not unpack.",
        bad_refs: Events = "Windows with references to bytes that are not here; wanted raw.",
        bad_checks: Events = "Windows that came out other than the sender's; wanted again.",
        probes: Packets = "Frames with nothing to keep, of all.",
    }
}
