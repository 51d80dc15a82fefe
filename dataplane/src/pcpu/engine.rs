//! The hook for engine ops: what an engine is given, and what it gives.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_rings::Desc;

use super::batch::{Seg, SpanBatch};
use crate::counters::CounterDef;
use crate::ops::ids::IdRecord;
use crate::receivers::Framing;

/// How much later than the worker's time a stamp may be.
const CLOCK_SLACK_NS: u32 = 1_000_000;

/// One worker's state of an engine op.
///
/// Made before the worker starts, so that a run neither opens nor allocates; used by that
/// worker's thread alone. `finish` is the last call in that thread.
pub trait Engine: Send + Debug {
    /// Works on a batch.
    fn run(&mut self, batch: &EngineBatch<'_>, outlet: Option<&mut dyn Outlet>);

    /// Called some fifty times a second, also while nothing comes: for what time alone brings.
    fn tick(&mut self, _time_ns: u64, _outlet: Option<&mut dyn Outlet>) {}

    /// Called once, when no more comes: ends what is still open.
    fn finish(&mut self, _time_ns: u64, _outlet: Option<&mut dyn Outlet>) {}

    /// Its results, for as many accumulators as the op has.
    fn results(&self) -> &[u64];

    /// What it counts; shared with who watches the run. `None` for an engine that counts nothing.
    fn cells(&self) -> Option<Arc<EngineCells>> {
        None
    }

    /// Stores its counts into its cells.
    fn publish(&mut self) {}
}

/// Takes what an engine finds, if the plan wants it kept.
pub trait Outlet {
    /// Takes records; the ids of each follow those of the one before it in `ids`.
    fn ids(&mut self, records: &[IdRecord], ids: &[u32]);
}

/// An engine's counters as others may read them.
#[derive(Debug)]
pub struct EngineCells {
    /// Group in `/metrics` and reports.
    pub group: &'static str,
    /// Names, units and meanings.
    pub table: &'static [CounterDef],
    cells: Box<[AtomicU64]>,
}

impl EngineCells {
    /// Cells for `table`, all 0.
    #[must_use]
    pub fn new(group: &'static str, table: &'static [CounterDef]) -> Self {
        Self { group, table, cells: table.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    /// Stores totals, in the table's order. By one thread only.
    pub fn publish(&self, totals: &[u64]) {
        for (cell, total) in self.cells.iter().zip(totals) {
            cell.store(*total, Relaxed);
        }
    }

    /// The totals as last published, in the table's order.
    #[must_use]
    pub fn read(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.load(Relaxed)).collect()
    }
}

/// What is known of a span beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct SpanMeta {
    /// Symmetric flow hash.
    pub flow: u32,
    /// Low 32 bits of the time of arrival in nanoseconds.
    pub stamp: u32,
    /// As in [`Desc::flags`].
    pub flags: u16,
    /// Which rule matched.
    pub rule: u16,
    /// Which source it came from.
    pub source: u16,
    /// How the source's frames begin.
    pub framing: Framing,
    /// Bytes before the span that are its frame's headers; readable, which `of` vouches for.
    head: u16,
}

impl Default for SpanMeta {
    fn default() -> Self {
        let framing = Framing::Payload;
        Self { flow: 0, stamp: 0, flags: 0, rule: 0, source: 0, framing, head: 0 }
    }
}

impl SpanMeta {
    /// What `desc` says, without headers.
    #[must_use]
    pub const fn of(desc: &Desc, framing: Framing) -> Self {
        Self {
            flow: desc.flow,
            stamp: desc.stamp,
            flags: desc.flags,
            rule: desc.rule,
            source: desc.region,
            framing,
            head: 0,
        }
    }

    /// The same, with `head` bytes of headers right before the span.
    ///
    /// # Safety
    /// They must be readable for as long as the span is.
    #[must_use]
    pub const unsafe fn with_head(self, head: u16) -> Self {
        Self { head, ..self }
    }
}

/// A batch as an engine sees it.
#[derive(Debug)]
pub struct EngineBatch<'a> {
    spans: &'a SpanBatch<'a>,
    metas: &'a [SpanMeta],
    /// Nanoseconds since 1970 when the worker took the batch.
    pub time_ns: u64,
}

/// One span of a batch.
#[derive(Clone, Copy, Debug)]
pub struct EngineSpan<'a> {
    /// The bytes, as earlier ops of the program left them.
    pub bytes: &'a [u8],
    /// Whether it begins a message.
    pub som: bool,
    /// Whether it ends a message.
    pub eom: bool,
    /// What else is known.
    pub meta: SpanMeta,
    /// The frame from its first byte to the span's last, where its headers are there.
    pub frame: Option<&'a [u8]>,
}

impl EngineSpan<'_> {
    /// Whether its packet was cut on the way here: bytes at its end are missing.
    #[must_use]
    pub const fn cut(&self) -> bool {
        self.meta.flags & Desc::ERR != 0
    }
}

impl<'a> EngineBatch<'a> {
    /// `spans`, of which each has the entry of `metas` in its place; spans beyond its end are
    /// known by their bytes alone.
    pub(super) const fn new(spans: &'a SpanBatch<'a>, metas: &'a [SpanMeta], time_ns: u64) -> Self {
        Self { spans, metas, time_ns }
    }

    /// The spans, in order of arrival.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = EngineSpan<'a>> + '_ {
        self.spans.segs().iter().enumerate().map(|(at, seg)| {
            let meta = self.metas.get(at).copied().unwrap_or_default();
            EngineSpan {
                // SAFETY: the batch owns its spans, nobody writes while it is borrowed.
                bytes: unsafe { bytes(seg, 0) },
                som: seg.som,
                eom: seg.eom,
                meta,
                // SAFETY: as above; `with_head` was told that the headers are readable too.
                frame: (meta.head > 0).then(|| unsafe { bytes(seg, usize::from(meta.head)) }),
            }
        })
    }

    /// Bytes of the message from the span at `at` on, as far as the batch holds it.
    #[must_use]
    pub fn message_bytes(&self, at: usize) -> u64 {
        let segs = self.spans.segs().get(at..).unwrap_or_default();
        let last = segs.iter().position(|seg| seg.eom).map_or(segs.len(), |last| last + 1);
        segs[..last].iter().map(|seg| u64::from(seg.len)).sum()
    }

    /// Whether every span is a message of its own.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.spans.messages() == self.spans.len() as u64
    }

    /// The time of the packet that `meta` is of, in nanoseconds since 1970: from its stamp where
    /// that is of this host's clock, else when the worker took the batch.
    #[must_use]
    pub const fn time_of(&self, meta: &SpanMeta) -> u64 {
        match meta.flags & Desc::STAMP_MASK {
            Desc::STAMP_KERNEL | Desc::STAMP_POLL => {
                let ago = (self.time_ns as u32).wrapping_sub(meta.stamp);
                // The stamp's clock may have been read a little after this one.
                if ago > u32::MAX - CLOCK_SLACK_NS {
                    self.time_ns
                } else {
                    self.time_ns - ago as u64
                }
            }
            _ => self.time_ns,
        }
    }
}

/// The span with `head` bytes before it.
///
/// # Safety
/// These must be readable and nobody may write them while the slice lives.
unsafe fn bytes<'a>(seg: &Seg, head: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(seg.ptr.cast_const().sub(head), head + seg.len as usize) }
}
