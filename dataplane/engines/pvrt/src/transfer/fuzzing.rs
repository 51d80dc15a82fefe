//! Bodies of the fuzz targets, shared with the tests that replay their corpora.

use super::codec::Reader;
use super::message::Message;
use super::tree::Order;

/// Any bytes as a control message, and as entries of a manifest: refused, or read and written back
/// to what reads the same.
///
/// # Panics
/// When a promise is broken.
pub fn transfer_message(data: &[u8]) {
    if let Ok(message) = Message::read(data) {
        let again = message.write();
        assert_eq!(Message::read(&again).as_ref(), Ok(&message));
        if let Message::Entries(bytes) = &message {
            entries(bytes);
        }
    }
    entries(data);
}

fn entries(bytes: &[u8]) {
    let (mut order, mut back) = (Order::default(), Order::default());
    let (mut from, mut out) = (Reader::new(bytes), Vec::new());
    let mut paths: Vec<Vec<u8>> = Vec::new();
    while !from.is_empty() {
        let Ok(entry) = order.read(&mut from) else { break };
        let name = |part: &[u8]| !part.is_empty() && part != b"." && part != b"..";
        assert!(entry.path.split(|byte| *byte == b'/').all(name), "{:?}", entry.path);
        assert!(back.write(&entry, &mut out).is_ok(), "what is read can be written");
        paths.push(entry.path);
    }
    assert!(paths.len() <= bytes.len());
    let (mut order, mut from) = (Order::default(), Reader::new(&out));
    for path in &paths {
        assert!(order.read(&mut from).is_ok_and(|entry| entry.path == *path));
    }
}
