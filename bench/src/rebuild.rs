//! Files out of references: the kernels beside memcpy over the same pieces, and whole files beside
//! what PacketFS's reconstruction was measured at.

use std::path::PathBuf;
use std::time::Instant;

use pfs_pvrt::blob::{Blob, Settings as BlobSettings};
use pfs_pvrt::formats::blueprint::Formula;
use pfs_pvrt::rebuild::{FileOptions, Kernels, Level, Stores, file};
use pfs_pvrt::{Identity, Piece, Profile, Ref, Space, Transform};
use serde::Serialize;

use crate::report::{Report, Table, Target};
use crate::stats::{Shuffle, Spread};

/// Bytes of a window.
const WINDOW: usize = 64 << 10;
/// Least share of memcpy's rate that rebuilding is to reach.
const SHARE: f64 = 0.9;
/// GB/s of the original's reconstruction with two threads, measured on such a machine.
const ORIGINAL: f64 = 1.1;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of blob and of output each.
    pub bytes: usize,
    /// Runs of each row.
    pub rounds: usize,
    /// Folder that whole files are written to; best one in memory.
    pub folder: PathBuf,
}

/// How pieces lie in the blob.
#[derive(Clone, Copy, Debug, Serialize)]
struct Shape {
    /// Bytes of a piece.
    piece: usize,
    /// Anywhere, or one behind the other.
    scattered: bool,
}

/// One way to make the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The C library's copy, piece by piece.
    Memcpy,
    /// Ours.
    Ours(Level, Stores),
}

/// A row's rates in GB/s.
#[derive(Debug, Serialize)]
struct Row {
    shape: Shape,
    what: &'static str,
    way: String,
    rates: Spread,
    /// The middle of the rounds' rates over memcpy's of the same round.
    ratio: Spread,
    right: bool,
}

const WHATS: [(&str, Transform); 3] =
    [("identity", Transform::Identity), ("xor", Transform::Xor(0x5a)), ("add", Transform::Add(7))];

/// Measures all rows; a wrong answer makes the report wrong.
///
/// # Panics
/// When memory or the folder cannot be had.
#[must_use]
pub fn run(settings: &Settings) -> Report {
    let mut report = Report::new("rebuild");
    let shapes = [64, 256, 1_500, 4 << 10, 16 << 10, 64 << 10];
    let scattered = shapes.into_iter().map(|piece| Shape { piece, scattered: true });
    let contiguous = [Shape { piece: WINDOW, scattered: false }];
    let blob = noise(settings.bytes);
    let mut out = vec![1; settings.bytes];
    let mut rows = Vec::new();
    for shape in contiguous.into_iter().chain(scattered) {
        for (what, transform) in WHATS {
            let windows = windows(settings.bytes, shape, transform);
            rows.extend(rows_of(settings, shape, what, &blob, &windows, &mut out));
        }
    }
    drop(out);
    report.right = rows.iter().all(|row| row.right);
    tables(&rows, &mut report);
    whole_files(settings, &mut report);
    report.raw = serde_json::to_value(&rows).unwrap_or_default();
    report
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn windows(bytes: usize, shape: Shape, transform: Transform) -> Vec<Vec<Piece>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = 0;
    let mut offset = |len: usize| {
        if !shape.scattered {
            next += len as u64;
            return next - len as u64;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % (bytes - len) as u64
    };
    let mut window = || {
        let mut pieces = Vec::new();
        let mut left = WINDOW;
        while left > 0 {
            let len = shape.piece.min(left);
            pieces.push(Piece::Ref(Ref { offset: offset(len), len: len as u32, transform }));
            left -= len;
        }
        pieces
    };
    (0..bytes / WINDOW).map(|_| window()).collect()
}

fn rows_of(
    settings: &Settings,
    shape: Shape,
    what: &'static str,
    blob: &[u8],
    windows: &[Vec<Piece>],
    out: &mut [u8],
) -> Vec<Row> {
    let levels = Level::ALL.into_iter().filter(|level| level.is_available());
    let ours = levels.flat_map(|level| {
        [Stores::Cached, Stores::Streaming].map(|stores| Way::Ours(level, stores))
    });
    let ours = ours.filter(|way| *way != Way::Ours(Level::Portable, Stores::Streaming));
    let mut ways: Vec<(Way, Vec<f64>, bool)> =
        [Way::Memcpy].into_iter().chain(ours).map(|way| (way, Vec::new(), true)).collect();
    let mut order = Shuffle::default();
    let mut check = vec![0; WINDOW];
    for _ in 0..settings.rounds {
        order.shuffle(&mut ways);
        for (way, rates, right) in &mut ways {
            let began = Instant::now();
            make(*way, blob, windows, out);
            rates.push(out.len() as f64 / 1e9 / began.elapsed().as_secs_f64());
            *right &= *way == Way::Memcpy || is_right(blob, windows, out, &mut check);
        }
    }
    let base = ways.iter().find(|(way, ..)| *way == Way::Memcpy);
    let base = base.map(|(_, rates, _)| rates.clone()).unwrap_or_default();
    ways.sort_by_key(|(way, ..)| match way {
        Way::Memcpy => (0, 0),
        Way::Ours(level, stores) => (1 + *level as u8, *stores as u8),
    });
    let row = |(way, rates, right): (Way, Vec<f64>, bool)| {
        let ratio = Spread::of(rates.iter().zip(&base).map(|(rate, base)| rate / base).collect());
        Row { shape, what, way: name(way), rates: Spread::of(rates), ratio, right }
    };
    ways.into_iter().map(row).collect()
}

fn name(way: Way) -> String {
    match way {
        Way::Memcpy => "memcpy".to_owned(),
        Way::Ours(level, Stores::Cached) => format!("{level:?}"),
        Way::Ours(level, Stores::Streaming) => format!("{level:?}, streaming"),
    }
}

fn make(way: Way, blob: &[u8], windows: &[Vec<Piece>], out: &mut [u8]) {
    let space = Space::blob(blob);
    for (pieces, out) in windows.iter().zip(out.chunks_exact_mut(WINDOW)) {
        match way {
            Way::Memcpy => copy(blob, pieces, out),
            Way::Ours(level, stores) => {
                let kernels = Kernels::at_level(level).expect("the level was there");
                kernels.window(&space, pieces, &[], out, stores).expect("inside the blob");
            }
        }
    }
}

/// What memcpy makes of the same pieces: no transform, no prefetch.
fn copy(blob: &[u8], pieces: &[Piece], out: &mut [u8]) {
    let mut made = 0;
    for piece in pieces {
        if let Piece::Ref(at) = piece {
            let from = &blob[at.offset as usize..][..at.len as usize];
            out[made..made + from.len()].copy_from_slice(from);
            made += from.len();
        }
    }
}

/// Compares a window of every sixteen with what bytes one by one make.
fn is_right(blob: &[u8], windows: &[Vec<Piece>], out: &[u8], check: &mut [u8]) -> bool {
    let windows = windows.iter().zip(out.chunks_exact(WINDOW)).step_by(16);
    windows.into_iter().all(|(pieces, made)| {
        let mut to = check.iter_mut();
        for piece in pieces {
            let Piece::Ref(Ref { offset, len, transform }) = *piece else { return false };
            for (&byte, to) in blob[offset as usize..][..len as usize].iter().zip(&mut to) {
                *to = match transform {
                    Transform::Identity => byte,
                    Transform::Xor(imm) => byte ^ imm,
                    Transform::Add(imm) => byte.wrapping_add(imm),
                };
            }
        }
        made == check
    })
}

fn tables(rows: &[Row], report: &mut Report) {
    let title = "Windows of 64 KiB into an output larger than the caches, one core, GB/s:";
    let head = ["pieces", "what", "way", "GB/s", "of memcpy"];
    let mut table = Table::new(title, &head);
    for row in rows {
        let place = if row.shape.scattered { "scattered" } else { "in order" };
        table.row(vec![
            format!("{} B, {place}", row.shape.piece),
            row.what.to_owned(),
            row.way.clone(),
            row.rates.text(1),
            row.ratio.text(2),
        ]);
    }
    report.tables.push(table);
    let best = Level::detect();
    for what in WHATS.map(|(what, _)| what) {
        let name = name(Way::Ours(best, Stores::Streaming));
        let ours = rows.iter().filter(|row| row.what == what && row.way == name);
        let least = ours.map(|row| row.ratio.median).fold(f64::INFINITY, f64::min);
        report.targets.push(Target::at_least(
            &format!("rebuild by {what}, one core, all sizes of pieces"),
            format!("{SHARE} of memcpy over the same pieces"),
            format!("{least:.2} at the least"),
            least,
            SHARE,
        ));
    }
}

/// Rebuilds the original's sample: 100 MiB by a formula.
fn whole_files(settings: &Settings, report: &mut Report) {
    const SIZE: u64 = 100 << 20;
    let identity = Identity::new("pfs_vblob_test", Profile::Prand, SIZE, 1337);
    let blob = Blob::memory(&BlobSettings::new(identity, 0)).expect("memory");
    let path = settings.folder.join(format!("pfs-bench-rebuild-{}", std::process::id()));
    let title = "Whole files of 100 MiB by a formula, SHA-256 and durable rename included (the \
                 original, without either, two threads: 1.1–1.2 GB/s):";
    let mut table = Table::new(title, &["segments", "plus", "GB/s", "SHA-256"]);
    let mut least = f64::INFINITY;
    for (count, seg_len, stride, delta) in
        [(262_144, 384, 8_191, 0), (262_144, 384, 8_191, 7), (1_310_720, 80, 80, 0)]
    {
        let formula = Formula::new(SIZE, count, seg_len, 0, stride, delta);
        let source = formula.source(Some(SIZE)).expect("segments");
        let mut rates = Vec::new();
        let mut digests = Vec::new();
        for _ in 0..settings.rounds {
            let began = Instant::now();
            let rebuilt = file(&source, &blob.space(), &path, FileOptions::default());
            let rebuilt = rebuilt.expect("the folder takes a file");
            rates.push(SIZE as f64 / 1e9 / began.elapsed().as_secs_f64());
            digests.push(pfs_pvrt::rebuild::hex(&rebuilt.sha256));
        }
        report.right &= digests.windows(2).all(|pair| pair[0] == pair[1]);
        report.right &= std::fs::metadata(&path).is_ok_and(|meta| meta.len() == SIZE);
        let rates = Spread::of(rates);
        least = least.min(rates.median);
        let segments = format!("{seg_len} B at {stride}");
        let digest = digests.pop().unwrap_or_default()[..16].to_owned();
        table.row(vec![segments, delta.to_string(), rates.text(2), digest]);
    }
    let _ = std::fs::remove_file(&path);
    report.tables.push(table);
    report.targets.push(Target::at_least(
        "whole file by a formula",
        format!("{ORIGINAL} GB/s, as the original with two threads"),
        format!("{least:.2} GB/s"),
        least,
        ORIGINAL,
    ));
}
