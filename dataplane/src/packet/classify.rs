//! From frames to payload: what the receiver's loop does with each batch.

use pfs_rings::{Desc, RegionView};

use super::{Action, Frame, Malformed, Parsed, RuleSet, Span, flow_hash, parse_into};
use crate::receivers::{BATCH, Batch, Framing};

/// Descriptors between the one being parsed and the one whose header is being fetched.
const AHEAD: usize = 4;

/// What becomes of a frame; all descriptors of a chain have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// To a worker: the descriptor spans payload and holds flow and rule.
    Deliver,
    /// No rule wants it; the descriptor is as it was.
    #[default]
    Filtered,
    /// Its headers lie; the descriptor is as it was.
    Malformed(Malformed),
}

/// A batch of which every frame is delivered by one rule, and lies in one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alike {
    /// The rule of all.
    pub(crate) rule: u16,
    /// Bytes of all.
    pub(crate) bytes: u64,
    /// Where the last of the spans ends, in bytes from the region's start: inside it.
    pub(crate) end: u64,
}

/// Monotonic counts of frames (chains count once).
///
/// `frames = delivered + filtered + malformed_total()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifyCounters {
    /// Frames looked at.
    pub frames: u64,
    /// Frames that a `redirect` rule matched.
    pub delivered: u64,
    /// Frames that a `pass` or `drop` rule matched, or none.
    pub filtered: u64,
    /// Frames delivered that were longer on the wire than what is there.
    pub truncated: u64,
    /// Malformed frames, indexed by [`Malformed`].
    pub malformed: [u64; Malformed::COUNT],
    /// Frames matched, indexed by rule.
    pub matched: Box<[u64]>,
}

impl ClassifyCounters {
    /// Malformed frames of all kinds.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.malformed.iter().sum()
    }
}

/// Parses, matches and hashes batches of one receiver. Allocates nothing after [`Self::new`].
#[derive(Debug)]
pub struct Classifier {
    framing: Framing,
    rules: RuleSet,
    counters: ClassifyCounters,
    verdicts: [Verdict; BATCH],
    /// Of the last batch, where it is known without a look at each descriptor.
    alike: Option<Alike>,
    /// The frame at hand; here so that it is written in place.
    parsed: Parsed,
}

impl Classifier {
    /// A classifier for frames that begin as `framing` says. Bare payload matches rules with an
    /// empty match only.
    #[must_use]
    pub fn new(framing: Framing, rules: RuleSet) -> Self {
        let counters = ClassifyCounters {
            frames: 0,
            delivered: 0,
            filtered: 0,
            truncated: 0,
            malformed: [0; Malformed::COUNT],
            matched: vec![0; rules.len()].into_boxed_slice(),
        };
        Self {
            framing,
            rules,
            counters,
            verdicts: [Verdict::Filtered; BATCH],
            alike: None,
            parsed: Parsed::default(),
        }
    }

    /// Decides about each frame of `batch` and narrows what is delivered to its payload.
    ///
    /// Returns one verdict per descriptor. A descriptor delivered spans its part of the payload
    /// (maybe 0 bytes: headers alone in the first buffer, padding in the last), has flow and
    /// rule set (the first of a chain the length of its headers too, unless it is bare payload), and [`Desc::ERR`] where the frame was cut; SOM and EOM stay where they were.
    ///
    /// # Safety
    /// The caller owns every descriptor of `batch` (its frame is on loan and was not passed on),
    /// their spans do not overlap, `view` is the region that they point into, and nothing else
    /// writes there meanwhile.
    #[inline]
    pub unsafe fn classify(&mut self, batch: &mut Batch, view: &RegionView) -> &[Verdict] {
        self.alike = if self.framing == Framing::Payload { self.bare(batch, view) } else { None };
        if self.alike.is_some() {
            return self.verdicts.get(..batch.len()).unwrap_or_default();
        }
        let (descs, wires) = batch.parts_mut();
        descs.iter().take(AHEAD).for_each(|desc| prefetch(view, desc));
        let mut at = 0;
        while let Some(&wire) = wires.get(at) {
            if let Some(ahead) = descs.get(at + AHEAD) {
                prefetch(view, ahead);
            }
            let buffers = chain_len(descs.get(at..).unwrap_or_default());
            let end = at + buffers;
            let Some(chain) = descs.get_mut(at..end) else { break };
            // SAFETY: the caller's promise, for the descriptors of this chain.
            let verdict = unsafe { self.frame(chain, wire, view) };
            match self.verdicts.get_mut(at..end) {
                // Not by `fill`, which calls memset for one byte.
                Some([only]) => *only = verdict,
                Some(all) => all.fill(verdict),
                None => break,
            }
            at = end;
        }
        self.verdicts.get(..at).unwrap_or_default()
    }

    /// The way of bare payload, each in one buffer: nothing is read, and the rule of one is the
    /// rule of all. `None`, with nothing done, where it is not so simple.
    #[inline]
    fn bare(&mut self, batch: &mut Batch, view: &RegionView) -> Option<Alike> {
        let rule = self.rules.find(&Parsed::default())?;
        let common = batch.common();
        let whole = Desc::SOM | Desc::EOM;
        if self.rules.action(rule) != Action::Redirect
            || common.flags & whole != whole
            || common.end > view.len() as u64
        {
            return None;
        }
        batch.set_rule(rule);
        let truncated = if common.longer { flag_cut(batch) } else { 0 };
        let frames = batch.len();
        if let Some(verdicts) = self.verdicts.get_mut(..frames) {
            verdicts.fill(Verdict::Deliver);
        }
        let counters = &mut self.counters;
        counters.frames += frames as u64;
        counters.delivered += frames as u64;
        counters.truncated += truncated;
        if let Some(matched) = counters.matched.get_mut(usize::from(rule)) {
            *matched += frames as u64;
        }
        Some(Alike { rule, bytes: common.bytes, end: common.end })
    }

    /// # Safety
    /// As [`Self::classify`], for the descriptors of `chain`.
    #[inline(always)]
    unsafe fn frame(&mut self, chain: &mut [Desc], wire: u32, view: &RegionView) -> Verdict {
        self.counters.frames += 1;
        // SAFETY: the descriptor is owned, and the slice ends before it is passed on.
        let head = chain.first().and_then(|first| unsafe { view.bytes_mut(first) });
        let Some(head) = head else {
            return self.malformed(Malformed::OutsideRegion);
        };
        let captured = match &*chain {
            [only] => only.len,
            buffers => buffers.iter().fold(0, |sum: u32, desc| sum.saturating_add(desc.len)),
        };
        let frame = Frame::new(head, captured, wire);
        if let Err(kind) = parse_into(self.framing, frame, &mut self.parsed) {
            return self.malformed(kind);
        }
        let parsed = &self.parsed;
        let Some(rule) = self.rules.find(parsed) else {
            self.counters.filtered += 1;
            return Verdict::Filtered;
        };
        if let Some(matched) = self.counters.matched.get_mut(usize::from(rule)) {
            *matched += 1;
        }
        if self.rules.action(rule) != Action::Redirect {
            self.counters.filtered += 1;
            return Verdict::Filtered;
        }
        self.counters.delivered += 1;
        self.counters.truncated += u64::from(parsed.truncated);
        let cut = if parsed.truncated { Desc::ERR } else { 0 };
        // Bare payload names no addresses; the source has hashed what it knows of the sender.
        let flow = match (self.framing, chain.first()) {
            (Framing::Payload, Some(first)) => first.flow,
            _ => flow_hash(parsed),
        };
        // Before bare payload lies what its source put there.
        if let Some(first) = chain.first_mut().filter(|_| self.framing != Framing::Payload) {
            // Headers end in the first buffer; a `Span` that begins beyond 64 KiB has none there.
            first.head = u16::try_from(parsed.payload.offset).unwrap_or(0);
        }
        narrow(chain, parsed.payload, |desc| {
            desc.flow = flow;
            desc.rule = rule;
            desc.flags |= cut;
        });
        Verdict::Deliver
    }

    #[cold]
    fn malformed(&mut self, kind: Malformed) -> Verdict {
        if let Some(count) = self.counters.malformed.get_mut(kind as usize) {
            *count += 1;
        }
        Verdict::Malformed(kind)
    }

    /// The verdicts of the batch that was classified last, of so many descriptors.
    pub(crate) fn verdicts(&self, descs: usize) -> &[Verdict] {
        self.verdicts.get(..descs).unwrap_or_default()
    }

    /// What is known of the batch that was classified last, if it was so simple.
    #[inline]
    pub(crate) const fn alike(&self) -> Option<Alike> {
        self.alike
    }

    /// Totals since the classifier was made.
    #[must_use]
    pub const fn counters(&self) -> &ClassifyCounters {
        &self.counters
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &RuleSet {
        &self.rules
    }
}

/// Flags the frames, each in one buffer, that were longer on the wire; gives how many.
#[cold]
fn flag_cut(batch: &mut Batch) -> u64 {
    let (descs, wires) = batch.parts_mut();
    let mut truncated = 0;
    for (desc, &wire) in descs.iter_mut().zip(wires) {
        let cut = wire > desc.len;
        desc.flags |= if cut { Desc::ERR } else { 0 };
        truncated += u64::from(cut);
    }
    truncated
}

/// Descriptors up to and with the first that ends a frame; all when none does.
#[inline(always)]
fn chain_len(descs: &[Desc]) -> usize {
    descs.iter().position(Desc::is_eom).map_or(descs.len(), |last| last + 1)
}

/// Cuts the buffers of a frame to the part of `payload` that each holds.
#[inline(always)]
fn narrow(chain: &mut [Desc], payload: Span, mut mark: impl FnMut(&mut Desc)) {
    let Span { offset: mut skip, len: mut left } = payload;
    for desc in chain {
        let skipped = skip.min(desc.len);
        desc.offset += u64::from(skipped);
        desc.len = (desc.len - skipped).min(left);
        skip -= skipped;
        left -= desc.len;
        mark(desc);
    }
}

/// Starts to load the header that `desc` spans.
#[inline(always)]
fn prefetch(view: &RegionView, desc: &Desc) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let header = view.base().as_ptr().wrapping_add(desc.offset as usize);
        // SAFETY: a prefetch faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(header.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (view, desc);
}
