//! Bodies of the fuzz targets, shared with the tests that replay their corpora.

use super::codec::Reader;
use super::message::Message;
use super::tree::{Order, staging};
use crate::sync::{self, Reply, Sink};

/// The key of a session.
const KEY: [u8; 32] = [7; 32];

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

/// A size (u64), bytes of a window (u32), both little-endian, and any bytes as a journal of what
/// has arrived of a file: refused, or runs of windows that make the same journal again.
///
/// # Panics
/// When a promise is broken.
pub fn staging_journal(data: &[u8]) {
    let Some((size, data)) = data.split_first_chunk() else { return };
    let Some((window, map)) = data.split_first_chunk() else { return };
    let (size, window) = (u64::from_le_bytes(*size), u32::from_le_bytes(*window).max(1));
    if !staging::is_journal(map, size, window) {
        return;
    }
    let count = staging::windows(size, window);
    let runs = staging::runs(map, count);
    let mut again = staging::head(size, window).to_vec();
    again.resize(map.len(), 0);
    let mut last = None;
    for run in runs {
        assert!(run.start < run.end && run.end <= count && last.is_none_or(|end| end < run.start));
        last = Some(run.end);
        staging::set(&mut again, run);
    }
    // Bits behind the last window mean nothing.
    let mut known = map.to_vec();
    if !count.is_multiple_of(8)
        && let Some(byte) = known.last_mut()
    {
        *byte &= (1 << (count % 8)) - 1;
    }
    assert_eq!(again, known);
}

/// What the receiver has in [`sync_messages`], and what the sender has.
fn sync_files() -> [Vec<Vec<u8>>; 2] {
    let noise = |seed: u32, len: u32| -> Vec<u8> {
        let step = |at: u32| (at ^ seed).wrapping_mul(0x9e37_79b9).rotate_left(13);
        (0..len).map(|at| (step(step(at)) >> 7) as u8).collect()
    };
    let (one, two) = (noise(1, 9_000), b"packet window frame of the tree\n".repeat(40));
    let mut changed = one.clone();
    changed.splice(4_000..4_010, noise(2, 30));
    let old = vec![one.clone(), two.clone()];
    [old, vec![changed, two, [noise(3, 500), one].concat()]]
}

/// Takes the news, and holds that nothing is written beyond a file's end.
struct Inside;

impl Sink for Inside {
    fn write(&mut self, file: usize, size: u64, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        assert!(file < 3 && offset + bytes.len() as u64 <= size, "{file} {size} {offset}");
        Ok(())
    }

    fn same(&mut self, file: usize, old: usize) -> std::io::Result<()> {
        assert!(file < 3 && old < 2, "{file} {old}");
        Ok(())
    }
}

/// Messages of a sync, each behind its length (u16, little-endian), to its receiver when the first
/// byte is even and to its sender when it is odd: refused, or taken without harm.
///
/// # Panics
/// When a promise is broken.
pub fn sync_messages(data: &[u8]) {
    let Some((side, mut data)) = data.split_first() else { return };
    let mut messages = std::iter::from_fn(|| {
        let (length, rest) = data.split_first_chunk()?;
        let (message, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        data = rest;
        Some(message)
    });
    let [old, new] = sync_files();
    if side % 2 == 0 {
        let receiver = sync::Receiver::new(&old, vec![Some(0), Some(1), None], KEY);
        let Ok(mut receiver) = receiver else { return };
        for message in messages {
            if !matches!(receiver.take(message, &mut Inside), Ok(Reply::None | Reply::Send(_))) {
                return;
            }
        }
        return;
    }
    let Ok(mut sender) = sync::Sender::new(&new, KEY, 1) else { return };
    loop {
        match sender.message() {
            Ok(Some(_)) => continue,
            Ok(None) if !sender.is_done() => {}
            _ => return,
        }
        let Some(message) = messages.next() else { return };
        if sender.answer(message).is_err() {
            return;
        }
    }
}
