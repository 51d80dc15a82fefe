//! One thread's part of the assembly.

use std::sync::Arc;

use super::core::Core;
use super::counters::LaneCounters;
use super::table::Transfers;
use super::transfer::Transfer;
use crate::wire::frame::{FrameError, Header, TOTAL_MOST};
use crate::wire::wanted::Wanted;

/// How much a lane may keep of windows half arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneSettings {
    /// Most windows half arrived at a time, of all transfers.
    pub partials: usize,
    /// Most bytes of bodies half arrived; windows that come as they are need none.
    pub buffer_bytes: usize,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self { partials: 4096, buffer_bytes: 64 << 20 }
    }
}

/// A transfer that a lane has had frames of.
#[derive(Debug)]
struct Local {
    transfer: Arc<Transfer>,
    /// Frames of this batch.
    frames: u64,
    /// The highest sequence, plus 1.
    sequences: u64,
    /// The last question that was answered.
    answered: u64,
}

/// Puts frames together: one for each thread, over transfers that all threads share.
///
/// Any lane takes any frame; of a window that has several, all must come to one lane (which a sender
/// sees to by taking the port by the window), or the others' are counted and asked for again.
#[derive(Debug)]
pub struct Lane {
    transfers: Arc<Transfers>,
    /// Changes of `transfers` that this lane knows.
    changes: Option<u64>,
    locals: Vec<Option<Local>>,
    /// Where each transfer is in `locals`, by number.
    ids: Vec<(u32, usize)>,
    last: Option<(u32, usize)>,
    scratch: Vec<u8>,
    core: Core,
}

impl Lane {
    /// A lane over `transfers`.
    #[must_use]
    pub fn new(transfers: Arc<Transfers>, settings: LaneSettings) -> Self {
        let buffer_bytes = settings.buffer_bytes.max(TOTAL_MOST as usize);
        Self {
            transfers,
            changes: None,
            locals: Vec::new(),
            ids: Vec::new(),
            last: None,
            scratch: Vec::new(),
            core: Core::new(settings.partials.clamp(8, 1 << 20), buffer_bytes),
        }
    }

    /// Takes a batch of datagrams' payloads: frames, and whatever else arrives. `now_ns` is the time
    /// on any clock that only this lane's calls are compared on.
    pub fn batch<'a>(&mut self, frames: impl IntoIterator<Item = &'a [u8]>, now_ns: u64) {
        self.refresh(now_ns);
        for frame in frames {
            self.frame(frame);
        }
        self.settle();
    }

    /// Follows changes of the list of transfers, and answers who has asked what is missing. Also to be
    /// called while nothing arrives.
    pub fn tick(&mut self, now_ns: u64) {
        self.refresh(now_ns);
        for at in 0..self.locals.len() {
            let Some(local) = &mut self.locals[at] else { continue };
            let asked = local.transfer.asked();
            if std::mem::replace(&mut local.answered, asked) != asked {
                let transfer = Arc::clone(&local.transfer);
                let mut wanted = Vec::new();
                self.wanted_of(at, 0, usize::MAX, &mut wanted);
                transfer.answer(&wanted);
            }
        }
    }

    /// Appends up to `most` stretches of fragments that are missing of windows of transfer `id` of
    /// which some have arrived, the last at least `silent_ns` ago. In order of windows.
    pub fn wanted(&self, id: u32, silent_ns: u64, most: usize, out: &mut Vec<Wanted>) {
        if let Ok(found) = self.ids.binary_search_by_key(&id, |(id, _)| *id) {
            self.wanted_of(self.ids[found].1, silent_ns, most, out);
        }
    }

    /// Gives up windows half arrived of which nothing has come for `silent_ns`: they are then asked
    /// for as a whole, and any lane may take them.
    pub fn give_up(&mut self, silent_ns: u64) {
        let now = self.core.now;
        let silent = self.core.partials.iter();
        let silent =
            silent.filter(|(.., partial)| now.saturating_sub(partial.touched) >= silent_ns);
        let silent: Vec<_> = silent.map(|(at, ..)| at).collect();
        for at in silent {
            self.core.counters.evicted += 1;
            self.core.give_up(at);
        }
    }

    /// The transfers that it takes frames of.
    #[must_use]
    pub fn transfers(&self) -> Arc<Transfers> {
        Arc::clone(&self.transfers)
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &LaneCounters {
        &self.core.counters
    }

    /// Windows half arrived.
    #[must_use]
    pub const fn partials(&self) -> usize {
        self.core.partials.len()
    }

    /// Sum, modulo 2^64, of [`window_digest`](super::window_digest) of the windows that it has made:
    /// the same whatever the order and the lanes.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.core.digest
    }

    #[inline]
    fn frame(&mut self, frame: &[u8]) {
        let Ok(header) = Header::parse(frame) else {
            self.core.counters.malformed += 1;
            return;
        };
        let Some(at) = self.local(header.transfer) else {
            self.core.counters.foreign += 1;
            return;
        };
        // Split for the borrow checker: the payload may be in the scratch buffer.
        let Self { scratch, core, locals, .. } = self;
        let Some(local) = locals.get_mut(at).and_then(Option::as_mut) else { return };
        let payload = match local.transfer.key() {
            None => header.plain(frame),
            Some(key) => key.open(&header, frame, scratch),
        };
        match payload {
            Ok(payload) => {
                core.counters.frames += 1;
                core.counters.frame_bytes += header.frame() as u64;
                local.frames += 1;
                local.sequences = local.sequences.max(header.sequence.saturating_add(1));
                core.take(at, &local.transfer, &header, payload);
            }
            Err(FrameError::Protection(_)) => core.counters.protection += 1,
            Err(FrameError::Forged) => core.counters.forged += 1,
            Err(FrameError::Checksum) => core.counters.bad_crc += 1,
            Err(_) => core.counters.malformed += 1,
        }
    }

    /// Where transfer `id` is in the list.
    #[inline]
    fn local(&mut self, id: u32) -> Option<usize> {
        if let Some((_, at)) = self.last.filter(|(last, _)| *last == id) {
            return Some(at);
        }
        let found = self.ids.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.last = Some(self.ids[found]);
        Some(self.ids[found].1)
    }

    fn refresh(&mut self, now_ns: u64) {
        self.core.now = now_ns;
        let changes = self.transfers.changes();
        if self.changes != Some(changes) {
            self.changes = Some(changes);
            self.follow();
        }
    }

    /// Lets go of transfers that are gone and takes up new ones.
    fn follow(&mut self) {
        let all = self.transfers.all();
        let same = |slot: &Option<Local>, transfer: &Arc<Transfer>| {
            slot.as_ref().is_some_and(|local| Arc::ptr_eq(&local.transfer, transfer))
        };
        for at in 0..self.locals.len() {
            if !all.iter().any(|transfer| same(&self.locals[at], transfer)) {
                let its = self.core.partials.iter().filter(|(_, local, _)| *local == at);
                let its: Vec<_> = its.map(|(place, ..)| place).collect();
                its.into_iter().for_each(|place| self.core.give_up(place));
                self.locals[at] = None;
            }
        }
        for transfer in all {
            if self.locals.iter().any(|slot| same(slot, &transfer)) {
                continue;
            }
            let answered = transfer.asked();
            let local = Some(Local { transfer, frames: 0, sequences: 0, answered });
            match self.locals.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = local,
                None => self.locals.push(local),
            }
        }
        let with_id =
            |(at, slot): (usize, &Option<Local>)| Some((slot.as_ref()?.transfer.spec().id, at));
        self.ids = self.locals.iter().enumerate().filter_map(with_id).collect();
        self.ids.sort_unstable();
        self.last = None;
    }

    /// Tells each transfer what of it has arrived.
    fn settle(&mut self) {
        for local in self.locals.iter_mut().flatten().filter(|local| local.frames > 0) {
            local.transfer.arrived(local.frames, local.sequences);
            local.frames = 0;
        }
    }

    fn wanted_of(&self, at: usize, silent_ns: u64, most: usize, out: &mut Vec<Wanted>) {
        let now = self.core.now;
        let its = self.core.partials.iter().filter(|(_, local, partial)| {
            *local == at && now.saturating_sub(partial.touched) >= silent_ns
        });
        let mut its: Vec<_> = its.map(|(.., partial)| partial).collect();
        its.sort_unstable_by_key(|partial| partial.claim.window());
        let stretches = its.iter().flat_map(|partial| {
            let (window, kind) = (partial.claim.window(), partial.kind);
            let (step, total) = (partial.step, partial.total);
            partial.missing().map(move |(first, count)| Wanted::Fragments {
                window,
                kind,
                step,
                total,
                first,
                count,
            })
        });
        out.extend(stretches.take(most));
    }
}
