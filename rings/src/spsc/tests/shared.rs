//! Rings in a region: what `open` refuses, who may join, and noise over the header.

use std::ptr::NonNull;

use proptest::prelude::*;

use crate::spsc::{MappedRing, PeerState, PushError, RingError, Side, poisoned_rings};
use crate::{Desc, PageSize, PageWish, Process, Region, RegionRequest};

/// Offsets of the shared words; see `mapped`.
const TAIL: usize = 128;
const HEAD: usize = 256;
const PRODUCER: usize = 128 + 256 + 16;

fn region() -> Region {
    let pages = PageWish::Exact(PageSize::Base4K);
    Region::create(&RegionRequest::new(64 << 10).with_pages(pages)).expect("4 KiB pages")
}

fn word(region: &Region, at: usize) -> NonNull<std::sync::atomic::AtomicU64> {
    region.view().span(at as u64, 8).expect("inside").cast()
}

fn put(region: &Region, at: usize, value: u64) {
    // SAFETY: aligned, inside the region, and touched by atomics only.
    unsafe { word(region, at).as_ref() }.store(value, std::sync::atomic::Ordering::SeqCst);
}

#[test]
fn a_second_mapping_of_the_ring_is_the_same_ring() {
    let region = region();
    let made = MappedRing::<Desc>::create(&region.view(), 128, 64).expect("fits");
    let mut producer = made.producer().expect("free");
    let fd = std::os::fd::AsFd::as_fd(&region).try_clone_to_owned().expect("dup");
    let other = Region::open_fd(fd).expect("sealed");
    let opened = MappedRing::<Desc>::open(&other.view(), 128).expect("same build");
    assert_eq!((opened.capacity(), opened.creator()), (64, Some(Process::current())));
    let mut consumer = opened.consumer().expect("free");
    let desc = Desc { offset: 77, len: 3, ..Desc::default() };
    producer.try_push(desc).expect("room");
    assert_eq!(consumer.pop(), Some(desc));
}

#[test]
fn every_field_of_the_header_is_checked() {
    let region = region();
    let view = region.view();
    let open = || MappedRing::<u64>::open(&view, 0).err();
    assert!(matches!(open(), Some(RingError::NoRing { magic: 0, .. })));
    let make = || MappedRing::<u64>::create(&view, 0, 8).expect("fits");
    let broken = |at, value| {
        make();
        put(&region, at, value);
        open().expect("refused")
    };
    assert!(matches!(broken(0, 5), RingError::NoRing { magic: 5, .. }));
    assert!(matches!(broken(8, 8 << 32 | 2), RingError::Version { found: 2, .. }));
    assert!(matches!(broken(8, 9 << 32 | 1), RingError::ItemBytes { found: 9, ours: 8 }));
    assert!(matches!(broken(16, 1), RingError::Layout { found: 1, .. }));
    for slots in [0, 3, u64::MAX, 1 << 32] {
        assert_eq!(broken(24, slots), RingError::Slots { slots });
    }
    assert!(matches!(broken(24, 1 << 31), RingError::Misplaced { .. }));
    make();
    assert!(open().is_none());
    assert!(matches!(MappedRing::<u32>::open(&view, 0), Err(RingError::ItemBytes { .. })));
    for offset in [8, 64 << 10, u64::MAX - 127] {
        assert!(matches!(MappedRing::<u64>::open(&view, offset), Err(RingError::Misplaced { .. })));
    }
    assert!(matches!(
        MappedRing::<u64>::create(&view, 0, 1 << 20),
        Err(RingError::Misplaced { .. })
    ));
    assert!(matches!(MappedRing::<u64>::create(&view, 0, 3), Err(RingError::Slots { slots: 3 })));
}

#[test]
fn a_side_has_one_owner_and_a_dead_one_is_followed() {
    let region = region();
    let ring = MappedRing::<u64>::create(&region.view(), 0, 8).expect("fits");
    let mut producer = ring.producer().expect("free");
    let taken = RingError::Taken { side: Side::Producer, pid: std::process::id() };
    assert_eq!(ring.producer().err(), Some(taken));
    producer.push_slice(&[1, 2, 3]);
    producer.reserve(2).as_mut_slices().0.fill(99);
    drop(producer);
    // A process that is no more: our id, another start time.
    put(&region, PRODUCER, Process { start: 1, ..Process::current() }.pack());
    let mut consumer = ring.consumer().expect("free");
    assert!(consumer.peer_died());
    let mut producer = ring.producer().expect("its owner is dead");
    assert!(!consumer.peer_died());
    producer.try_push(4).expect("room");
    let mut out = [0; 8];
    assert_eq!((consumer.pop_into(&mut out), &out[..4]), (4, &[1, 2, 3, 4][..]));
}

#[test]
fn an_impossible_index_poisons_this_ring_and_no_other() {
    let region = region();
    let view = region.view();
    let ring = MappedRing::<u64>::create(&view, 0, 8).expect("fits");
    let other = MappedRing::<u64>::create(&view, 4096, 8).expect("fits");
    let (mut producer, mut consumer) =
        (ring.producer().expect("free"), ring.consumer().expect("free"));
    let (mut sound, mut healthy) =
        (other.producer().expect("free"), other.consumer().expect("free"));
    let before = poisoned_rings();
    put(&region, TAIL, 9);
    assert_eq!((consumer.pop(), consumer.peer()), (None, PeerState::Poisoned));
    // It stays so, whatever the words say later.
    put(&region, TAIL, 0);
    producer.try_push(1).expect("the producer has seen nothing wrong");
    assert_eq!((consumer.pop(), consumer.len(), consumer.peer()), (None, 0, PeerState::Poisoned));
    assert_eq!(producer.peer(), PeerState::Closed);
    put(&region, HEAD, 2);
    assert_eq!(producer.push_slice(&[0; 9]), 0);
    assert_eq!(producer.try_push(5), Err(PushError::Poisoned(5)));
    assert!(poisoned_rings() >= before + 2);
    sound.try_push(6).expect("room");
    assert_eq!(healthy.pop(), Some(6));
    drop((producer, consumer));
    put(&region, HEAD, 1 << 40);
    assert!(matches!(ring.consumer(), Err(RingError::Poisoned { .. })));
}

proptest! {
    /// Whatever lies at the offset, opening and using it ends, within bounds.
    #[test]
    fn opening_noise_is_refused_or_harmless(
        noise in prop::collection::vec(any::<u64>(), 64),
        keep in 0..7usize,
        offset in (0..40u64).prop_map(|step| step * 64),
    ) {
        let region = region();
        MappedRing::<u64>::create(&region.view(), 0, 64).expect("fits");
        // The first words stay, so that the later ones are reached.
        for (at, word) in noise.iter().enumerate().skip(keep) {
            put(&region, at * 8, *word);
        }
        if let Ok(ring) = MappedRing::<u64>::open(&region.view(), offset) {
            let mut out = [0; 16];
            if let Ok(mut consumer) = ring.consumer() {
                let popped = (0..100).map(|_| consumer.pop_into(&mut out)).sum::<usize>();
                prop_assert!(popped <= ring.capacity());
            }
            if let Ok(mut producer) = ring.producer() {
                let pushed = (0..100).map(|_| producer.push_slice(&out)).sum::<usize>();
                prop_assert!(pushed <= ring.capacity());
            }
        }
    }
}

/// Noise over all the shared words while both sides run, then impossible indices until each side
/// has met one: no crash, no hang, and both say what they met.
#[test]
fn noise_over_the_words_while_running() {
    let rounds =
        std::env::var("PFS_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(50u64);
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let before = poisoned_rings();
    for round in 0..rounds {
        let region = region();
        let ring = MappedRing::<u64>::create(&region.view(), 0, 64).expect("fits");
        let (mut producer, mut consumer) =
            (ring.producer().expect("free"), ring.consumer().expect("free"));
        std::thread::scope(|scope| {
            let pushing = scope.spawn(move || {
                while producer.peer() != PeerState::Poisoned {
                    producer.push_slice(&[1; 7]);
                }
            });
            let popping = scope.spawn(move || {
                let mut out = [0; 16];
                while consumer.peer() != PeerState::Poisoned {
                    consumer.pop_into(&mut out);
                }
            });
            for _ in 0..200 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                // Words 0..64 are the header and the control words.
                put(&region, (seed % 64) as usize * 8, seed >> (round % 60));
            }
            // Each side puts its own word right again, hence more than once.
            while !pushing.is_finished() || !popping.is_finished() {
                put(&region, HEAD, 1 << 63);
                put(&region, TAIL, 1 << 62);
                std::thread::yield_now();
            }
        });
    }
    assert!(poisoned_rings() >= before + 2 * rounds);
}
