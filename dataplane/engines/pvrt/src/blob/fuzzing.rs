//! Bodies of the fuzz targets, shared with the tests that replay their corpora.

use super::disk::frame;
use super::state::State;

/// The journal's frames: recovery reads a beginning of them, twice the same; what it finds is
/// settled or refused, and written anew says the same.
///
/// # Panics
/// When a promise is broken.
pub fn blob_journal(data: &[u8]) {
    let mut state = State::new(data.len());
    let Ok(scanned) = frame::scan(data, |record| state.apply(record)) else { return };
    assert_eq!(scanned.good + scanned.cut, data.len());
    let mut again = State::new(data.len());
    let good = frame::scan(&data[..scanned.good], |record| again.apply(record));
    assert!(good.is_ok_and(|good| good.frames == scanned.frames && good.cut == 0));
    let mut salvaged = 0;
    frame::salvage(data, |_| salvaged += 1);
    let blob = vec![7; 4096];
    if state.settle(&blob, 64).is_err() {
        return;
    }
    let mut journal = Vec::new();
    for (number, records) in (1..).zip(state.records()) {
        frame::write(&mut journal, number, &records);
    }
    let mut copy = State::new(journal.len());
    let read = frame::scan(&journal, |record| copy.apply(record)).map(|read| read.cut);
    assert_eq!(read, Ok(0), "what was written anew is read");
    assert_eq!(copy.settle(&blob, 64), Ok(()));
    assert_eq!(copy.objects, state.objects);
    assert_eq!(copy.free.totals(), state.free.totals());
    for (_, entry) in state.index.iter() {
        assert_eq!(copy.index.look(&entry.digest), Some(entry));
    }
}
