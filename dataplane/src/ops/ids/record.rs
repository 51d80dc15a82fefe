//! What a sink is told of a run of ids.

use crate::ops::flows::Endpoints;

/// Ids that came out of one packet.
///
/// In packet mode they are all of the payload's ids. In flow mode they are those that the packet
/// decided: the last ones of a packet may come with the next of its stream, and a stream's end
/// brings the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdRecord {
    /// Time of the packet in nanoseconds since 1970: the kernel's or the receiver's where there
    /// is one, else when the worker took it. At a stream's end without a packet, that moment.
    pub time_ns: u64,
    /// Number of the stream, from 1, unlike any other of this worker; 0 in packet mode.
    pub stream: u64,
    /// Who sends to whom; all 0 where the headers are not there.
    pub ends: Endpoints,
    /// Ids.
    pub count: u32,
    /// Symmetric flow hash.
    pub flow: u32,
    /// Place of the rule in the plan.
    pub rule: u16,
    /// Bits of [`IdRecord::START`] and [`IdRecord::END`].
    pub flags: u16,
}

impl IdRecord {
    /// The stream's first record.
    pub const START: u16 = 1;
    /// The stream's last record.
    pub const END: u16 = 2;
}
