//! What a lane counts.

/// Makes the struct of totals with their names and meanings.
macro_rules! counts {
    ($(#[$doc:meta])* $counts:ident { $($name:ident = $help:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $counts { $(#[doc = $help] pub $name: u64,)+ }

        impl $counts {
            /// Names and meanings, in order.
            pub const TABLE: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), $help),)+];

            /// The totals in the order of [`Self::TABLE`].
            #[must_use]
            pub const fn values(&self) -> [u64; Self::TABLE.len()] {
                [$(self.$name,)+]
            }

            /// Adds `other`'s totals.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counts! {
    /// What a lane has counted since it was made. Each datagram is one of `frames` to `forged`; what
    /// becomes of a frame is counted below these.
    LaneCounters {
        frames = "Frames whose checksum or seal was right, of a known transfer",
        malformed = "Datagrams that are no frame: short, of another protocol or version, impossible",
        foreign = "Frames of transfers that are not under way here",
        protection = "Plain frames of an encrypted transfer, or the other way about",
        bad_crc = "Frames with a wrong checksum",
        forged = "Frames not sealed with the transfer's key",
        frame_bytes = "Bytes of the frames, headers and tags included, padding not",
        outside = "Frames and packed bodies of windows, or of fragments, that the file does not have",
        fragments = "Fragments kept",
        duplicates = "Fragments that were there already",
        late = "Frames and packed bodies of windows that were done already",
        elsewhere = "Frames and packed bodies of windows that another lane is at",
        changed = "Windows begun anew because the sender cut them otherwise",
        stale = "Fragments cut otherwise than later ones that came before them",
        evicted = "Windows given up half-way for lack of room or after a long silence, to be asked for again",
        unroomed = "Fragments without room to keep them, to be asked for again",
        windows = "Windows whose check has passed",
        bytes = "Bytes of these windows",
        raw_windows = "Windows that came as they are, of all",
        bad_bodies = "Bodies that are none, or whose raw bytes do not unpack",
        bad_refs = "Windows with references to bytes that are not here, to be asked for raw",
        bad_checks = "Windows that came out other than the sender's, to be asked for again",
        probes = "Frames with nothing to keep",
    }
}
