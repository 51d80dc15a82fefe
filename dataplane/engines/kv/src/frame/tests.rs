//! Frames, whole and torn.

use proptest::prelude::*;

use super::fuzzing::kv_frame;
use super::*;

fn operations() -> [Operation<'static>; 6] {
    [
        Operation::Put { key: b"key", value: b"value", expires: None },
        Operation::Put { key: b"", value: b"", expires: Some(1_800_000_000_000) },
        Operation::Get { key: b"k\0y" },
        Operation::Delete { key: b"key" },
        Operation::PairSet { key: b"ctx:", abs: (1 << 48) - 1, hidden: false },
        Operation::PairSet { key: b"h", abs: 0, hidden: true },
    ]
}

fn built(operations: &[Operation<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(1400);
    for operation in operations {
        assert!(builder.push(operation));
    }
    builder.finish(7, 9, 1, true).to_vec()
}

/// `frame` with `bytes` at `at`, and the check that goes with them.
fn mended(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    let check = check_of(&frame);
    frame[28..32].copy_from_slice(&check.to_le_bytes());
    frame
}

#[test]
fn the_layout_is_that_of_the_page() {
    let frame = built(&[Operation::Put { key: b"ab", value: b"c", expires: None }]);
    let header: [&[u8]; 8] = [
        b"PFKV",
        &[1, 2],
        &[1, 0],
        &[7, 0, 0, 0, 0, 0, 0, 0],
        &[9, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0],
        &check_of(&frame).to_le_bytes(),
        &[1, 0, 2, 0, 1, 0, 0, 0, b'a', b'b', b'c'],
    ];
    assert_eq!(frame, header.concat());
    // CRC-32C of "123456789" is 0xe3069283: over 2^32 it is 0.887.
    assert_eq!((lane_of(b"123456789", 1000), lane_of(b"123456789", 1)), (886, 0));
}

#[test]
fn what_is_built_is_read() {
    let bytes = built(&operations());
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!((frame.sender(), frame.sequence(), frame.lane()), (7, 9, 1));
    assert!(frame.answers_all() && !frame.is_reply());
    assert_eq!(frame.operations().collect::<Vec<_>>(), operations());
    assert_eq!(frame.outcomes().count(), 0);
}

#[test]
fn torn_and_changed_frames_do_nothing() {
    let bytes = built(&operations());
    for cut in 0..bytes.len() {
        let expected = if cut < HEADER { FrameError::Short } else { FrameError::Check };
        assert_eq!(Frame::parse(&bytes[..cut]), Err(expected), "cut at {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(&changed).is_err(), "bit {bit}");
    }
    // A sender that cuts and checks: each cut is still refused.
    for cut in HEADER..bytes.len() {
        let cut = mended(&bytes[..cut], 0, b"");
        assert_eq!(Frame::parse(&cut), Err(FrameError::OperationShort));
    }
}

#[test]
fn what_is_no_frame() {
    let bytes = built(&operations()[..1]);
    for (at, value, error) in [
        (0, &b"PFKW"[..], FrameError::Magic),
        (4, &[2], FrameError::Version),
        (5, &[4], FrameError::Reserved),
        (26, &[1], FrameError::Reserved),
        (6, &[0, 0], FrameError::Empty),
        (6, &[2, 0], FrameError::OperationShort),
        (16, &[0; 8], FrameError::Sequence),
        (32, &[0], FrameError::Kind),
        (32, &[5], FrameError::Kind),
        (32, &[3], FrameError::Value),
        (32, &[4], FrameError::Value),
        (33, &[1], FrameError::Flags),
        (33, &[2], FrameError::Value),
        (34, &[2, 0], FrameError::Trailing),
        (34, &[0xff, 0xff], FrameError::OperationShort),
        (36, &[0xff, 0xff, 0xff, 0xff], FrameError::OperationShort),
    ] {
        assert_eq!(Frame::parse(&mended(&bytes, at, value)), Err(error), "{value:?} at {at}");
    }
    let pair = built(&operations()[4..5]);
    assert_eq!(Frame::parse(&mended(&pair, 50, &[1])), Err(FrameError::AbsoluteKey));
    let pair = built(&[Operation::PairSet { key: b"k", abs: 1, hidden: false }]);
    let mut no_key = mended(&pair, 34, &[0, 0]);
    no_key.remove(40);
    assert_eq!(Frame::parse(&mended(&no_key, 0, b"")), Err(FrameError::PairKey));
    assert_eq!(
        Frame::parse(&mended(&[bytes, vec![0]].concat(), 0, b"")),
        Err(FrameError::Trailing)
    );
}

#[test]
fn a_frame_takes_what_fits() {
    let value = [0; 100];
    let put = Operation::Put { key: b"k", value: &value, expires: None };
    let mut builder = Builder::new(HEADER + 2 * (OPERATION + 101));
    assert!(builder.push(&put) && builder.push(&put) && !builder.push(&put));
    assert_eq!(Frame::parse(builder.finish(1, 1, 0, false)).unwrap().count(), 2);
    builder.clear();
    assert!(builder.push(&put));
    assert_eq!(Frame::parse(builder.finish(1, 2, 0, false)).unwrap().count(), 1);
    let mut builder = Builder::new(1 << 20);
    assert!(!builder.push(&Operation::Get { key: &[0; 65_536] }));
    assert!(!builder.push(&Operation::PairSet { key: b"k", abs: 1 << 48, hidden: false }));
    assert!(!builder.push(&Operation::PairSet { key: b"", abs: 1, hidden: false }));
    for _ in 0..65_535 {
        assert!(builder.push(&Operation::Get { key: b"" }));
    }
    assert!(!builder.push(&Operation::Get { key: b"" }));
}

#[test]
fn replies_come_in_as_many_frames_as_they_need() {
    let bytes = built(&operations());
    let frame = Frame::parse(&bytes).unwrap();
    let mut replies = ReplyBuilder::new(HEADER + OPERATION + 50);
    let mut sent = Vec::new();
    let mut send = |reply: &[u8]| sent.push(reply.to_vec());
    let get = Operation::Get { key: b"" };
    for (index, (status, value)) in [
        (Status::Done, &[1; 50][..]),
        (Status::NotFound, &[]),
        (Status::Done, &[2; 51]),
        (Status::Done, &[3]),
    ]
    .into_iter()
    .enumerate()
    {
        replies.push(&frame, (index as u16, &get), (status, value), &mut send);
    }
    replies.finish(&frame, &mut send);
    replies.finish(&frame, &mut send);
    let outcomes: Vec<_> = sent
        .iter()
        .flat_map(|reply| {
            let reply = Frame::parse(reply).unwrap();
            assert!(reply.is_reply() && reply.sequence() == 9 && reply.sender() == 7);
            reply.outcomes().collect::<Vec<_>>()
        })
        .collect();
    let outcome = |index, status, value| Outcome { index, status, value };
    let expected = [
        outcome(0, Status::Done, &[1; 50][..]),
        outcome(1, Status::NotFound, &[]),
        outcome(2, Status::TooLarge, &[]),
        outcome(3, Status::Done, &[3]),
    ];
    assert_eq!((outcomes, sent.len()), (expected.to_vec(), 2));
}

#[test]
fn sequences_in_order_lost_late_and_replayed() {
    let mut sequences = Sequences::new(8);
    let mut note = |sequence| sequences.note(1, 0, sequence);
    assert_eq!([note(1), note(2), note(5)], [Verdict::Fresh; 3]);
    assert_eq!([note(5), note(2)], [Verdict::Replayed; 2]);
    assert_eq!([note(4), note(3)], [Verdict::Fresh; 2]);
    assert_eq!([note(4), note(100)], [Verdict::Replayed, Verdict::Fresh]);
    assert_eq!([note(36), note(37), note(37)], [Verdict::Stale, Verdict::Fresh, Verdict::Replayed]);
    assert_eq!(note(u64::MAX), Verdict::Fresh);
    assert_eq!(note(u64::MAX), Verdict::Replayed);
    let counters = sequences.counters();
    let expected = SequenceCounters {
        fresh: 8,
        missing: 94 - 1 + (u64::MAX - 101),
        late: 3,
        replayed: 5,
        stale: 1,
        streams: 1,
        ..SequenceCounters::default()
    };
    assert_eq!(counters, expected);
}

#[test]
fn the_first_frames_can_be_lost_too() {
    let mut sequences = Sequences::new(8);
    assert_eq!(sequences.note(1, 0, 4), Verdict::Fresh);
    assert_eq!(sequences.note(1, 1, 1000), Verdict::Fresh);
    // It may have been executed before this process began.
    assert_eq!(sequences.note(1, 1, 999), Verdict::Replayed);
    assert_eq!(sequences.note(1, 0, 1), Verdict::Fresh);
    let counters = sequences.counters();
    assert_eq!((counters.missing, counters.streams, counters.joined), (2, 2, 1));
}

#[test]
fn senders_beyond_the_bound_are_forgotten() {
    let mut sequences = Sequences::new(64);
    for sender in 0..1000 {
        assert_eq!(sequences.note(sender, 0, 1), Verdict::Fresh);
    }
    let counters = sequences.counters();
    assert_eq!((counters.streams, counters.missing), (1000, 0));
    assert!(counters.evicted >= 1000 - 64 && counters.evicted < 1000, "{}", counters.evicted);
    assert_eq!(sequences.note(999, 0, 1), Verdict::Replayed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sequences_equal_a_model(steps in prop::collection::vec(0_u64..90, 1..80)) {
        let mut sequences = Sequences::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for sequence in std::iter::once(0).chain(steps) {
            let sequence = sequence + 1;
            let highest = seen.last().copied().unwrap_or(0);
            let expected = if sequence + 64 <= highest {
                Verdict::Stale
            } else if seen.contains(&sequence) {
                Verdict::Replayed
            } else {
                seen.insert(sequence);
                Verdict::Fresh
            };
            prop_assert_eq!(sequences.note(3, 3, sequence), expected);
            let highest = *seen.last().unwrap();
            prop_assert_eq!(sequences.counters().missing, highest - seen.len() as u64);
        }
    }

    #[test]
    fn any_bytes(
        mut data in prop::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..120),
        framed in any::<bool>(),
    ) {
        if framed && data.len() > HEADER {
            data[..6].copy_from_slice(b"PFKV\x01\x00");
            data[26..28].fill(0);
        }
        kv_frame(&data);
    }

    #[test]
    fn one_byte_changed(at in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = built(&operations());
        let at = at % bytes.len();
        bytes[at] = byte;
        kv_frame(&bytes);
    }
}
