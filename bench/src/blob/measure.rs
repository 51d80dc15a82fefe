//! What is timed, each with its answer checked.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use fastcdc::v2020::FastCDC;
use pfs_pvrt::blob::{Blob, BlobError, ChunkSizes, Chunks, Digest, Settings};
use pfs_pvrt::{Identity, Profile};

/// One timed run: bytes or things that were done, how long it took, and whether it was right.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Bytes or things.
    pub done: u64,
    /// How long it took.
    pub time: Duration,
    /// Whether the answer was the right one.
    pub right: bool,
}

/// Bytes that never repeat.
#[must_use]
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

fn timed(done: usize, work: impl FnOnce() -> bool) -> Run {
    let began = Instant::now();
    let right = work();
    Run { done: done as u64, time: began.elapsed(), right }
}

/// Fills a blob in memory by `threads`, pages included.
///
/// # Errors
/// When memory is short.
pub fn fill(profile: Profile, size: u64, threads: usize) -> Result<Run, BlobError> {
    let identity = Identity::new("bench", profile, size, 1337);
    let settings = Settings { threads, ..Settings::new(identity, 0) };
    let began = Instant::now();
    let blob = Blob::memory(&settings)?;
    let time = began.elapsed();
    let right = blob.check(&mut |_, _| {})?.is_clean();
    Ok(Run { done: size, time, right })
}

/// Fills as much new memory with one byte.
#[must_use]
pub fn fill_plain(size: u64) -> Run {
    timed(size as usize, || {
        let bytes = black_box(vec![7_u8; size as usize]);
        bytes.last() == Some(&7)
    })
}

/// Cuts `bytes` and does nothing else.
#[must_use]
pub fn cut(bytes: &[u8]) -> Run {
    timed(bytes.len(), || {
        Chunks::new(bytes, ChunkSizes::default()).map(|chunk| black_box(chunk).len()).sum::<usize>()
            == bytes.len()
    })
}

/// The same with the crate `fastcdc`.
#[must_use]
pub fn cut_fastcdc(bytes: &[u8]) -> Run {
    timed(bytes.len(), || {
        fastcdc_of(bytes).map(|chunk| black_box(chunk).length).sum::<usize>() == bytes.len()
    })
}

fn fastcdc_of(bytes: &[u8]) -> FastCDC<'_> {
    let sizes = ChunkSizes::default();
    FastCDC::new(bytes, sizes.min(), sizes.average(), sizes.max())
}

/// Chunks of `bytes` by each of the two.
#[must_use]
pub fn counts(bytes: &[u8]) -> (usize, usize) {
    (Chunks::new(bytes, ChunkSizes::default()).count(), fastcdc_of(bytes).count())
}

/// Cuts `bytes` and hashes each chunk.
#[must_use]
pub fn cut_and_hash(bytes: &[u8]) -> Run {
    timed(bytes.len(), || {
        let chunks = Chunks::new(bytes, ChunkSizes::default());
        chunks
            .map(|chunk| black_box((Digest::of(&bytes[chunk.clone()]), chunk)).1.len())
            .sum::<usize>()
            == bytes.len()
    })
}

/// The same with the crate `fastcdc`.
#[must_use]
pub fn cut_and_hash_fastcdc(bytes: &[u8]) -> Run {
    timed(bytes.len(), || {
        let len = |chunk: fastcdc::v2020::Chunk| {
            let some = &bytes[chunk.offset..chunk.offset + chunk.length];
            black_box((blake3::hash(some), chunk.length)).1
        };
        fastcdc_of(bytes).map(len).sum::<usize>() == bytes.len()
    })
}

/// Puts `bytes` into a new blob in memory, puts them again, and gets them: the three runs.
///
/// # Errors
/// When memory is short.
pub fn put_and_get(bytes: &[u8]) -> Result<[Run; 3], BlobError> {
    let identity = Identity::new("bench", Profile::Prand, 1 << 20, 1337);
    let mut blob = Blob::memory(&Settings::new(identity, bytes.len() as u64 * 5 / 4))?;
    let began = Instant::now();
    let chunks = blob.put_stream(&mut &bytes[..], ChunkSizes::default())?;
    let put = began.elapsed();
    let began = Instant::now();
    let known = blob.put_stream(&mut &bytes[..], ChunkSizes::default())?;
    let again = began.elapsed();
    let mut out = vec![0; bytes.len()];
    let began = Instant::now();
    let mut at = 0;
    for chunk in &chunks {
        let some = blob.chunk(&chunk.digest).ok_or(BlobError::Unknown(chunk.digest))?;
        out[at..at + some.len()].copy_from_slice(some);
        at += some.len();
    }
    let get = began.elapsed();
    let right = out == bytes && chunks == known;
    Ok([put, again, get].map(|time| Run { done: bytes.len() as u64, time, right }))
}

/// Opens a blob of `chunks` chunks in `folder`, which is made if it is not there.
///
/// # Errors
/// When the disk is short of space.
pub fn open(folder: &Path, chunks: u64) -> Result<Run, BlobError> {
    if !folder.join("header").exists() {
        let identity = Identity::new("bench", Profile::Prand, 1 << 20, 1337);
        let mut blob = Blob::create(folder, &Settings::new(identity, chunks * 8), &mut |_, _| {})?;
        for number in 0..chunks {
            blob.put(&number.to_le_bytes())?;
        }
        blob.sync()?;
    }
    let began = Instant::now();
    let blob = Blob::open(folder)?;
    let time = began.elapsed();
    let known = (0..chunks).step_by(1009).all(|number| {
        let bytes = number.to_le_bytes();
        blob.chunk(&Digest::of(&bytes)) == Some(&bytes)
    });
    Ok(Run { done: chunks, time, right: known && blob.stats().chunks == chunks })
}
