//! Body of the fuzz target of frames, shared with the test that replays its corpus.

use super::{
    Assembly, AssemblyLimits, CHECK, Cutter, Frame, HEADER, Message, MessageBuilder, check_of,
    outcomes,
};

/// Any bytes as datagrams behind each other, each with its length (2 bytes) before it, and once more with
/// the checks that they would need: no panic, and what is accepted is written again as the same bytes.
///
/// # Panics
/// When a promise is broken.
pub fn vec_frame(data: &[u8]) {
    let limits = AssemblyLimits { partials: 4, bytes: 1 << 16, idle_ns: 100 };
    let mut assembly = Assembly::new(limits);
    let (mut rest, mut time) = (data, 0);
    while let Some((len, behind)) = rest.split_first_chunk::<2>() {
        let (datagram, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(*len).into()));
        read(datagram, &mut assembly, time);
        if datagram.len() >= HEADER {
            let mut mended = datagram.to_vec();
            let check = check_of(&mended);
            mended[CHECK..HEADER].copy_from_slice(&check.to_le_bytes());
            read(&mended, &mut assembly, time);
        }
        (rest, time) = (behind, time + 7);
        assembly.expire(time);
        assert!(assembly.open() <= limits.partials);
    }
}

fn read(datagram: &[u8], assembly: &mut Assembly, time: u64) {
    let Ok(frame) = Frame::parse(datagram) else { return };
    assert!(frame.offset() + frame.bytes().len() <= frame.length());
    if frame.is_reply() {
        let hits = outcomes(&frame).map_or(0, |all| all.iter().map(|one| one.hits.len()).sum());
        assert!(hits * 6 <= datagram.len());
    } else if frame.is_whole() {
        write_again(frame.bytes());
    } else if let Some(message) = assembly.take(1, &frame, time) {
        assert_eq!(message.len(), frame.length());
        write_again(message);
    }
}

/// A message that is accepted is written as the same bytes, and comes whole through frames.
fn write_again(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let mut builder = MessageBuilder::new(message.collection()).expect("a name that was read");
    let (mut vector, mut sum) = (Vec::new(), 0);
    for (operation, own) in message.operations() {
        assert!(builder.push(&operation) || builder.count() == u16::MAX);
        sum += own.len();
        if let super::Operation::Put { vector: sent, .. } = operation {
            sent.read_into(&mut vector);
            assert_eq!(vector.len(), usize::from(sent.dim));
        }
        if let super::Operation::Search { only, .. } = operation {
            let ids = only.ids.map_or(0, |ids| ids.iter().count());
            assert_eq!(ids, only.ids.map_or(0, |ids| ids.count.into()));
            drop(only.words.map(|words| words.words()));
        }
    }
    if builder.count() == u16::MAX {
        return;
    }
    assert_eq!(builder.bytes(), bytes);
    assert_eq!(sum + 1 + message.collection().len(), bytes.len());
    let limits = AssemblyLimits { partials: 1, bytes: bytes.len(), idle_ns: 1 };
    let (mut assembly, mut whole) = (Assembly::new(limits), None);
    Cutter::new(1, 2, 100).cut(bytes, false, |frame| {
        let frame = Frame::parse(frame).expect("is cut right");
        whole = if frame.is_whole() {
            Some(frame.bytes().to_vec())
        } else {
            assembly.take(0, &frame, 0).map(<[u8]>::to_vec)
        };
    });
    assert_eq!(whole.as_deref(), Some(bytes));
}

/// What a corpus begins with.
///
/// # Panics
/// Never.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    use super::{Asker, Operation, ReplyBuilder, Status, Vector, encode};
    use super::{Conditions, Ids, WordsOf, encode_ids};
    use crate::element::Element;

    let mut seeds = Vec::new();
    for (element, dim, most) in [
        (Element::F32, 2, 1400),
        (Element::Bf16, 60, 110),
        (Element::I8, 40, 200),
        (Element::F32, 0, 100),
    ] {
        let (mut bytes, values) = (Vec::new(), vec![0.5_f32; dim.into()]);
        encode(element, &values, &mut bytes);
        let vector = Vector { element, dim, bytes: &bytes };
        let mut builder = MessageBuilder::new(b"notes").expect("a name");
        let (text, metadata) = ("a few words", &b"meta"[..]);
        let (time, strength, confidence) = (7, 1.0, 0.5);
        let put = Operation::Put { id: b"id", vector, text, metadata, time, strength, confidence };
        let ids: (&[u8], &[u8]) = (b"id", b"other");
        let (most_hits, min_score) = (5, f32::NEG_INFINITY);
        let mut list = Vec::new();
        let count = encode_ids([&b"id"[..], b"other"], &mut list).expect("are ids");
        let all = Conditions::default();
        let only = Conditions {
            ids: Some(Ids { count, bytes: &list }),
            time: Some((1, 9)),
            words: Some(WordsOf { text: "words", any: most > 150, begins: most > 1000 }),
        };
        for operation in [
            put,
            Operation::Delete { id: b"other" },
            Operation::Touch { id: b"id" },
            Operation::Associate { ids, kind: 1, weight: 1.0, confidence },
            Operation::Dissociate { ids, kind: 1 },
            Operation::Search { vector, most: most_hits, recall: 0.9, min_score, only: all },
            Operation::Search { vector, most: most_hits, recall: 1.0, min_score, only },
        ] {
            assert!(builder.push(&operation), "fits");
        }
        let (mut seed, mut last) = (Vec::new(), Vec::new());
        Cutter::new(3, 1, most).cut(builder.bytes(), true, |frame| {
            seed.extend((frame.len() as u16).to_le_bytes());
            seed.extend(frame);
            last = frame.to_vec();
        });
        let asker = Asker::from(&Frame::parse(&last).expect("a frame"));
        let mut reply = ReplyBuilder::default();
        reply.limit(200);
        reply.hit(0.5, b"id");
        let done = Status::Done;
        reply.push(&asker, (5, 6), done, |_| {});
        seeds.push(seed);
        reply.finish(&asker, |frame| {
            seeds.push([&(frame.len() as u16).to_le_bytes()[..], frame].concat());
        });
    }
    seeds
}
