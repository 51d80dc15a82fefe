//! What programs leave behind: accumulators, histogram and cost per step.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::program::{ACCUMULATORS, Program};
use crate::counters::StepCounters;

/// Results of a program over all that one lane has run, or of several lanes merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// R0..R3: wrapping sums; those that the program does not fill are 0.
    pub r: [u64; ACCUMULATORS],
    /// The op that fills each accumulator, R0 first, as the program has it.
    pub ops: Vec<String>,
    /// Which accumulators hold nothing here because several lanes were merged: the digest of a
    /// chain has no meaning over lanes, and stands in each lane's own results.
    pub per_lane_only: [bool; ACCUMULATORS],
    /// Count of each byte value, 256 of them, where the program has `hist8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hist: Option<Vec<u64>>,
    /// Messages that ended.
    pub messages: u64,
    /// Payload bytes run over.
    pub bytes: u64,
    /// Lanes merged in.
    pub lanes: u32,
}

/// Results of different programs do not add up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "merging results of different programs: {left:?} and {right:?}; run one program on all lanes"
)]
pub struct MergeError {
    /// Accumulator ops merged so far.
    pub left: Vec<String>,
    /// Accumulator ops of the results refused.
    pub right: Vec<String>,
}

impl Results {
    /// Results of `program` before any byte.
    #[must_use]
    pub fn empty(program: &Program) -> Self {
        Self {
            r: [0; ACCUMULATORS],
            ops: program.accumulators().collect(),
            per_lane_only: [false; ACCUMULATORS],
            hist: None,
            messages: 0,
            bytes: 0,
            lanes: 1,
        }
    }

    /// The accumulator that the op written `op` fills; `None` too when merging has emptied it.
    #[must_use]
    pub fn get(&self, op: &str) -> Option<u64> {
        let slot = self.ops.iter().position(|name| name == op)?;
        (!self.per_lane_only[slot]).then(|| self.r[slot])
    }

    /// Adds another lane's results. Digests of chains become `per_lane_only`.
    ///
    /// # Errors
    /// [`MergeError`] when the two come from different programs; nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.ops != other.ops || self.hist.is_some() != other.hist.is_some() {
            return Err(MergeError { left: self.ops.clone(), right: other.ops.clone() });
        }
        for (slot, op) in self.ops.iter().enumerate() {
            self.per_lane_only[slot] |= op.ends_with("chain");
            let sum = self.r[slot].wrapping_add(other.r[slot]);
            self.r[slot] = if self.per_lane_only[slot] { 0 } else { sum };
        }
        if let (Some(bins), Some(more)) = (&mut self.hist, &other.hist) {
            bins.iter_mut().zip(more).for_each(|(bin, more)| *bin += more);
        }
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.lanes += other.lanes;
        Ok(())
    }
}

/// What one step of a program has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepStats {
    /// The ops that share the step, joined by `+`.
    pub ops: String,
    /// Messages that ended in its batches.
    pub messages: u64,
    /// Payload bytes of its batches.
    pub bytes: u64,
    /// Ticks of the time-stamp counter, which is read before a batch and after each step; of short
    /// batches in one of seven, which stands for all.
    pub cycles: u64,
    /// Batches run.
    pub batches: u64,
}

impl StepStats {
    /// The totals as they are published.
    #[must_use]
    pub const fn counters(&self) -> StepCounters {
        let Self { messages, bytes, cycles, batches, .. } = *self;
        StepCounters { messages, bytes, cycles, batches }
    }

    /// Ticks per payload byte; 0 before any byte.
    #[must_use]
    pub fn cycles_per_byte(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.cycles as f64 / self.bytes as f64 }
    }
}
