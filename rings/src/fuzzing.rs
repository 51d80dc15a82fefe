//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::lane::{BURST, LaneReceiver, LaneWorker, lane, return_slots};
use crate::spsc::{Consumer, MappedRing, Producer};
use crate::wait::WaitStrategy;
use crate::{Desc, FramePool, PageSize, PageWish, Region, RegionRequest};

/// Bytes of the region that a fuzzed ring lies in.
const REGION: usize = 16 << 10;
/// Bytes of a ring before its slots.
const HEAD: usize = 512;
/// What the region holds where no ring is.
const UNTOUCHED: u8 = 0xa5;

/// A ring's header: a ring of eight descriptors is made at 4,096, noise laid over its first 512
/// bytes, and then opened, claimed and used from both sides while more noise comes.
///
/// Input: how many words of the header stay, its noise (512 bytes, or fewer), then steps of two
/// bytes. Nothing may be written outside the ring that was opened.
pub fn ring_header(data: &[u8]) {
    let Some((&keep, rest)) = data.split_first() else { return };
    let (noise, steps) = rest.split_at(rest.len().min(HEAD));
    let pages = PageWish::Exact(PageSize::Base4K);
    let Ok(region) = Region::create(&RegionRequest::new(REGION as u64).with_pages(pages)) else {
        return;
    };
    let arena = Arena { region: &region, at: 4096 };
    arena.fill();
    let made = MappedRing::<Desc>::create(&region.view(), 4096, 8);
    assert!(made.is_ok(), "the place is sound");
    for (at, word) in noise.chunks_exact(8).enumerate().skip(usize::from(keep)) {
        arena.put(at, word);
    }
    if let Ok(ring) = MappedRing::<Desc>::open(&region.view(), 4096) {
        let end = 4096 + MappedRing::<Desc>::bytes(ring.capacity()).unwrap_or_default() as usize;
        assert!(end <= REGION, "a ring that was opened lies in its region");
        let (mut producer, mut consumer) = (ring.producer().ok(), ring.consumer().ok());
        for step in steps.as_chunks().0 {
            use_ring(&arena, *step, ring.capacity(), &mut producer, &mut consumer);
        }
        drop((producer, consumer));
        arena.check(end);
    } else {
        arena.check(4096 + MappedRing::<Desc>::bytes(8).unwrap_or_default() as usize);
    }
}

/// The fuzzed region, and where its ring begins.
struct Arena<'a> {
    region: &'a Region,
    at: usize,
}

impl Arena<'_> {
    fn bytes(&self) -> *mut u8 {
        self.region.view().base().as_ptr()
    }

    fn fill(&self) {
        // SAFETY: the whole of a new region, of which nobody else knows.
        unsafe { self.bytes().write_bytes(UNTOUCHED, REGION) };
    }

    /// Writes one of the ring's first words, as another process can.
    fn put(&self, word: usize, value: &[u8]) {
        let value = value.try_into().map_or(0, u64::from_le_bytes);
        // SAFETY: aligned and inside the region; others touch these words as atomics only.
        let word =
            unsafe { &*self.bytes().add(self.at + word % (HEAD / 8) * 8).cast::<AtomicU64>() };
        word.store(value, Ordering::Relaxed);
    }

    /// Asserts that nothing was written before the ring or from `end` on.
    fn check(&self, end: usize) {
        // SAFETY: the whole region; both sides of the ring are gone.
        let all = unsafe { std::slice::from_raw_parts(self.bytes(), REGION) };
        let outside = all.iter().take(self.at).chain(all.iter().skip(end));
        assert!(outside.copied().all(|byte| byte == UNTOUCHED), "written outside the ring");
    }
}

/// One step of [`ring_header`]: which of the ring's verbs, and its number.
fn use_ring(
    arena: &Arena<'_>,
    [verb, number]: [u8; 2],
    capacity: usize,
    producer: &mut Option<Producer<Desc>>,
    consumer: &mut Option<Consumer<Desc>>,
) {
    let count = usize::from(number);
    let items = vec![Desc { frame: number.into(), ..Desc::default() }; count];
    let mut out = vec![Desc::default(); count];
    let moment = Duration::from_micros(50);
    let moved = match (verb % 10, producer, consumer) {
        (0, Some(producer), _) => producer.push_slice(&items),
        (1, Some(producer), _) => producer.try_push(Desc::default()).map_or(0, |()| 1),
        (2, Some(producer), _) => {
            let mut chunk = producer.reserve(count);
            let (first, second) = chunk.as_mut_slices();
            first.len() + second.len()
        }
        (3, Some(producer), _) => {
            producer.wait(count, WaitStrategy::Adaptive, moment, None);
            producer.pending().len()
        }
        (4, _, Some(consumer)) => consumer.pop_into(&mut out),
        (5, _, Some(consumer)) => usize::from(consumer.pop().is_some()),
        (6, _, Some(consumer)) => consumer.peek(count).len(),
        (7, _, Some(consumer)) => {
            let copied = consumer.copy_front(&mut out);
            assert!(consumer.release(copied) == copied, "what was copied can be released");
            copied
        }
        (8, _, Some(consumer)) => {
            consumer.wait(WaitStrategy::Adaptive, moment, None);
            consumer.len()
        }
        (9, ..) => {
            arena.put(count, &[verb, number, verb / 16, 0, 0, 0, 0, verb & 0x80]);
            0
        }
        _ => 0,
    };
    assert!(moved <= capacity, "{moved} items in a ring of {capacity}");
}

/// Hostile tokens on the way back: a receiver lends frames and takes back what a worker returns,
/// which may be anything. Input: steps, one byte each, and the tokens that they take.
pub fn return_ring(data: &[u8]) {
    let mut play = Play::new();
    let mut bytes = data.iter().copied();
    while let Some(step) = bytes.next() {
        let count = usize::from(step >> 2);
        match step & 3 {
            0 => play.send(count),
            1 => play.work(count),
            2 => {
                let tokens: Vec<u32> = bytes.by_ref().take(count).map(token).collect();
                play.worker.give_back(&tokens);
            }
            _ => play.take_back(count),
        }
        play.check();
    }
}

/// Mostly tokens that may be on loan, and some that cannot be.
fn token(byte: u8) -> u32 {
    match byte {
        255 => u32::MAX,
        250..=254 => u32::from(byte) << 24,
        _ => u32::from(byte),
    }
}

/// A receiver and a worker in one thread, and what must be on loan.
struct Play {
    receiver: LaneReceiver,
    worker: LaneWorker,
    pool: FramePool,
    lent: HashSet<u32>,
    refused: u64,
}

const FRAMES: u32 = 200;

impl Play {
    fn new() -> Self {
        let (receiver, worker) = lane(BURST);
        let (pool, lent) = (FramePool::new(FRAMES), HashSet::new());
        Self { receiver, worker, pool, lent, refused: 0 }
    }

    /// Lends `count` frames to one chain; without room they are free again.
    fn send(&mut self, count: usize) {
        let mut chain = Vec::new();
        while chain.len() < count
            && let Some(frame) = self.pool.take()
        {
            let frame = self.pool.lend(frame);
            assert!(self.lent.insert(frame), "frame {frame} is lent twice");
            chain.push(Desc { frame, ..Desc::default() });
        }
        if let Some(last) = chain.last_mut() {
            last.flags |= Desc::EOM;
        }
        if !self.receiver.push(&chain) {
            chain.iter().for_each(|desc| self.reclaim(desc.frame));
        }
    }

    /// What a worker in good order does with up to `count` descriptors.
    fn work(&mut self, count: usize) {
        let mut burst = [Desc::default(); BURST];
        let found = self.worker.peek(&mut burst).min(count);
        self.worker.release(found);
        let tokens: Vec<u32> = burst.iter().take(found).map(|desc| desc.frame).collect();
        self.worker.give_back(&tokens);
    }

    fn take_back(&mut self, count: usize) {
        let mut tokens = vec![0; count];
        let drained = self.receiver.drain(&mut tokens);
        tokens.into_iter().take(drained).for_each(|token| self.reclaim(token));
    }

    fn reclaim(&mut self, token: u32) {
        let result = self.pool.reclaim(token);
        assert_eq!(result.is_ok(), self.lent.remove(&token), "token {token}");
        match result {
            Ok(frame) => self.pool.put(frame),
            Err(_) => self.refused += 1,
        }
    }

    fn check(&self) {
        assert_eq!(self.pool.on_loan() as usize, self.lent.len());
        assert_eq!(self.pool.free() + self.lent.len(), FRAMES as usize, "no frame is lost");
        assert_eq!(self.pool.refused(), self.refused);
        assert!(self.receiver.outstanding() <= return_slots(BURST));
    }
}
