//! Frames take nothing from the heap once a lane has grown.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pfs_pvrt::wire::{
    BodyWriter, Cipher, Destination, Framer, HeldSpace, Key, Lane, LaneSettings, Pack, Payload,
    Transfer, TransferSpec, Transfers, body,
};
use pfs_pvrt::{Piece, Ref, Space, Transform, Window, rebuild};

/// Counts what all threads ask of the heap.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` is from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// More than 64 fragments a window: their notes are beyond the first word.
const WINDOW: u32 = 100_000;
const WINDOWS: u32 = 110;

/// Frames of all windows, of every kind, each with one of the next window before its last.
fn frames(spec: &TransferSpec, blob: &[u8], sealed: bool) -> Vec<Vec<Vec<u8>>> {
    let key = sealed.then(|| Arc::new(Key::new(Cipher::preferred(), &[1; 32])));
    let mut framer = Framer::new(spec.id, 1_400, key);
    let window = |at: u32| {
        let offset = u64::from(at);
        let transform = Transform::Xor(at as u8);
        if at.is_multiple_of(4) {
            let whole = Piece::Ref(Ref { offset: 0, len: WINDOW, transform });
            return Window { pieces: vec![whole], raw: Vec::new() };
        }
        let pieces = vec![Piece::Ref(Ref { offset, len: 60_000, transform }), Piece::Raw(40_000)];
        Window { pieces, raw: (0..40_000).map(|byte| (byte / 16 + at) as u8).collect() }
    };
    let mut writers = [BodyWriter::new(0), BodyWriter::new(3)];
    let each = (0..WINDOWS).map(|at| {
        let window = window(at);
        let mut content = vec![0; WINDOW as usize];
        rebuild::window(&Space::blob(blob), &window.pieces, &window.raw, &mut content)
            .expect("fits");
        let (check, mut body) = (body::check(&content), Vec::new());
        let writer = &mut writers[at as usize % 2];
        writer.write(&window, spec.from(at), check, &mut body).expect("whole");
        let mut pack = Pack::new(framer.step().into());
        if pack.push(at, &body) {
            let mut frame = Vec::new();
            framer.pack(&pack, &mut frame);
            return vec![frame];
        }
        let payload =
            if at % 3 == 0 { Payload::Direct(&content, check) } else { Payload::Part(&body) };
        let count = framer.fragments(&payload);
        let fragment = |fragment| {
            let mut frame = Vec::new();
            framer.fragment(at, &payload, fragment, &mut frame);
            frame
        };
        (0..count).map(fragment).collect()
    });
    each.collect()
}

/// One test: the counts are of the whole process.
#[test]
fn a_lane_that_has_grown_takes_no_more_from_the_heap() {
    let blob: Vec<u8> = (0..100_000_u32).map(|at| (at.wrapping_mul(at) >> 5) as u8).collect();
    let size = u64::from(WINDOW) * u64::from(WINDOWS);
    let spec = TransferSpec { id: 1, size, window_bytes: WINDOW, anchor: 0 };
    for sealed in [false, true] {
        let frames = frames(&spec, &blob, sealed);
        assert!(frames.iter().any(|window| window.len() == 1), "some are packed");
        let transfers = Arc::new(Transfers::new());
        let space = HeldSpace::new(Arc::new(blob.clone()), |blob| Space::blob(blob));
        let memory = Destination::memory(size).expect("so little");
        let transfer = Transfer::new(spec, space, memory).expect("possible");
        let key = Key::new(Cipher::preferred(), &[1; 32]);
        let transfer = if sealed { transfer.with_key(key) } else { transfer };
        let transfer = transfers.register(transfer).expect("free");
        let mut lane = Lane::new(transfers, LaneSettings::default());
        let mut calls = Vec::new();
        for part in frames.chunks(10) {
            let before = CALLS.load(Relaxed);
            // All ten windows are half there before the first one is whole.
            let longest = part.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..longest {
                lane.batch(part.iter().filter_map(|window| Some(window.get(at)?.as_slice())), 0);
                lane.tick(0);
            }
            calls.push(CALLS.load(Relaxed) - before);
        }
        assert!(transfer.is_complete(), "{:?}", lane.counters());
        // A short body's buffer may grow once for a long one.
        assert!(calls[4..].iter().sum::<u64>() <= 3, "{calls:?}");
    }
}
