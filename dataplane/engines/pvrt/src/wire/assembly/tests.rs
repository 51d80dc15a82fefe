//! Files sent and put together.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::program::{Piece, Ref, Transform, Window};
use crate::rebuild;
use crate::space::Space;
use crate::wire::body::{self, BodyWriter, Pack};
use crate::wire::frame::{HEADER, Kind};
use crate::wire::seal::{Cipher, Key};
use crate::wire::wanted::{self, Wanted};
use crate::wire::{Framer, Payload};

const SECRET: [u8; 32] = [5; 32];

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }
}

fn blob(bytes: usize) -> Vec<u8> {
    let mut next = random(99);
    std::iter::repeat_with(|| next() as u8).take(bytes).collect()
}

/// How a sender sends one window.
enum Way {
    Direct,
    Body(Vec<u8>),
}

/// A sender with all it may be asked for.
struct Sender {
    spec: TransferSpec,
    file: Vec<u8>,
    ways: Vec<Way>,
    framer: Framer,
    pack: usize,
}

impl Sender {
    /// A file of `size` bytes made of `blob`, of windows of all ways.
    fn new(id: u32, size: usize, window_bytes: u32, sealed: bool, seed: u64, blob: &[u8]) -> Self {
        let spec = TransferSpec { id, size: size as u64, window_bytes, anchor: 77 };
        let (mut next, mut file) = (random(seed), Vec::new());
        let ways = (0..spec.windows() as u32).map(|at| {
            let len = spec.window_len(at);
            let window = made_up(len, blob, &mut next);
            let begin = file.len();
            file.resize(begin + len as usize, 0);
            let out = &mut file[begin..];
            rebuild::window(&Space::blob(blob), &window.pieces, &window.raw, out).expect("fits");
            let mut body = Vec::new();
            let mut writer = BodyWriter::new((next() % 2) as i32);
            writer.write(&window, spec.from(at), body::check(out), &mut body).expect("whole");
            let usable = body.len() <= len as usize + body::BEYOND;
            if usable && next() % 3 > 0 { Way::Body(body) } else { Way::Direct }
        });
        let ways = ways.collect();
        let key = sealed.then(|| Arc::new(Key::new(Cipher::preferred(), &SECRET)));
        Self { spec, file, ways, framer: Framer::new(id, 600, key), pack: 300 }
    }

    fn payload(&self, at: u32) -> Payload<'_> {
        match &self.ways[at as usize] {
            Way::Body(body) => Payload::Part(body),
            Way::Direct => self.raw(at),
        }
    }

    fn raw(&self, at: u32) -> Payload<'_> {
        let begin = self.spec.begin(at) as usize;
        let bytes = &self.file[begin..begin + self.spec.window_len(at) as usize];
        Payload::Direct(bytes, body::check(bytes))
    }

    /// Frames of what is wanted.
    fn send(&mut self, wanted: &[Wanted]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut framer = self.framer.clone();
        let mut pack = Pack::new(self.pack);
        let mut fragments =
            |framer: &mut Framer, at: u32, payload: &Payload<'_>, which: std::ops::Range<u32>| {
                for fragment in which {
                    let mut frame = Vec::new();
                    framer.fragment(at, payload, fragment, &mut frame);
                    frames.push(frame);
                }
            };
        let mut packed = Vec::new();
        for wanted in wanted {
            match *wanted {
                Wanted::Windows { first, count, raw } => {
                    for at in first..first + count {
                        let payload = if raw { self.raw(at) } else { self.payload(at) };
                        if let Payload::Part(body) = payload
                            && body.len() + 10 < self.pack
                        {
                            if !pack.push(at, body) {
                                let mut frame = Vec::new();
                                framer.pack(&pack, &mut frame);
                                packed.push(frame);
                                pack.clear();
                                assert!(pack.push(at, body));
                            }
                            continue;
                        }
                        let all = 0..framer.fragments(&payload);
                        fragments(&mut framer, at, &payload, all);
                    }
                }
                Wanted::Fragments { window, kind, step, total, first, count } => {
                    let payload =
                        if kind == Kind::Direct { self.raw(window) } else { self.payload(window) };
                    assert_eq!((step, total as usize), (framer.step(), payload.total()));
                    let which = u32::from(first)..u32::from(first) + u32::from(count);
                    fragments(&mut framer, window, &payload, which);
                }
            }
        }
        if !pack.is_empty() {
            let mut frame = Vec::new();
            framer.pack(&pack, &mut frame);
            packed.push(frame);
        }
        frames.append(&mut packed);
        self.framer = framer;
        frames
    }

    fn receive(&self, transfers: &Transfers, blob: &[u8]) -> Arc<Transfer> {
        let space = HeldSpace::new(Arc::new(blob.to_vec()), |blob| Space::blob(blob));
        let memory = Destination::memory(self.spec.size).expect("so little");
        let transfer = Transfer::new(self.spec, space, memory).expect("possible");
        let key = Key::new(Cipher::preferred(), &SECRET);
        let sealed = self.framer.clone().probe(64, &mut Vec::new()) == 64
            && self.framer.step() < 600 - HEADER as u16;
        transfers.register(if sealed { transfer.with_key(key) } else { transfer }).expect("free")
    }
}

/// A window of `len` bytes: references of all kinds and raw bytes.
fn made_up(len: u32, blob: &[u8], next: &mut impl FnMut() -> u64) -> Window {
    let (mut window, mut left) = (Window::default(), len);
    let most = [len, 40, 300][next() as usize % 3].max(1);
    while left > 0 {
        let len = (1 + next() as u32 % most).min(left);
        left -= len;
        let imm = next() as u8;
        let transform = match next() % 5 {
            0 => {
                window.raw.extend((0..len).map(|at| (at / 7) as u8 ^ imm));
                window.pieces.push(Piece::Raw(len));
                continue;
            }
            1 => Transform::Xor(imm),
            2 => Transform::Add(imm),
            _ => Transform::Identity,
        };
        let offset = next() % (blob.len() as u64 - u64::from(len) + 1);
        window.pieces.push(Piece::Ref(Ref { offset, len, transform }));
    }
    window
}

fn file_of(transfer: &Transfer) -> Vec<u8> {
    let windows = (0..transfer.windows()).map(|at| transfer.window(at).expect("done"));
    windows.flatten().copied().collect()
}

/// What all lanes and the transfer miss, as the sender reads it.
fn missing(transfer: &Transfer, lanes: &mut [Lane], now: u64) -> Vec<Wanted> {
    transfer.ask();
    lanes.iter_mut().for_each(|lane| lane.tick(now));
    let mut list = transfer.take_answers();
    transfer.wanted(0..u32::MAX, usize::MAX, &mut list);
    let mut bytes = Vec::new();
    wanted::write(&list, &mut bytes);
    assert_eq!(wanted::read(&bytes).as_ref(), Ok(&list));
    list
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PFS_WIRE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48)
    ))]

    /// Whatever is lost, doubled, changed or comes in another order, over however many lanes: with
    /// repair the file is the sender's, and no window is ever done that is not.
    #[test]
    fn any_way_gives_the_file(
        size in 1..40_000_usize,
        window_bytes in prop_oneof![Just(4_096_u32), 1..9_000_u32],
        sealed in any::<bool>(),
        seed in any::<u64>(),
        loss in 0..60_u64,
        lane_count in 1..4_usize,
        partials in prop_oneof![Just(1_usize), Just(64)],
    ) {
        let blob = blob(20_000);
        let mut sender = Sender::new(3, size, window_bytes, sealed, seed, &blob);
        let mut other = Sender::new(8, 2_000, 700, !sealed, seed ^ 5, &blob);
        let transfers = Arc::new(Transfers::new());
        let settings = LaneSettings { partials, buffer_bytes: 0 };
        let mut lanes: Vec<Lane> =
            (0..lane_count).map(|_| Lane::new(Arc::clone(&transfers), settings)).collect();
        let transfer = sender.receive(&transfers, &blob);
        let beside = other.receive(&transfers, &blob);
        let mut next = random(seed ^ 0xabcd);
        let mut rounds = 0;
        while !(transfer.is_complete() && beside.is_complete()) {
            rounds += 1;
            prop_assert!(rounds < 400, "{:?}", lanes[0].counters());
            let mut frames = sender.send(&missing(&transfer, &mut lanes, rounds));
            frames.extend(other.send(&missing(&beside, &mut lanes, rounds)));
            for at in (1..frames.len()).rev() {
                frames.swap(at, next() as usize % (at + 1));
            }
            for mut frame in frames {
                if next() % 100 < loss {
                    continue;
                }
                if next().is_multiple_of(50) {
                    let bit = next() as usize % (frame.len() * 8);
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                let times = 1 + usize::from(next().is_multiple_of(5));
                // Mostly by window, as a sender does; the time is that of the rounds.
                let lane = if next().is_multiple_of(20) { next() } else { u64::from(frame[12]) };
                let lane = &mut lanes[lane as usize % lane_count];
                lane.batch(std::iter::repeat_n(frame.as_slice(), times), rounds);
            }
            for lane in &mut lanes {
                lane.give_up(3);
            }
            for at in 0..transfer.windows() {
                let begin = sender.spec.begin(at) as usize;
                if let Some(window) = transfer.window(at) {
                    prop_assert_eq!(window, &sender.file[begin..begin + window.len()]);
                }
            }
        }
        prop_assert_eq!(file_of(&transfer), sender.file);
        prop_assert_eq!(file_of(&beside), other.file);
        prop_assert!(missing(&transfer, &mut lanes, rounds).is_empty());
        let done: u64 = lanes.iter().map(|lane| lane.counters().windows).sum();
        prop_assert_eq!(done, u64::from(transfer.windows() + beside.windows()));
        let whole = |id, transfer: &Transfer| {
            let windows = 0..transfer.windows();
            let digest = |at| window_digest(id, at, body::check(transfer.window(at).expect("done")));
            windows.map(digest).fold(0, u64::wrapping_add)
        };
        let digests = lanes.iter().map(Lane::digest).fold(0, u64::wrapping_add);
        prop_assert_eq!(digests, whole(3, &transfer).wrapping_add(whole(8, &beside)));
        let all = 0..transfer.windows();
        prop_assert!(transfer.done().into_iter().eq(std::iter::once(all)));
    }

    #[test]
    fn any_datagrams_are_survived(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        fields in any::<(u8, u32, u16, u16, u32)>(),
    ) {
        let transfers = Arc::new(Transfers::new());
        let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
        let sender = Sender::new(1, 9_000, 4_096, false, 4, &blob(5_000));
        sender.receive(&transfers, &blob(5_000));
        let (kind, window, fragment, step, total) = fields;
        let kind = [Kind::Direct, Kind::Part, Kind::Pack, Kind::Probe][usize::from(kind % 4)];
        for mut payload in frames {
            lane.batch([payload.as_slice()], 0);
            let (window, total) = (window % 4, total % 5_000);
            let step = step.max(total.min(600) as u16);
            let header = crate::wire::Header {
                kind, encrypted: false, transfer: 1, window, sequence: 0, fragment, step, total,
            };
            if header.is_possible() {
                payload.resize(header.payload(), 0);
                let mut frame = Vec::new();
                header.write_plain([&payload, &[]], &mut frame);
                lane.batch([frame.as_slice()], 0);
            }
        }
        prop_assert_eq!(transfers.all().len(), 1);
    }
}

/// A lane with one transfer of 3 windows of 2,000 bytes and its sender.
fn one(sealed: bool) -> (Sender, Lane, Arc<Transfer>) {
    let transfers = Arc::new(Transfers::new());
    let lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
    let mut sender = Sender::new(1, 6_000, 2_000, sealed, 4, &blob(5_000));
    sender.ways = (0..3).map(|_| Way::Direct).collect();
    let transfer = sender.receive(&transfers, &blob(5_000));
    (sender, lane, transfer)
}

const ALL: Wanted = Wanted::Windows { first: 0, count: 3, raw: false };

#[test]
fn windows_of_a_stream_are_done_when_they_are_kept() {
    let bytes: Vec<u8> = (0..2_500_u32).map(|at| ((at * 7) >> 3) as u8).collect();
    let (give, filled) = std::sync::mpsc::channel::<Filled>();
    let stream = Destination::stream(2_500, move |filled| drop(give.send(filled)));
    let spec = TransferSpec { id: 3, size: 2_500, window_bytes: 1_000, anchor: 0 };
    let transfers = Arc::new(Transfers::new());
    let transfer = Transfer::new(spec, HeldSpace::default(), stream.expect("few bytes"));
    let transfer = transfers.register(transfer.expect("possible")).expect("its own number");
    let mut lane = Lane::new(Arc::clone(&transfers), LaneSettings::default());
    let mut framer = Framer::new(3, 600, None);
    let mut send = |window: u32| {
        let part = &bytes[window as usize * 1_000..][..spec.window_len(window) as usize];
        let payload = Payload::Direct(part, body::check(part));
        for fragment in 0..framer.fragments(&payload) {
            let mut frame = Vec::new();
            framer.fragment(window, &payload, fragment, &mut frame);
            lane.batch([frame.as_slice()], 0);
        }
    };
    for window in [2, 0, 1] {
        send(window);
        let filled = filled.try_recv().expect("the last fragment came");
        assert_eq!((filled.window(), filled.transfer().spec().id), (window, 3));
        assert!(bytes[window as usize * 1_000..].starts_with(filled.bytes()));
        assert_eq!(filled.bytes().len(), spec.window_len(window) as usize);
        assert!(!transfer.is_done(window) && transfer.window(window).is_none());
        if window == 0 {
            // Not kept: it comes again.
            drop(filled);
            let mut wanted = Vec::new();
            transfer.wanted(0..3, 9, &mut wanted);
            assert_eq!(wanted, [Wanted::Windows { first: 0, count: 2, raw: false }]);
            continue;
        }
        filled.done();
        assert!(transfer.is_done(window));
    }
    send(0);
    send(0);
    filled.try_recv().expect("once more").done();
    assert!(transfer.is_complete() && filled.try_recv().is_err());
    assert_eq!(lane.counters().late + lane.counters().elsewhere, 2);
}

#[test]
fn each_cause_has_its_counter() {
    for sealed in [false, true] {
        let (mut sender, mut lane, transfer) = one(sealed);
        let frames = sender.send(&[ALL]);
        lane.batch([&b"no frame"[..], &frames[0][..40]], 0);
        let mut changed = frames[0].clone();
        *changed.last_mut().expect("bytes") ^= 1;
        lane.batch([changed.as_slice()], 0);
        let elsewhere = one(!sealed).0.send(&[ALL]);
        let foreign = Sender::new(2, 100, 100, sealed, 1, &blob(500)).send(&[ALL_OF_ONE]);
        lane.batch([elsewhere[0].as_slice(), &foreign[0]], 0);
        let got = *lane.counters();
        assert_eq!((got.malformed, got.protection, got.foreign, got.frames), (2, 1, 1, 0));
        assert_eq!((got.bad_crc, got.forged), if sealed { (0, 1) } else { (1, 0) });
        // Twice all, then once more: each window's fragments are doubles, then late.
        lane.batch([frames[0].as_slice(), &frames[0]], 0);
        lane.batch(frames.iter().map(Vec::as_slice), 0);
        lane.batch(frames.iter().map(Vec::as_slice), 0);
        let got = *lane.counters();
        assert!(transfer.is_complete());
        assert_eq!((got.duplicates, got.windows, got.bytes), (2, 3, 6_000));
        assert_eq!((got.late, got.fragments), (frames.len() as u64, frames.len() as u64));
        assert_eq!((got.raw_windows, lane.partials()), (3, 0));
        assert_eq!(transfer.progress().sequences, sender.framer.sequence());
        assert_eq!(transfer.progress().frames, 2 + 2 * frames.len() as u64);
        assert_eq!(file_of(&transfer), sender.file);
    }
}

const ALL_OF_ONE: Wanted = Wanted::Windows { first: 0, count: 1, raw: true };

#[test]
fn references_that_fail_here_are_asked_for_raw() {
    let blob = blob(5_000);
    let mut other = blob.clone();
    other.iter_mut().for_each(|byte| *byte ^= 1);
    for here in [&other[..], &blob[..10]] {
        let transfers = Arc::new(Transfers::new());
        let mut lanes = [Lane::new(Arc::clone(&transfers), LaneSettings::default())];
        let mut sender = Sender::new(1, 8_000, 2_000, false, 4, &blob);
        // Window 1 is all a reference, the others come as they are.
        let at = Piece::Ref(Ref { offset: 50, len: 2_000, transform: Transform::Identity });
        sender.file[2_000..4_000].copy_from_slice(&blob[50..2_050]);
        let window = Window { pieces: vec![at], raw: Vec::new() };
        let (mut body, check) = (Vec::new(), body::check(&blob[50..2_050]));
        BodyWriter::new(0).write(&window, sender.spec.from(1), check, &mut body).expect("whole");
        sender.ways = (0..4).map(|_| Way::Direct).collect();
        sender.ways[1] = Way::Body(body);
        let transfer = sender.receive(&transfers, here);
        let all = missing(&transfer, &mut lanes, 0);
        assert_eq!(all, [Wanted::Windows { first: 0, count: 4, raw: false }]);
        let frames = sender.send(&all);
        lanes[0].batch(frames.iter().map(Vec::as_slice), 0);
        let again = missing(&transfer, &mut lanes, 0);
        assert_eq!(again, [Wanted::Windows { first: 1, count: 1, raw: true }]);
        assert_eq!(transfer.progress().windows, 3);
        assert_eq!(transfer.done(), [0..1, 2..4]);
        let counters = lanes[0].counters();
        assert_eq!(counters.bad_checks + counters.bad_refs, 1);
        let frames = sender.send(&again);
        lanes[0].batch(frames.iter().map(Vec::as_slice), 0);
        assert_eq!(file_of(&transfer), sender.file);
    }
}

#[test]
fn a_window_is_one_lanes_until_it_gives_it_up() {
    let (mut sender, mut first, transfer) = one(false);
    let mut second = Lane::new(first.transfers(), LaneSettings::default());
    let frames = sender.send(&[ALL]);
    first.batch([frames[0].as_slice()], 10);
    second.batch([frames[1].as_slice()], 10);
    assert_eq!((second.counters().elsewhere, second.partials()), (1, 0));
    first.tick(15);
    first.give_up(6);
    assert_eq!(first.partials(), 1);
    first.give_up(5);
    assert_eq!((first.partials(), first.counters().evicted), (0, 1));
    second.batch(frames.iter().map(Vec::as_slice), 20);
    assert_eq!(file_of(&transfer), sender.file);
}

#[test]
fn a_dropped_lane_and_a_removed_transfer_give_windows_back() {
    let (mut sender, mut lane, transfer) = one(false);
    let frames = sender.send(&[ALL]);
    lane.batch([frames[0].as_slice()], 0);
    let gaps = |transfer: &Transfer| {
        let mut list = Vec::new();
        transfer.wanted(0..9, 9, &mut list);
        list
    };
    assert_eq!(gaps(&transfer), [Wanted::Windows { first: 1, count: 2, raw: false }]);
    assert!(lane.transfers().remove(1).is_some());
    lane.tick(1);
    assert_eq!((gaps(&transfer), lane.partials()), (vec![ALL], 0));
    lane.batch([frames[0].as_slice()], 2);
    assert_eq!(lane.counters().foreign, 1);
    let again = sender.receive(&lane.transfers(), &blob(9));
    lane.batch([frames[0].as_slice()], 3);
    assert_eq!(lane.partials(), 1);
    drop(lane);
    assert_eq!(gaps(&again), [ALL]);
}

#[test]
fn a_later_cut_replaces_an_earlier_one() {
    let (mut sender, mut lane, transfer) = one(false);
    let early = sender.send(&[ALL]);
    lane.batch([early[0].as_slice()], 0);
    sender.framer = Framer::new(1, 900, None).from_sequence(sender.framer.sequence());
    let late = sender.send(&[ALL]);
    lane.batch([late[0].as_slice(), &early[1]], 0);
    assert_eq!((lane.counters().changed, lane.counters().stale), (1, 1));
    lane.batch(late.iter().map(Vec::as_slice), 0);
    assert_eq!(file_of(&transfer), sender.file);
}

#[test]
fn what_is_done_already_is_not_taken_again() {
    let (mut sender, lane, transfer) = one(false);
    let spec = *transfer.spec();
    let transfers = lane.transfers();
    transfers.remove(1);
    let memory = Destination::memory(spec.size).expect("so little");
    let resumed = Transfer::new(spec, HeldSpace::default(), memory).expect("possible");
    let resumed = transfers.register(resumed.with_done([1..2, 2..900])).expect("free");
    assert_eq!(resumed.progress().windows, 2);
    assert!(resumed.done().into_iter().eq(std::iter::once(1..3)));
    let mut lane = lane;
    let frames = sender.send(&[ALL]);
    lane.batch(frames.iter().map(Vec::as_slice), 0);
    assert!(resumed.is_complete() && lane.counters().late > 0);
    assert_eq!(resumed.window(0), Some(&sender.file[..2_000]));
    assert_eq!(resumed.window(1), Some(&[0; 2_000][..]));
}

#[test]
fn impossible_transfers_are_refused() {
    let memory = |size| Destination::memory(size).expect("so little");
    let new = |size, window_bytes, have| {
        let spec = TransferSpec { id: 1, size, window_bytes, anchor: 0 };
        Transfer::new(spec, HeldSpace::default(), memory(have)).map(|_| ())
    };
    assert_eq!(new(5, 0, 5), Err(TransferError::WindowBytes(0)));
    assert_eq!(new(5, (4 << 20) + 1, 5), Err(TransferError::WindowBytes((4 << 20) + 1)));
    assert_eq!(new(5, 10, 6), Err(TransferError::Destination { have: 6, want: 5 }));
    assert_eq!(new(5 << 30, 1, 5 << 30), Err(TransferError::Windows(5 << 30)));
    assert_eq!(new(0, 10, 0), Ok(()));
    let (_, lane, transfer) = one(false);
    let spec = *transfer.spec();
    let same = Transfer::new(spec, HeldSpace::default(), memory(spec.size)).expect("possible");
    assert_eq!(lane.transfers().register(same).map(|_| ()), Err(TransferError::Taken(1)));
}
