//! DPDK: descriptors straight from mbufs that a poll-mode driver has filled.
//!
//! # What is counted where
//!
//! `ipackets` of the port is the driver's count of what it handed over; `imissed` and `ierrors` are
//! what it lost or refused. They are the port's, not a queue's: the receiver of queue 0 keeps the
//! account of all, by what the others say they have taken. A driver of software counts as it hands
//! over; so does, at quiet, a NIC.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use dpdk_sys as sys;
use pfs_rings::{Desc, RegionView};

use super::batch::{Common, now_ns};
use super::{BATCH, Batch, Framing, Granted, Receive, ReceiveError};
use crate::counters::{DpdkCounters, SourceCounters};
use crate::dpdk::{DpdkSpec, Loans, Port, Reclaimed, RxQueue, register_thread};

/// How long after `detach` a port that always has packets is polled.
const DRAIN: Duration = Duration::from_millis(20);
/// Longest nap of an idle receiver: poll-mode drivers wake nobody.
const NAP: Duration = Duration::from_micros(50);

/// Receives one queue of a port.
///
/// A packet's bytes are in mbufs from the driver's write until their tokens come back.
#[derive(Debug)]
pub struct DpdkReceiver {
    loans: Loans,
    fresh: Fresh,
    /// Packets that were taken and did not fit the batch, in order; from `staged` on.
    stage: Vec<*mut sys::Mbuf>,
    staged: usize,
    polled: u64,
    /// Packets in more segments than a batch holds.
    too_long: u64,
    /// Packets that could not be brought into the pool's memory.
    no_frame: u64,
    detached: Option<Instant>,
    drained: bool,
    /// Whether tags are to be taken out.
    strips: bool,
    // Last: what is on loan goes back to its pool before the port is closed.
    queue: RxQueue,
}

/// The plain packets of the last poll, on loan and not yet written into [`Loans`]: where they come
/// back together, as from a program that runs in the same thread, they never are.
#[derive(Debug)]
struct Fresh {
    mbufs: [*mut sys::Mbuf; BATCH],
    len: usize,
}

// SAFETY: the mbufs in `stage` and `fresh` are this receiver's alone, wherever it goes.
unsafe impl Send for DpdkReceiver {}

impl DpdkReceiver {
    /// Opens the port of `spec`: a receiver for each queue.
    ///
    /// # Errors
    /// What EAL or the driver refuses, in their words, with what mends it.
    pub fn open(spec: &DpdkSpec) -> Result<Vec<Self>, ReceiveError> {
        spec.check()?;
        let queues = Port::open(spec)?.rx_queues()?;
        Ok(queues.into_iter().map(Self::of).collect())
    }

    fn of(queue: RxQueue) -> Self {
        Self {
            loans: Loans::new(queue.port().pool().view()),
            fresh: Fresh { mbufs: [std::ptr::null_mut(); BATCH], len: 0 },
            stage: Vec::with_capacity(BATCH),
            staged: 0,
            polled: 0,
            too_long: 0,
            no_frame: 0,
            detached: None,
            drained: false,
            strips: queue.port().spec().vlan_strip,
            queue,
        }
    }

    /// The port's totals, each cause by itself.
    #[must_use]
    pub fn detail(&self) -> DpdkCounters {
        let stats = self.queue.port().stats();
        DpdkCounters {
            ipackets: stats.ipackets,
            imissed: stats.imissed,
            ierrors: stats.ierrors,
            rx_nombuf: stats.rx_nombuf,
        }
    }

    /// The driver's own totals that are not 0, by its names: the port's, so that queue 0 has them.
    #[must_use]
    pub fn xstats(&self) -> BTreeMap<String, u64> {
        if self.queue.index() == 0 { self.queue.port().xstats() } else { BTreeMap::new() }
    }

    /// Takes packets and hands out those from the first on that are plain, in one pass over their
    /// mbufs; what is left is staged. Gives how many there were.
    #[inline]
    fn burst(&mut self, batch: &mut Batch, stamp: u32) -> usize {
        let got = self.queue.burst(&mut self.fresh.mbufs[..batch.room()]);
        let (mut plain, (odd, mut common)) = (got, self.describe(got, batch, stamp));
        if odd != 0 {
            plain = self.plain(got);
            common = self.describe(plain, batch, stamp).1;
            self.stage.extend_from_slice(&self.fresh.mbufs[plain..got]);
        }
        self.fresh.len = plain;
        self.polled += plain as u64;
        batch.grow(plain, common);
        got
    }

    /// Writes the first `count` of the mbufs that have come, as if they were plain, to the free part of
    /// `batch`; gives what is odd about them, 0 when they are, and what they have in common.
    #[inline]
    fn describe(&self, count: usize, batch: &mut Batch, stamp: u32) -> (u64, Common) {
        let pool = self.queue.port().pool();
        let (raw, base) = (pool.raw(), pool.view().base().as_ptr().addr());
        let flags = Desc::SOM | Desc::EOM | Desc::STAMP_POLL;
        let (mut odd, mut bytes, mut end, mut differ) = (0, 0, 0, 0);
        let (descs, wires) = batch.spare();
        // All of one length, which then is compared once a packet.
        let (descs, wires) = (&mut descs[..count], &mut wires[..count]);
        for ((&mbuf, desc), wire) in self.fresh.mbufs[..count].iter().zip(descs).zip(wires) {
            // SAFETY: a packet that was received and is nobody else's.
            let segment = unsafe { &*mbuf };
            odd |= segment.oddity(raw);
            let offset = segment.data().addr().wrapping_sub(base) as u64;
            let (len, frame) = (segment.data_len(), self.loans.token(mbuf));
            *wire = segment.packet_len();
            *desc = Desc { offset, len, flags, frame, stamp, ..Desc::default() };
            bytes += u64::from(len);
            end = end.max(offset.saturating_add(u64::from(len)));
            // A packet in one segment is as long as that.
            differ |= *wire ^ len;
        }
        (odd, Common { packets: count as u64, bytes, end, flags, longer: differ != 0 })
    }

    /// How many of the first `got` mbufs are plain, before the first that is not.
    #[cold]
    fn plain(&self, got: usize) -> usize {
        let pool = self.queue.port().pool().raw();
        // SAFETY: packets that were received and are nobody else's.
        let odd = |&mbuf: &*mut sys::Mbuf| unsafe { (*mbuf).oddity(pool) } != 0;
        self.fresh.mbufs[..got].iter().position(odd).unwrap_or(got)
    }

    /// Writes the fresh loans down.
    #[inline]
    fn note_fresh(&mut self) {
        for &mbuf in &self.fresh.mbufs[..self.fresh.len] {
            // The pool's mbufs all lie in the region.
            self.loans.lend(mbuf, true);
        }
        self.fresh.len = 0;
    }

    /// Hands out what is staged, each packet whole, until the next does not fit.
    #[inline]
    fn hand_out(&mut self, batch: &mut Batch, stamp: u32) {
        while let Some(&mbuf) = self.stage.get(self.staged) {
            // SAFETY: it was received and is nobody else's.
            let segments = unsafe { (*mbuf).segments() };
            if segments > batch.room() {
                if segments <= BATCH {
                    return;
                }
                self.too_long += 1;
                self.discard(mbuf);
            } else {
                self.hand_out_one(batch, mbuf, stamp);
            }
            self.staged += 1;
        }
        self.stage.clear();
        self.staged = 0;
    }

    #[inline]
    fn hand_out_one(&mut self, batch: &mut Batch, mbuf: *mut sys::Mbuf, stamp: u32) {
        if self.is_ours(mbuf) {
            self.lend(batch, mbuf, stamp);
        } else {
            self.hand_out_copy(batch, mbuf, stamp);
        }
    }

    /// Whether all of a packet lies in the region.
    #[inline]
    fn is_ours(&self, mbuf: *mut sys::Mbuf) -> bool {
        let pool = self.queue.port().pool();
        let mut at = mbuf;
        while !at.is_null() {
            // SAFETY: a segment of a packet that was received and is nobody else's.
            let segment = unsafe { &*at };
            if segment.pool() != pool.raw() {
                return false;
            }
            at = segment.next();
        }
        true
    }

    #[inline]
    fn lend(&mut self, batch: &mut Batch, mbuf: *mut sys::Mbuf, stamp: u32) {
        let base = self.queue.port().pool().view().base().as_ptr() as usize;
        // SAFETY: as in `is_ours`.
        let first = unsafe { &*mbuf };
        let mut tag = match first.stripped_tag() {
            Some(tag) if !self.strips && put_tag_back(first, tag) => TAG,
            _ => 0,
        };
        let wire_len = first.packet_len() + tag;
        let (mut at, mut som) = (mbuf, Desc::SOM);
        while !at.is_null() {
            // SAFETY: as in `is_ours`.
            let segment = unsafe { &*at };
            // The pool's mbufs all lie in the region.
            let Some(frame) = self.loans.lend(at, false) else { break };
            let eom = if segment.next().is_null() { Desc::EOM } else { 0 };
            batch.push(
                Desc {
                    offset: (segment.data() as usize).wrapping_sub(base) as u64 - u64::from(tag),
                    len: segment.data_len() + tag,
                    flags: som | eom | Desc::STAMP_POLL,
                    frame,
                    stamp,
                    ..Desc::default()
                },
                if som == 0 { 0 } else { wire_len },
            );
            (at, som, tag) = (segment.next(), 0, 0);
        }
        self.polled += 1;
    }

    /// A packet in another pool's memory, as a ring between ports or a shared queue may bring it:
    /// copied into ours, for workers know no other.
    #[cold]
    fn hand_out_copy(&mut self, batch: &mut Batch, mbuf: *mut sys::Mbuf, stamp: u32) {
        let pool = self.queue.port().pool().raw();
        // SAFETY: the packet is ours; the pool lives.
        let copy = unsafe { sys::pfs_mbuf_copy(mbuf, pool) };
        self.discard(mbuf);
        if copy.is_null() {
            self.no_frame += 1;
            return;
        }
        // SAFETY: just made.
        if unsafe { (*copy).segments() } <= batch.room() {
            self.lend(batch, copy, stamp);
        } else {
            self.too_long += 1;
            self.discard(copy);
        }
    }

    fn discard(&self, mbuf: *mut sys::Mbuf) {
        // SAFETY: received, not handed out, and not used again by the callers.
        unsafe { sys::pfs_mbuf_free_chain(mbuf) };
    }

    /// After a poll that found nothing, or when time is up: has a detached port been drained?
    fn settle(&mut self) {
        self.drained = self.detached.is_some() && self.stage.is_empty();
    }
}

/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// Bytes of the two addresses before it.
const ADDRESSES: usize = 12;

/// Puts a tag that the driver took out back in, before the segment's data, as the packet came.
/// Gives whether there was room.
#[cold]
fn put_tag_back(segment: &sys::Mbuf, tag: u16) -> bool {
    if segment.headroom() < TAG || (segment.data_len() as usize) < ADDRESSES {
        return false;
    }
    let [high, low] = tag.to_be_bytes();
    let tag = [0x81, 0x00, high, low];
    let data = segment.data();
    // SAFETY: four bytes before the data are headroom and the addresses are data; the packet is
    // this receiver's alone.
    unsafe {
        let start = data.sub(TAG as usize);
        std::ptr::copy(data, start, ADDRESSES);
        std::ptr::copy_nonoverlapping(tag.as_ptr(), start.add(ADDRESSES), TAG as usize);
    }
    true
}

impl Receive for DpdkReceiver {
    /// Returns packets: a SOM..EOM chain is one. A packet of more than 64 segments fits no batch;
    /// it is counted in `dropped_malformed`.
    fn poll(&mut self, batch: &mut Batch) -> Result<usize, ReceiveError> {
        if self.drained {
            return Ok(0);
        }
        let before = self.polled;
        if before == 0 {
            register_thread();
        }
        self.note_fresh();
        let stamp = now_ns();
        if self.stage.is_empty() && self.burst(batch, stamp) == 0 {
            self.settle();
            return Ok(0);
        }
        if !self.stage.is_empty() {
            self.hand_out(batch, stamp);
        }
        if self.detached.is_some_and(|since| since.elapsed() > DRAIN) {
            self.settle();
        }
        Ok((self.polled - before) as usize)
    }

    fn recycle(&mut self, frames: &[u32]) {
        self.note_fresh();
        for tokens in frames.chunks(BATCH) {
            let (mut plain, mut plains) = ([std::ptr::null_mut(); BATCH], 0);
            let (mut other, mut others) = ([std::ptr::null_mut(); BATCH], 0);
            for &token in tokens {
                match self.loans.reclaim(token) {
                    Some(Reclaimed { mbuf, plain: true }) => {
                        plain[plains] = mbuf;
                        plains += 1;
                    }
                    Some(Reclaimed { mbuf, plain: false }) => {
                        other[others] = mbuf;
                        others += 1;
                    }
                    None => {}
                }
            }
            // SAFETY: they were on loan, and are no more; those lent as plain are so still, for
            // workers write to payload alone.
            unsafe {
                self.queue.put(&mut plain[..plains]);
                self.queue.free(&mut other[..others]);
            }
        }
    }

    fn recycle_all(&mut self, descs: &[Desc]) {
        let Fresh { mbufs, len } = &mut self.fresh;
        if *len == descs.len() {
            // Plain mbufs are all that the poll has lent.
            // SAFETY: mbufs of the pool that were on loan, and are no more.
            unsafe { self.queue.put(&mut mbufs[..*len]) };
            *len = 0;
            return;
        }
        let mut tokens = [0; BATCH];
        tokens.iter_mut().zip(descs).for_each(|(token, desc)| *token = desc.frame);
        self.recycle(&tokens[..descs.len().min(BATCH)]);
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), ReceiveError> {
        thread::sleep(timeout.min(NAP));
        Ok(())
    }

    fn counters(&mut self) -> SourceCounters {
        let others = self.queue.taken(self.polled + self.too_long + self.no_frame);
        let mut counters = SourceCounters {
            offered: self.polled + self.too_long + self.no_frame,
            dropped_no_frame: self.no_frame,
            dropped_malformed: self.too_long,
            polled: self.polled,
            refused_tokens: self.loans.refused(),
            ..SourceCounters::default()
        };
        if self.queue.index() == 0 {
            let DpdkCounters { ipackets, imissed, ierrors, .. } = self.detail();
            let staged = (self.stage.len() - self.staged) as u64;
            counters.dropped_nic = imissed;
            counters.dropped_malformed += ierrors;
            // A driver that forgets its count with its peer (net_memif) does not unmake packets.
            let came = ipackets.max(counters.offered + others + staged);
            counters.offered = came - others - staged + imissed + ierrors;
        }
        counters
    }

    fn granted(&self) -> Granted {
        let port = self.queue.port();
        let (grant, spec) = (port.grant(), port.spec());
        let mut notes = port.pool().granted().notes.clone();
        if spec.queues > 1 && grant.rss == 0 {
            notes.push("the device does not spread flows over its queues".into());
        }
        if spec.promiscuous && grant.promiscuous == 0 {
            notes.push("the device cannot be promiscuous".into());
        }
        if spec.vlan_strip && grant.vlan_strip == 0 {
            notes.push("the device leaves VLAN tags in".into());
        }
        if let (mbps, false) = port.link() {
            notes.push(format!("the link was down at the start ({mbps} Mbit/s)"));
        }
        Granted {
            backend: "dpdk".to_owned(),
            mode: port.driver(),
            from: spec.devargs(),
            queue: Some(u32::from(self.queue.index())),
            frames: port.pool().mbufs(),
            region_bytes: port.pool().granted().bytes,
            notes,
        }
    }

    fn region(&self) -> RegionView {
        self.queue.port().pool().view().clone()
    }

    fn framing(&self) -> Framing {
        self.queue.port().spec().framing
    }

    fn lossless(&self) -> bool {
        false
    }

    fn finished(&self) -> bool {
        self.drained
    }

    fn detach(&mut self) {
        self.detached.get_or_insert_with(Instant::now);
    }
}

impl Drop for DpdkReceiver {
    /// What a worker still had when it died goes back, so that the pool is whole.
    fn drop(&mut self) {
        for mbuf in self.stage.drain(..).skip(self.staged) {
            // SAFETY: received, not handed out.
            unsafe { sys::pfs_mbuf_free_chain(mbuf) };
        }
        self.note_fresh();
        let Self { loans, queue, .. } = self;
        // SAFETY: on loan, and nobody returns them any more.
        loans.reclaim_all(|mbuf| unsafe { queue.free(&mut [mbuf]) });
    }
}
