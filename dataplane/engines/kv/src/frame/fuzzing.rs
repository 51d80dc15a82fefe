//! Bodies of the fuzz targets of the datagram frame, shared with the tests that replay their corpora.

use super::{Builder, Frame, HEADER, check_of};

/// Any bytes as a datagram, and once more with the check that they would need: no panic, and what is
/// accepted is written again as the same bytes.
///
/// # Panics
/// When a promise is broken.
pub fn kv_frame(data: &[u8]) {
    read_and_write(data);
    if data.len() >= HEADER {
        let mut mended = data.to_vec();
        let check = check_of(&mended);
        mended[HEADER - 4..HEADER].copy_from_slice(&check.to_le_bytes());
        read_and_write(&mended);
    }
}

fn read_and_write(datagram: &[u8]) {
    let Ok(frame) = Frame::parse(datagram) else { return };
    let outcomes = frame.outcomes().count();
    let operations: Vec<_> = frame.operations().collect();
    assert_eq!(outcomes + operations.len(), usize::from(frame.count()));
    if frame.is_reply() {
        return;
    }
    let mut builder = Builder::new(datagram.len());
    assert!(operations.iter().all(|operation| builder.push(operation)));
    let again = builder.finish(frame.sender(), frame.sequence(), frame.lane(), frame.answers_all());
    assert_eq!(again, datagram);
}
