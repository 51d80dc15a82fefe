//! Any bytes as a segment: refused, or read without a panic.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;
use std::sync::Arc;

use super::Segment;
use super::build::{Pick, Plan};
use super::format::repaired;
use crate::collection::query::{Effort, Only};
use crate::collection::shape::Shape;
use crate::part::memory::Memory;
use crate::part::{Direction, Moment, Part, Probe, find};
use crate::record::raw::pad;

/// A file in memory, and the path that it can be opened by.
fn memory_file() -> Option<(File, PathBuf)> {
    // SAFETY: the name is a string that ends; the call makes a descriptor and nothing else.
    let fd = unsafe { libc::memfd_create(c"segment".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    let file = unsafe { File::from_raw_fd(fd) };
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Some((file, path))
}

/// Opens bytes as they are and with checksums made right, and asks everything.
pub(crate) fn read(data: &[u8], shape: &Arc<Shape>) {
    for bytes in [Some(data.to_vec()), repaired(data)].into_iter().flatten() {
        let Some((mut file, path)) = memory_file() else { return };
        if file.write_all(&bytes).is_err() {
            return;
        }
        if let Ok(segment) = Segment::open(&path, shape) {
            ask(&segment, shape);
            // What was left over of the old table is no region, and was not to be read.
            drop(segment.verify());
        }
    }
}

fn ask(segment: &Segment, shape: &Shape) {
    let moment = Moment { lsn: u64::MAX, as_of: None };
    for at in 0..segment.rows().min(64) {
        let (mut logged, row) = (Vec::new(), segment.row(at));
        let id = Part::id(segment, at);
        let _ = (segment.text(at), segment.metadata(at), segment.logged(at, &mut logged));
        if let (Ok(row), Ok(id)) = (row, id) {
            let _ = find(segment, shape.hash(id), id, moment);
            let _ = segment.of_time(row.time..=row.time);
        }
    }
    for at in 0..segment.edges().min(64) {
        let _ = segment.edge(at);
        if let Ok((source, target)) = segment.edge_ids(at) {
            let _ = segment.edges_of(shape.hash(source), Direction::Out);
            let _ = segment.edges_of(shape.hash(target), Direction::In);
        }
    }
    let _ = (segment.of_word("a", true), segment.of_word("words", false));
    let query = vec![0.25; shape.settings.dim];
    let (padded, only) = (pad(&query), Only::default());
    let times = Only { time: Some(1..=9), ..Only::default() };
    let three = Effort::Probes { probes: 2, candidates: 3 };
    for effort in [Effort::Exact, Effort::Recall(0.9), three] {
        for only in [&only, &times] {
            let tables = &shape.quantizer.query(&query);
            let (padded, least) = (padded.row(0), f32::NEG_INFINITY);
            let probe = Probe { padded, tables, k: 2, least, effort, only, moment };
            if let Ok(hits) = segment.search(shape, &probe) {
                assert!(hits.rows.len() <= 2 && hits.rows.iter().all(|hit| hit.0 < segment.rows()));
            }
        }
    }
}

/// The file of a segment of all that `memory` holds.
pub(crate) fn seed(memory: Memory, level: u8, shape: &Arc<Shape>) -> Option<Vec<u8>> {
    let (_file, path) = memory_file()?;
    let rows = (0..memory.rows()).map(|row| Pick { part: 0, row }).collect();
    let edges = (0..memory.edges()).map(|row| Pick { part: 0, row }).collect();
    let plan = Plan { id: 1, level, parts: vec![Arc::new(memory)], rows, edges };
    plan.build(shape, &path).ok()?;
    std::fs::read(&path).ok()
}
