//! What a lane does with a frame whose payload is right.

use std::sync::Arc;

use super::counters::LaneCounters;
use super::partials::{At, Partial, Partials};
use super::pool::Pool;
use super::transfer::{Claim, Refused, Transfer};
use crate::program::Piece;
use crate::wire::body::{BEYOND, Body, BodyError, CHECK, Check, Packed, Unpacker, check};
use crate::wire::frame::{Header, Kind, TOTAL_MOST};

/// Buffers are multiples of this.
const BUFFER_UNIT: usize = 16 << 10;
/// The longest buffer that a body can need.
pub(super) const BUFFER_MOST: usize = (TOTAL_MOST as usize).next_multiple_of(BUFFER_UNIT);

/// A lane without its list of transfers.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) partials: Partials,
    pub(super) counters: LaneCounters,
    /// Sum of [`window_digest`](super::window_digest) of the windows done.
    pub(super) digest: u64,
    /// The caller's time.
    pub(super) now: u64,
    buffers: Pool<u8>,
    notes: Pool<u64>,
    pieces: Vec<Piece>,
    unpacker: Unpacker,
}

impl Core {
    pub(super) fn new(partials: usize, buffer_bytes: usize) -> Self {
        Self {
            partials: Partials::new(partials),
            counters: LaneCounters::default(),
            digest: 0,
            now: 0,
            buffers: Pool::new(buffer_bytes),
            notes: Pool::new(usize::MAX),
            pieces: Vec::new(),
            unpacker: Unpacker::default(),
        }
    }

    /// Takes the payload of a frame of `transfer`, which is the lane's one at `local`.
    #[inline]
    pub(super) fn take(
        &mut self,
        local: usize,
        transfer: &Arc<Transfer>,
        header: &Header,
        payload: &[u8],
    ) {
        match header.kind {
            Kind::Direct | Kind::Part => self.fragment(local, transfer, header, payload),
            Kind::Probe => self.counters.probes += 1,
            Kind::Pack => {
                for body in Packed::new(header.window, payload) {
                    let Ok((window, body)) = body else {
                        self.counters.bad_bodies += 1;
                        return;
                    };
                    self.body(local, transfer, window, body);
                }
            }
        }
    }

    /// Takes a whole body.
    fn body(&mut self, local: usize, transfer: &Arc<Transfer>, window: u32, body: &[u8]) {
        if let Some(claim) = self.claim(local, transfer, window) {
            self.make(transfer, claim, body);
        }
    }

    /// Takes a fragment of a window's bytes or body.
    #[inline]
    fn fragment(
        &mut self,
        local: usize,
        transfer: &Arc<Transfer>,
        header: &Header,
        payload: &[u8],
    ) {
        let len = transfer.spec().window_len(header.window) as usize;
        let possible = match header.kind {
            Kind::Direct => header.total as usize == len + CHECK,
            _ => header.total as usize <= len + BEYOND,
        };
        if len == 0 || !possible {
            self.counters.outside += 1;
            return;
        }
        let at = match self.partials.find(local, header.window) {
            Some(at) => self.resume(at, local, transfer, header),
            None => self.begin(local, transfer, header),
        };
        let Some(at) = at else { return };
        let Some(partial) = self.partials.get(at) else { return };
        if !partial.note(header.fragment) {
            self.counters.duplicates += 1;
            return;
        }
        self.counters.fragments += 1;
        partial.touched = self.now;
        partial.sequence = partial.sequence.max(header.sequence);
        place(partial, header.offset(), payload);
        if partial.have == partial.count
            && let Some(partial) = self.partials.remove(at)
        {
            self.finish(transfer, partial);
        }
    }

    /// The window at `at`, if `header` is of the same cut; else begins it anew, if `header` is later.
    #[inline]
    fn resume(
        &mut self,
        at: At,
        local: usize,
        transfer: &Arc<Transfer>,
        header: &Header,
    ) -> Option<At> {
        let partial = self.partials.get(at)?;
        if partial.fits(header) {
            return Some(at);
        }
        if partial.sequence > header.sequence {
            self.counters.stale += 1;
            return None;
        }
        self.counters.changed += 1;
        self.give_up(at);
        self.begin(local, transfer, header)
    }

    /// Begins a window.
    fn begin(&mut self, local: usize, transfer: &Arc<Transfer>, header: &Header) -> Option<At> {
        let claim = self.claim(local, transfer, header.window)?;
        let buffer = match header.kind {
            Kind::Part => self.buffer(header.total as usize),
            _ => Some(Vec::new()),
        };
        let Some(buffer) = buffer else {
            self.counters.unroomed += 1;
            return None;
        };
        let notes = self.notes.take(0).unwrap_or_default();
        let partial = Partial::new(claim, header, buffer, notes);
        let (at, out) = self.partials.insert(local, partial);
        if let Some(out) = out {
            self.counters.evicted += 1;
            self.recycle(out);
        }
        Some(at)
    }

    /// The right to write `window`, unless it is done, beyond the file or another lane's.
    #[inline]
    fn claim(&mut self, local: usize, transfer: &Arc<Transfer>, window: u32) -> Option<Claim> {
        if window >= transfer.windows() {
            self.counters.outside += 1;
            return None;
        }
        if transfer.is_done(window) {
            self.counters.late += 1;
            return None;
        }
        match Claim::new(transfer, window) {
            Ok(claim) => return Some(claim),
            Err(Refused::Unroomed) => {
                self.counters.unroomed += 1;
                return None;
            }
            Err(Refused::Taken) => {}
        }
        // It may be this lane's own, in fragments.
        let Some(own) = self.partials.find(local, window) else {
            self.counters.elsewhere += 1;
            return None;
        };
        self.counters.changed += 1;
        self.give_up(own);
        Claim::new(transfer, window).ok()
    }

    /// A buffer of `len` bytes or more, if need be from the body that was silent for longest.
    fn buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        // Bodies differ a little in length; buffers are to do for the next one, too.
        let len = len.next_multiple_of(BUFFER_UNIT);
        loop {
            if let Some(buffer) = self.buffers.take(len) {
                return Some(buffer);
            }
            let bodies = self.partials.iter().filter(|(.., partial)| !partial.buffer.is_empty());
            let (oldest, ..) = bodies.min_by_key(|(.., partial)| partial.touched)?;
            self.counters.evicted += 1;
            self.give_up(oldest);
        }
    }

    /// Forgets what has arrived of the window at `at`.
    pub(super) fn give_up(&mut self, at: At) {
        if let Some(partial) = self.partials.remove(at) {
            self.recycle(partial);
        }
    }

    fn recycle(&mut self, partial: Partial) {
        self.buffers.give(partial.buffer);
        self.notes.give(partial.more);
    }

    /// All fragments are there.
    fn finish(&mut self, transfer: &Arc<Transfer>, mut partial: Partial) {
        self.notes.give(std::mem::take(&mut partial.more));
        let Partial { mut claim, kind, total, check: want, buffer, .. } = partial;
        if kind == Kind::Part {
            self.make(transfer, claim, &buffer[..total as usize]);
            self.buffers.give(buffer);
            return;
        }
        let want = Check::from_le_bytes(want);
        if check(claim.bytes()) == want {
            self.counters.raw_windows += 1;
            self.done(transfer, claim, want);
        } else {
            self.counters.bad_checks += 1;
        }
    }

    /// Makes a window of its body.
    fn make(&mut self, transfer: &Transfer, mut claim: Claim, body: &[u8]) {
        let from = transfer.spec().from(claim.window());
        let out = claim.bytes();
        let made = Body::parse(body, out.len() as u32, from, &mut self.pieces).and_then(|body| {
            let space = transfer.space().space();
            let (unpacker, dictionaries) = (&mut self.unpacker, transfer.dictionaries());
            body.rebuild(&self.pieces, space, unpacker, dictionaries, out)?;
            Ok(body.check)
        });
        match made {
            Ok(check) => {
                let raw = self.pieces.iter().all(|piece| matches!(piece, Piece::Raw(_)));
                self.counters.raw_windows += u64::from(raw);
                self.done(transfer, claim, check);
            }
            Err(error) => {
                match error {
                    BodyError::Check => self.counters.bad_checks += 1,
                    BodyError::Rebuild(_) => self.counters.bad_refs += 1,
                    _ => self.counters.bad_bodies += 1,
                }
                if error.wants_raw() {
                    claim.failed();
                }
            }
        }
    }

    #[inline]
    fn done(&mut self, transfer: &Transfer, mut claim: Claim, check: Check) {
        self.counters.windows += 1;
        self.counters.bytes += claim.bytes().len() as u64;
        let digest = super::window_digest(transfer.spec().id, claim.window(), check);
        self.digest = self.digest.wrapping_add(digest);
        claim.done();
    }
}

/// Puts a fragment where it belongs: of a window's bytes into the destination, of a body into its
/// buffer.
#[inline]
fn place(partial: &mut Partial, offset: usize, payload: &[u8]) {
    if partial.kind == Kind::Part {
        copy(&mut partial.buffer, offset, payload);
        return;
    }
    let window = partial.claim.bytes();
    let of_window = window.len().saturating_sub(offset).min(payload.len());
    let (bytes, check) = payload.split_at(of_window);
    if !bytes.is_empty() {
        copy(window, offset, bytes);
    }
    if !check.is_empty() {
        let behind = (offset + of_window).saturating_sub(window.len());
        copy(&mut partial.check, behind, check);
    }
}

/// Copies what is there room for, which is all when lengths were checked.
#[inline]
fn copy(into: &mut [u8], at: usize, from: &[u8]) {
    let room = into.get_mut(at..at + from.len());
    debug_assert!(room.is_some(), "{} bytes at {at}", from.len());
    if let Some(room) = room {
        room.copy_from_slice(from);
    }
}
