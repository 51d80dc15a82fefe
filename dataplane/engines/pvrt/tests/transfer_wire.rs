//! What a transfer puts on the wire: each byte once, and again only what was lost.

mod transfer_common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pfs_pvrt::transfer::frames::{Faults, Faulty, FrameSink, UdpSink};
use pfs_pvrt::transfer::{
    Compress, Gauge, OpenSink, RecvReport, SendOptions, SendReport, TransferError, send,
};
use transfer_common::{Random, assert_same, receive, shared};

/// Bytes of a frame on a link of 1,500, and those around its payload.
const FRAME: usize = 1472;
const AROUND: u64 = 48;

/// Counts what goes in, and keeps frames as short as Ethernet's.
struct Counted<S> {
    inner: S,
    bytes: Arc<AtomicU64>,
}

impl<S: FrameSink> FrameSink for Counted<S> {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        let taken = self.inner.send(frames)?;
        let bytes: usize = frames[..taken].iter().map(|frame| frame.len()).sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(taken)
    }

    fn wait(&mut self) -> Result<(), TransferError> {
        self.inner.wait()
    }

    fn frame_most(&self) -> usize {
        FRAME
    }
}

struct Outcome {
    sent: SendReport,
    received: RecvReport,
    /// Bytes of frames that were sent, before anything happened to them.
    into: u64,
}

fn transfer(from: &Path, to: &Path, faults: Faults, compress: Compress) -> Outcome {
    let receiving = receive(to, shared());
    let into = Arc::new(AtomicU64::new(0));
    let bytes = Arc::clone(&into);
    let sink: Box<OpenSink> = Box::new(move |to| {
        let inner = Faulty::new(UdpSink::open(to)?, faults);
        Ok(Box::new(Counted { inner, bytes: Arc::clone(&bytes) }) as Box<dyn FrameSink>)
    });
    let options = SendOptions { sink: Some(sink), compress, ..SendOptions::new(shared()) };
    let sent = send(&[from.join("")], receiving.to, options, &Arc::new(Gauge::default()));
    let received = receiving.thread.join().expect("no panic");
    let (sent, received) = (sent.expect("sends"), received.expect("receives"));
    assert_same(from, to);
    Outcome { sent, received, into: into.load(Ordering::Relaxed) }
}

/// Files of all that an object can be, some of which pack; gives their bytes.
fn make_files(root: &Path, files: u64) -> u64 {
    fs::create_dir(root).expect("makes");
    let sizes = (0..files).map(|number| {
        let size = [3_000, 100_000, 400_000, 1_000_000][number as usize % 4] + 7_000 * number;
        fs::write(root.join(format!("f{number}")), Random(number).bytes(size as usize))
            .expect("writes");
        size
    });
    sizes.sum()
}

/// Bytes of the frames that take `bytes` over, with room for files' ends.
const fn framed(bytes: u64) -> u64 {
    bytes + bytes / (FRAME as u64 - AROUND) * AROUND + bytes / 100
}

#[test]
fn lost_frames_go_again_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = folder.path().join("from");
    let bytes = make_files(&from, 60);
    let faults = Faults::parse("loss=0.05,dup=0.05,reorder=0.05").expect("good");
    for (seed, compress) in [(1, Compress::Auto), (2, Compress::Level(0)), (3, Compress::Level(3))]
    {
        let to = folder.path().join(format!("to{seed}"));
        let faults = Faults { seed, ..faults };
        let Outcome { sent, received, into } = transfer(&from, &to, faults, compress);
        let wire = sent.wire;
        assert_eq!(into, wire.raw + wire.packed + wire.repair, "{wire:?}");
        let once = wire.raw + wire.packed;
        assert!(once <= framed(bytes), "{once} for {bytes} bytes once: {wire:?}");
        // One in twenty comes twice. A socket that is full loses, too.
        let lost = (into + into / 20).saturating_sub(received.frames);
        // What stands still while others have the processor may be tried again before its time.
        let most = lost + bytes / 50;
        assert!(wire.repair <= most, "{} again for {lost} lost: {wire:?}", wire.repair);
        assert!(wire.repair > into / 40, "5 % are lost: {wire:?}");
    }
}

#[test]
fn what_packs_goes_packed_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let text = "packet window frame of the tree\n".repeat(100_000);
    for name in ["large", "larger"] {
        fs::write(from.join(name), &text[..text.len() - name.len()]).expect("writes");
    }
    let Outcome { sent, .. } = transfer(&from, &to, Faults::default(), Compress::Level(3));
    let wire = sent.wire;
    assert_eq!(wire.raw, 0, "{wire:?}");
    assert!(wire.packed > 0 && wire.packed * 20 < sent.bytes, "{wire:?}");
}
