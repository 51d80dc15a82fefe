//! Frames and messages, whole, torn and hostile.

use proptest::prelude::*;

use super::fuzzing::vec_frame;
use super::*;
use crate::element::Element;

/// A put of `dim` components.
fn put<'a>(id: &'a [u8], bytes: &'a [u8], dim: u16, text: &'a str) -> Operation<'a> {
    Operation::Put {
        id,
        vector: Vector { element: Element::F32, dim, bytes },
        text,
        metadata: b"\x00\xff",
        time: 7,
        strength: 0.5,
        confidence: 1.0,
    }
}

fn search<'a>(vector: Vector<'a>, only: Conditions<'a>) -> Operation<'a> {
    Operation::Search { vector, most: 10, recall: 0.95, min_score: f32::NEG_INFINITY, only }
}

fn floats(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(Element::F32, values, &mut bytes);
    bytes
}

/// One of each kind.
fn message() -> Vec<u8> {
    let vector = floats(&[1.0, -2.0]);
    let query = Vector { element: Element::F32, dim: 2, bytes: &vector };
    let ids: (&[u8], &[u8]) = (b"a", b"bc");
    let mut list = Vec::new();
    let count = encode_ids([&b"a"[..], b"\x00\xff"], &mut list).unwrap();
    let conditions = Conditions {
        ids: Some(Ids { count, bytes: &list }),
        time: Some((3, u64::MAX)),
        words: Some(WordsOf { text: "Some text", any: true, begins: true }),
    };
    let mut builder = MessageBuilder::new(b"notes").unwrap();
    let operations = [
        put(b"a", &vector, 2, "some text"),
        Operation::Delete { id: b"\x00" },
        Operation::Touch { id: b"a" },
        Operation::Associate { ids, kind: 3, weight: 0.25, confidence: 1.0 },
        Operation::Dissociate { ids, kind: 255 },
        search(query, Conditions::default()),
        search(query, conditions),
    ];
    for operation in &operations {
        assert!(builder.push(operation));
    }
    let message = Message::parse(builder.bytes()).unwrap();
    assert_eq!(message.collection(), b"notes");
    let read: Vec<Operation<'_>> = message.operations().map(|(operation, _)| operation).collect();
    assert_eq!(read, operations);
    builder.bytes().to_vec()
}

/// The frames of `message`, of at most `most` bytes each.
fn cut(message: &[u8], most: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    Cutter::new(0x0102, 3, most).cut(message, true, |frame| frames.push(frame.to_vec()));
    frames
}

/// `frame` with `bytes` at `at`, and the check that goes with them.
fn mended(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    let check = check_of(&frame);
    frame[CHECK..HEADER].copy_from_slice(&check.to_le_bytes());
    frame
}

fn assembly(partials: usize, bytes: usize) -> Assembly {
    Assembly::new(AssemblyLimits { partials, bytes, idle_ns: 1000 })
}

#[test]
fn the_layout_is_that_of_the_page() {
    let mut builder = MessageBuilder::new(b"n").unwrap();
    assert!(builder.push(&Operation::Delete { id: b"xy" }));
    assert_eq!(builder.bytes(), b"\x01n\x02\x00\x02\x00xy");
    let vector = floats(&[1.0, 2.0]);
    builder.clear();
    assert!(builder.push(&put(b"i", &vector, 2, "t")));
    let expected = [
        &b"\x01n\x01\x00\x01\x00\x02\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"[..],
        &[7, 0, 0, 0, 0, 0, 0, 0],
        &0.5_f32.to_le_bytes(),
        &1.0_f32.to_le_bytes(),
        b"it\x00\xff",
        &vector,
    ];
    assert_eq!(builder.bytes(), expected.concat());
    let frame = &cut(b"0123456789", 100)[0];
    let head = b"PFVC\x01\x02\x03\x00\x02\x01\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x0a\0\x0a\0\0\0";
    assert_eq!(frame[..CHECK], head[..]);
    assert_eq!(&frame[HEADER..], b"0123456789");
}

#[test]
fn parts_meet_in_any_order_and_twice() {
    let vector = floats(&(0..700).map(|at| at as f32).collect::<Vec<_>>());
    let mut builder = MessageBuilder::new(b"c").unwrap();
    assert!(builder.push(&put(b"long", &vector, 700, "")));
    let frames = cut(builder.bytes(), 1000);
    assert_eq!(frames.len(), 3);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut assembly = assembly(4, 1 << 16);
        for (nth, at) in order.into_iter().enumerate() {
            let frame = Frame::parse(&frames[at]).unwrap();
            assert_eq!((frame.first(), frame.part(), frame.parts()), (1, at as u16, 3));
            let whole = assembly.take(9, &frame, 5).map(<[u8]>::to_vec);
            assert_eq!(whole.is_some(), nth == 2);
            if nth < 2 {
                assert!(assembly.take(9, &frame, 5).is_none(), "a part that had come");
                assert!(assembly.take(8, &frame, 5).is_none(), "another flow's");
            }
            if let Some(whole) = whole {
                assert_eq!(whole, builder.bytes());
            }
        }
        let counters = assembly.counters();
        assert_eq!((counters.joined, counters.conflicts, assembly.open()), (1, 2, 1));
        assembly.expire(1004);
        assert_eq!(assembly.counters().timed_out, 0);
        assembly.expire(1005);
        assert_eq!((assembly.counters().timed_out, assembly.open()), (1, 0));
    }
}

#[test]
fn memory_for_parts_is_bounded_and_the_oldest_goes() {
    let frames: Vec<Vec<Vec<u8>>> = (0..5_u64)
        .map(|sender| {
            let mut frames = Vec::new();
            Cutter::new(sender, 0, 164).cut(&[7; 200], false, |one| frames.push(one.to_vec()));
            frames
        })
        .collect();
    for mut assembly in [assembly(2, 1 << 20), assembly(100, 400)] {
        for sender in &frames {
            let first = Frame::parse(&sender[0]).unwrap();
            assert!(assembly.take(0, &first, 1).is_none());
            assert!(assembly.open() <= 2);
        }
        assert_eq!(assembly.counters().evicted, 3);
        let whole = assembly.take(0, &Frame::parse(&frames[4][1]).unwrap(), 2);
        assert_eq!(whole, Some(&[7; 200][..]));
        assert!(assembly.take(0, &Frame::parse(&frames[0][1]).unwrap(), 2).is_none());
        assembly.give_up();
        assert_eq!((assembly.open(), assembly.counters().timed_out), (0, 2));
    }
}

#[test]
fn parts_that_say_otherwise_change_nothing() {
    let frames = cut(&[1; 300], HEADER + 100);
    let mut assembly = assembly(4, 1 << 16);
    assert!(assembly.take(0, &Frame::parse(&frames[0]).unwrap(), 1).is_none());
    // The same message with another length, and with another step.
    for other in [cut(&[2; 301], HEADER + 100), cut(&[2; 300], HEADER + 99)] {
        assert!(assembly.take(0, &Frame::parse(&other[1]).unwrap(), 1).is_none());
    }
    assert_eq!(assembly.counters().conflicts, 2);
    assert!(assembly.take(0, &Frame::parse(&frames[1]).unwrap(), 1).is_none());
    let whole = assembly.take(0, &Frame::parse(&frames[2]).unwrap(), 1);
    assert_eq!(whole, Some(&[1; 300][..]));
}

#[test]
fn torn_and_changed_frames_do_nothing() {
    let frame = &cut(&message(), 1400)[0];
    for end in 0..frame.len() {
        let expected = if end < HEADER { FrameError::Short } else { FrameError::Check };
        assert_eq!(Frame::parse(&frame[..end]), Err(expected), "cut at {end}");
    }
    for bit in 0..frame.len() * 8 {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(&changed).is_err(), "bit {bit}");
    }
}

#[test]
fn what_is_no_frame() {
    let frame = &cut(&[5; 300], HEADER + 100)[1];
    assert!(Frame::parse(&mended(frame, 0, b"")).is_ok());
    for (at, bytes, error) in [
        (0, &b"PFVD"[..], FrameError::Magic),
        (4, &[2], FrameError::Version),
        (5, &[4], FrameError::Reserved),
        (5, &[1], FrameError::ReplyPart),
        (16, &[1], FrameError::Sequence),
        (16, &[0], FrameError::Sequence),
        (24, &[3, 0], FrameError::Sequence),
        (16, &[9, 0, 0, 0, 0, 0, 0, 0, 3, 0], FrameError::Part),
        (24, &[0xff, 0xff], FrameError::Sequence),
        (26, &[0, 0], FrameError::Part),
        (26, &[99, 0], FrameError::Bytes),
        (26, &[0xff, 0xff], FrameError::Part),
        (28, &[0, 0, 0, 0], FrameError::Length),
        (28, &[199, 0, 0, 0], FrameError::Bytes),
        (28, &[0xff, 0xff, 0xff, 0xff], FrameError::Length),
        (28, &[1, 0, 16, 0], FrameError::Length),
    ] {
        assert_eq!(Frame::parse(&mended(frame, at, bytes)), Err(error), "{bytes:?} at {at}");
    }
    let longer = [frame.as_slice(), &[0]].concat();
    assert_eq!(Frame::parse(&mended(&longer, 0, b"")), Err(FrameError::Bytes));
    // A length with so small a step that parts have no numbers.
    let small = mended(&cut(&[5; 300], HEADER + 100)[0], 26, &[1, 0, 0, 0, 16, 0]);
    assert_eq!(Frame::parse(&small), Err(FrameError::Part));
}

/// A message of one operation.
fn one(operation: &Operation<'_>) -> Vec<u8> {
    let mut builder = MessageBuilder::new(b"n").unwrap();
    assert!(builder.push(operation));
    builder.bytes().to_vec()
}

/// Holds that a message with other bytes at a place is refused as it should be.
fn refused<'a>(cases: impl IntoIterator<Item = (&'a Vec<u8>, usize, &'a [u8], FrameError)>) {
    for (message, at, bytes, error) in cases {
        let mut changed = message.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(Message::parse(&changed), Err(error), "{bytes:?} at {at}");
    }
}

#[test]
fn what_is_no_message() {
    let whole = message();
    for end in 0..whole.len() {
        // Cuts behind an operation leave a message.
        let error = Message::parse(&whole[..end]);
        assert!(!matches!(error, Ok(cut) if cut.operations().count() > 6), "cut at {end}");
    }
    let vector = floats(&[1.0]);
    let written = one(&put(b"i", &vector, 1, "t"));
    let ids: (&[u8], &[u8]) = (b"a", b"b");
    let edge = one(&Operation::Associate { ids, kind: 0, weight: 1.0, confidence: 1.0 });
    let nan = f32::NAN.to_le_bytes();
    refused([
        (&written, 0, &[0][..], FrameError::Name),
        (&written, 0, &[65], FrameError::Name),
        (&written, 2, &[0], FrameError::Kind),
        (&written, 2, &[7], FrameError::Kind),
        (&written, 3, &[3], FrameError::Element),
        (&written, 4, &[0, 0], FrameError::Id),
        (&written, 4, &[0xff, 0xff], FrameError::OperationShort),
        (&written, 6, &[2, 0], FrameError::OperationShort),
        (&written, 8, &[1], FrameError::Reserved),
        (&written, 10, &[0xff, 0xff, 0xff, 0xff], FrameError::OperationShort),
        (&written, 26, &nan, FrameError::Number),
        (&written, 35, &[0xff], FrameError::Text),
        (&edge, 6, &[0, 0], FrameError::Id),
        (&edge, 8, &[1], FrameError::Reserved),
        (&edge, 10, &f32::INFINITY.to_le_bytes(), FrameError::Number),
    ]);
    assert_eq!(Message::parse(b"\x01n"), Err(FrameError::Empty));
    assert_eq!(Message::parse(b""), Err(FrameError::Name));
    assert!(MessageBuilder::new(b"").is_none() && MessageBuilder::new(&[b'n'; 65]).is_none());
}

#[test]
fn what_is_no_search() {
    let (vector, nan) = (floats(&[1.0]), f32::NAN.to_le_bytes());
    let query = Vector { element: Element::F32, dim: 1, bytes: &vector };
    let plain = one(&search(query, Conditions::default()));
    let ids = Some(Ids { count: 1, bytes: b"\x01\x00i" });
    let words = Some(WordsOf { text: "w", any: false, begins: false });
    let filtered = one(&search(query, Conditions { ids, time: Some((1, 2)), words }));
    refused([
        (&plain, 4, &[0, 0][..], FrameError::Hits),
        (&plain, 4, &[1, 4], FrameError::Hits),
        (&plain, 8, &[32], FrameError::Reserved),
        (&plain, 8, &[8], FrameError::Reserved),
        (&plain, 8, &[16], FrameError::Reserved),
        (&plain, 8, &[1], FrameError::OperationShort),
        (&plain, 8, &[2], FrameError::OperationShort),
        (&plain, 8, &[4], FrameError::OperationShort),
        (&plain, 10, &2.0_f32.to_le_bytes(), FrameError::Number),
        (&plain, 14, &nan, FrameError::Number),
        (&filtered, 18, &[2, 0], FrameError::OperationShort),
        (&filtered, 18, &[0xff, 0xff], FrameError::Id),
        (&filtered, 20, &[0, 0], FrameError::Id),
        (&filtered, 20, &[0xff, 0xff], FrameError::OperationShort),
        (&filtered, 23, &[3], FrameError::Number),
        (&filtered, 39, &[0xff, 0xff], FrameError::OperationShort),
        (&filtered, 41, &[0xff], FrameError::Text),
    ]);
}

#[test]
fn a_message_has_a_longest() {
    let text = "x".repeat(MESSAGE_MAX);
    let mut builder = MessageBuilder::new(b"n").unwrap();
    assert!(!builder.push(&put(b"i", &[], 0, &text)));
    assert!(!builder.push(&Operation::Delete { id: &[0; 65_536] }));
    assert_eq!((builder.count(), builder.bytes()), (0, &b"\x01n"[..]));
    assert!(builder.push(&put(b"i", &[], 0, &text[100..])));
    let frames = cut(builder.bytes(), 1400);
    let mut assembly = assembly(1, MESSAGE_MAX);
    let whole = frames
        .iter()
        .filter_map(|frame| assembly.take(0, &Frame::parse(frame).unwrap(), 0).map(<[u8]>::to_vec));
    assert_eq!(whole.collect::<Vec<_>>(), [builder.bytes()]);
}

#[test]
fn replies_come_in_as_many_frames_as_they_need() {
    let request = cut(&message(), 1400);
    let asker = Asker::from(&Frame::parse(&request[0]).unwrap());
    let mut replies = ReplyBuilder::default();
    replies.limit(HEADER + 59);
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut send = |frame: &[u8]| sent.push(frame.to_vec());
    assert!(!replies.push(&asker, (0, PUT), Status::Done, &mut send));
    for at in 0..4_u8 {
        replies.hit(f32::from(at), &[at; 4]);
    }
    replies.expect(Some(0.75));
    assert!(!replies.push(&asker, (5, SEARCH), Status::Done, &mut send));
    for at in 0..9_u8 {
        replies.hit(f32::from(at), &[at; 4]);
    }
    assert!(replies.push(&asker, (6, SEARCH), Status::Done, &mut send));
    replies.hit(1.0, b"x");
    assert!(!replies.push(&asker, (7, SEARCH), Status::Failed, &mut send));
    assert!(!replies.push(&asker, (8, SEARCH), Status::Done, &mut send));
    replies.finish(&asker, &mut send);
    replies.finish(&asker, &mut send);
    let mut found = Vec::new();
    for frame in &sent {
        let frame = Frame::parse(frame).unwrap();
        assert!(frame.is_reply() && frame.sequence() == 1 && frame.stream() == 3);
        for outcome in outcomes(&frame).unwrap() {
            let share = outcome.expected.map(|share| (share * 100.0) as u8);
            found.push((outcome.index, outcome.status, share, outcome.hits.len()));
        }
    }
    let expected = [
        (0, Status::Done, None, 0),
        (5, Status::Done, Some(75), 4),
        (6, Status::TooLarge, None, 0),
        (7, Status::Failed, None, 0),
        (8, Status::Done, None, 0),
    ];
    assert_eq!((found, sent.len()), (expected.to_vec(), 3));
    assert_eq!(outcomes(&Frame::parse(&request[0]).unwrap()), Ok(Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_vector_comes_as_it_was_sent(
        values in prop::collection::vec(-10.0_f32..10.0, 2..900),
        element in prop::sample::select(vec![Element::F32, Element::Bf16, Element::I8]),
        most in 0_usize..2000, id in prop::collection::vec(any::<u8>(), 1..300), text in ".{0,40}",
    ) {
        let mut bytes = Vec::new();
        encode(element, &values, &mut bytes);
        let vector = Vector { element, dim: values.len() as u16, bytes: &bytes };
        let mut builder = MessageBuilder::new(b"any").unwrap();
        let operation = Operation::Put {
            id: &id, vector, text: &text, metadata: &id, time: 0, strength: 1.0, confidence: 1.0,
        };
        prop_assert!(builder.push(&operation));
        let (mut assembly, mut whole) = (assembly(1, 1 << 20), None);
        for frame in cut(builder.bytes(), most) {
            let frame = Frame::parse(&frame).unwrap();
            whole = if frame.is_whole() {
                Some(frame.bytes().to_vec())
            } else {
                assembly.take(0, &frame, 0).map(<[u8]>::to_vec)
            };
        }
        let whole = whole.unwrap();
        let message = Message::parse(&whole).unwrap();
        prop_assert_eq!(message.operations().next().unwrap().0, operation);
        let mut back = Vec::new();
        vector.read_into(&mut back);
        let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        for (sent, came) in values.iter().zip(&back) {
            prop_assert!((sent - came).abs() <= most / 100.0, "{sent} {came}");
        }
    }

    #[test]
    fn any_bytes(data in prop::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..300)) {
        vec_frame(&data);
    }
}
