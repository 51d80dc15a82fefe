//! What the program counted, summed over CPUs. All totals are monotonic as long as the program
//! is loaded; rule totals begin anew with each set of rules.

use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::abi::RawCounts;

/// Packets and bytes; bytes are whole frames without FCS, all buffers of a frame together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Frames that came in on one receive queue, by what became of them. Each frame counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounters {
    /// Handed to the queue's AF_XDP socket. The socket can still lose them, and counts that
    /// itself (`XDP_STATISTICS`).
    pub redirect: Count,
    /// Matched a redirect rule while the queue had no socket: passed to the kernel.
    pub no_socket: Count,
    /// Passed to the kernel by a pass rule.
    pub pass: Count,
    /// Dropped by a drop rule.
    pub drop: Count,
    /// Matched no rule: passed to the kernel.
    pub unmatched: Count,
    /// Headers broken or not there: passed to the kernel.
    pub malformed: Count,
}

impl QueueCounters {
    /// All frames that the program saw on this queue.
    #[must_use]
    pub fn total(&self) -> Count {
        self.redirect + self.filtered()
    }

    /// Frames that were never meant for the socket: all but `redirect`.
    #[must_use]
    pub fn filtered(&self) -> Count {
        self.no_socket + self.pass + self.drop + self.unmatched + self.malformed
    }
}

/// Frames that one rule decided, by what became of them, since the rules were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounters {
    /// Handed to an AF_XDP socket.
    pub redirect: Count,
    /// To be redirected, but the queue had no socket: passed to the kernel.
    pub no_socket: Count,
    /// Passed to the kernel.
    pub pass: Count,
    /// Dropped.
    pub drop: Count,
}

impl From<[Count; 6]> for QueueCounters {
    fn from([redirect, no_socket, pass, drop, unmatched, malformed]: [Count; 6]) -> Self {
        Self { redirect, no_socket, pass, drop, unmatched, malformed }
    }
}

impl From<[Count; 6]> for RuleCounters {
    fn from([redirect, no_socket, pass, drop, ..]: [Count; 6]) -> Self {
        Self { redirect, no_socket, pass, drop }
    }
}

/// The sum over CPUs of what each counted.
pub(crate) fn sum(per_cpu: impl Iterator<Item = RawCounts>) -> [Count; 6] {
    let mut total = [Count::default(); 6];
    for cpu in per_cpu {
        for (sum, [packets, bytes]) in total.iter_mut().zip(cpu.0) {
            *sum += Count { packets, bytes };
        }
    }
    total
}
