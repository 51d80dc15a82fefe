//! Bodies of the fuzz targets, shared with the tests that replay their corpora.
//!
//! Each takes bytes as the fuzzer makes them and panics when a promise is broken.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::collection::settings::{Raw, Settings};
use crate::collection::shape::Shape;
use crate::collection::state::{State, Written};
use crate::import::{Format, Vectors};
use crate::metric::Metric;
use crate::part::memory::Memory;
use crate::record::batch::{Batch, Put};
use crate::record::change;
use crate::segment;
use crate::wal::{Fsync, Wal};

fn shape(raw: Raw) -> Arc<Shape> {
    let settings = Settings { metric: Metric::L2, raw, ..Settings::new(2) };
    Arc::new(Shape::new(settings, 1, 2))
}

fn state(shape: &Arc<Shape>) -> State {
    State {
        active: Memory::new(shape),
        frozen: Vec::new(),
        segments: Vec::new(),
        broken: Vec::new(),
        lsn: 0,
        forgotten: 0,
    }
}

/// Changes of the log: made as a whole, or refused as a whole.
///
/// # Panics
/// When a promise is broken.
pub fn vec_change(data: &[u8]) {
    let shape = shape(Raw::Bf16);
    let Some((now, changes)) = change::read(data, shape.logged_bytes()) else { return };
    let (mut state, mut written) = (state(&shape), Written::default());
    state.apply(&shape, (1, now), data, &mut written);
    let made = (written.added + written.replaced) as usize;
    let puts = changes.filter(|change| matches!(change, change::Change::Put(_))).count();
    assert_eq!(made, puts);
    let current: u64 =
        state.parts().map(|part| u64::from(part.rows()) - part.marks().ended_rows()).sum();
    assert_eq!(current + u64::from(written.deleted), u64::from(written.added));
}

/// A file of the log: what is read of it is read again, and the rest is cut or told.
///
/// # Panics
/// When a promise is broken.
pub fn vec_log(data: &[u8]) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let name = format!("pfs-vec-log-{}-{run}", std::process::id());
    let folder: PathBuf = std::env::temp_dir().join(name);
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    if std::fs::write(folder.join("0000000000000001.wal"), data).is_ok() {
        let mut seen = Vec::new();
        let opened = Wal::open(&folder, Fsync::Never, 1, &mut |frame| {
            seen.push((frame.lsn, frame.kind, frame.payload.to_vec()));
        });
        if let Ok((wal, recovered)) = opened {
            assert_eq!((recovered.frames, recovered.last), (seen.len() as u64, wal.last()));
            drop(wal);
            let mut again = Vec::new();
            let opened = Wal::open(&folder, Fsync::Never, 1, &mut |frame| {
                again.push((frame.lsn, frame.kind, frame.payload.to_vec()));
            });
            let (_, recovered) = opened.expect("what was cut opens");
            assert_eq!((recovered.cut, again), (0, seen));
        }
    }
    // Left over at worst: the folder is this process's own.
    let _ = std::fs::remove_dir_all(&folder);
}

/// A segment's file: refused, or read without a panic.
///
/// # Panics
/// When a promise is broken.
pub fn vec_segment(data: &[u8]) {
    for raw in [Raw::Bf16, Raw::I8, Raw::None] {
        segment::fuzzing::read(data, &shape(raw));
    }
}

/// A file of vectors in each format: what is read of it is what its bytes say.
///
/// # Panics
/// When a promise is broken.
pub fn vec_import(data: &[u8]) {
    for format in [Format::Npy, Format::Fvecs, Format::Bvecs] {
        let mut body = data;
        if Vectors::open(&mut body, format).is_err() {
            continue;
        }
        let mut vectors = Vectors::open(data, format).expect("as before");
        let (mut vector, mut said, mut dim) = (Vec::new(), Vec::new(), None);
        while let Ok(true) = vectors.next_into(&mut vector) {
            assert_eq!(*dim.get_or_insert(vector.len()), vector.len());
            if format != Format::Npy {
                said.extend((vector.len() as u32).to_le_bytes());
            }
            if format == Format::Bvecs {
                said.extend(vector.iter().map(|value| *value as u8));
            } else {
                said.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        assert!(body.starts_with(&said));
    }
}

/// What corpora begin with: changes, and segments.
///
/// # Panics
/// When there is no memory for files.
#[must_use]
pub fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut changes, mut segments) = (Vec::new(), Vec::new());
    for (count, raw, level) in [
        (0_u8, Raw::Bf16, 0),
        (1, Raw::Bf16, 0),
        (3, Raw::Bf16, 1),
        (5, Raw::I8, 1),
        (9, Raw::None, 1),
    ] {
        let shape = shape(raw);
        let mut batch = Batch::new(Arc::clone(&shape));
        for id in 1..=count {
            let vector = [f32::from(id), f32::from(id % 3) - 1.0];
            let name = [id];
            let put = Put {
                text: "a few words",
                metadata: &[id; 3],
                time: Some(u64::from(id)),
                ..Put::new(&name, &vector)
            };
            batch.put(&put).expect("is a record");
            batch.associate((&[1], &[id]), id % 2, 0.5, 1.0).expect("is an association");
        }
        batch.delete(&[2]).expect("is an id");
        batch.touch(&[1]).expect("is an id");
        batch.dissociate((&[1], &[3]), 1).expect("are ids");
        change::write_head(7, batch.count, &mut batch.payload);
        let mut state = state(&shape);
        state.apply(&shape, (1, 7), &batch.payload, &mut Written::default());
        changes.push(batch.payload);
        segments.push(segment::fuzzing::seed(state.active, level, &shape).expect("builds"));
    }
    (changes, segments)
}
