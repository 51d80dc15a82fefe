//! `pfs rebuild`: a program, and what it refers to, back into the file.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use pfs_dataplane::ops::kv::bytes_of;
use pfs_pvrt::blob::{Blob, Settings};
use pfs_pvrt::formats::{Mapped, Opened};
use pfs_pvrt::rebuild::{FileOptions, Rebuilt, Source, file, hex};
use pfs_pvrt::{Identity, Profile, Space};
use serde_json::json;

use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;

/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);
/// Largest blob that is made in memory because a program, which anybody may have written, says so.
const MADE_UNASKED: u64 = 1 << 30;

/// Flags of `pfs rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// The program: binary, IPROG, blueprint, PBB1, PBB2 or POX1; which, its content tells.
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// The file; it appears when it is whole, and its SHA-256 is right.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The blob's folder (see `pfs blob`), or a file with its bytes
    /// [default: the one that the program names, made in memory].
    #[arg(long, value_name = "PATH", conflicts_with_all = ["blob_name", "blob_size", "blob_seed", "blob_profile"])]
    blob: Option<PathBuf>,
    /// Make a blob of this name in memory.
    #[arg(long, value_name = "NAME")]
    blob_name: Option<String>,
    /// Make a blob of this size in memory, e.g. 64MiB.
    #[arg(long, value_name = "BYTES", value_parser = bytes_of)]
    blob_size: Option<u64>,
    /// What its pseudo-random bytes begin with.
    #[arg(long, value_name = "N")]
    blob_seed: Option<u32>,
    /// What fills it.
    #[arg(long, value_enum)]
    blob_profile: Option<BlobProfile>,
    /// An older file that the program refers to; the first one given first.
    #[arg(long, value_name = "FILE")]
    older: Vec<PathBuf>,
    /// The file's SHA-256, for programs that do not tell it.
    #[arg(long, value_name = "HEX", value_parser = digest)]
    sha256: Option<[u8; 32]>,
    /// Threads that make windows, beside one that hashes [default: one less than cores, at most 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print the closing report as JSON.
    #[arg(long)]
    json: bool,
}

/// Profiles by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BlobProfile {
    /// Pseudo-random words.
    Prand,
    /// 1,024 tiles of constants, ramps and the like, then pseudo-random words.
    Palette,
    /// Banks of what files often hold.
    Orchard,
}

impl From<BlobProfile> for Profile {
    fn from(profile: BlobProfile) -> Self {
        match profile {
            BlobProfile::Prand => Self::Prand,
            BlobProfile::Palette => Self::Palette,
            BlobProfile::Orchard => Self::Orchard,
        }
    }
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "64 hexadecimal digits are needed".to_owned();
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

/// What references into the blob mean.
enum BlobAtHand {
    /// With an identity to compare.
    Blob(Box<Blob>),
    /// Bytes of which nothing else is known.
    Bytes(Mapped),
    /// None: the program must not refer to one.
    Nothing,
}

impl BlobAtHand {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Blob(blob) => blob.bytes(),
            Self::Bytes(bytes) => bytes.bytes(),
            Self::Nothing => &[],
        }
    }
}

/// `pfs rebuild`.
///
/// # Errors
/// When the program is damaged, the blob is another, or the file would be another than the one that
/// the program was made of; then no file is written.
pub(crate) fn rebuild(args: &RebuildArgs) -> Result<(), Failure> {
    let program = map(&args.program)?;
    let named = |error| Failure::failed(format!("{}: {error}", args.program.display()));
    let asked = asked_blob(args)?;
    let size = asked.as_ref().map(|blob| blob.bytes().len() as u64).or(args.blob_size);
    let opened = Opened::open(program.bytes(), size).map_err(|error| named(error.to_string()))?;
    let blob = match asked {
        Some(blob) => blob,
        None => told_blob(args, opened.head().blob.as_ref())?,
    };
    if let (BlobAtHand::Blob(blob), Some(told)) = (&blob, told(opened.head().blob.as_ref())) {
        blob.expect(told).map_err(|error| named(error.to_string()))?;
    }
    let older = args.older.iter().map(|path| map(path)).collect::<Result<Vec<_>, _>>()?;
    let mut space = Space::blob(blob.bytes());
    for (older, place) in older.iter().zip(0..) {
        let base = Space::BESIDE + place * Space::SEGMENT;
        space.add(base, older.bytes()).map_err(Failure::failed)?;
    }
    let began = Instant::now();
    let rebuilt = with_bar(&opened, &space, args).map_err(|error| named(error.to_string()))?;
    report(args, &opened, &rebuilt, began.elapsed())
}

/// The identity that a program tells, if it refers to a blob.
fn told(identity: Option<&Identity>) -> Option<&Identity> {
    identity.filter(|identity| identity.size > 0)
}

/// The blob that the flags name in full, `None` where they leave it to the program.
fn asked_blob(args: &RebuildArgs) -> Result<Option<BlobAtHand>, Failure> {
    let Some(path) = &args.blob else { return Ok(None) };
    if path.is_dir() {
        let blob = Blob::open_read(path).map_err(Failure::failed)?;
        return Ok(Some(BlobAtHand::Blob(Box::new(blob))));
    }
    map(path).map(BlobAtHand::Bytes).map(Some)
}

/// The blob that the program tells, as far as the flags do not say otherwise.
fn told_blob(args: &RebuildArgs, identity: Option<&Identity>) -> Result<BlobAtHand, Failure> {
    let told = told(identity);
    let flags = args.blob_name.is_some()
        || args.blob_size.is_some()
        || args.blob_seed.is_some()
        || args.blob_profile.is_some();
    if !flags && told.is_none() {
        return Ok(BlobAtHand::Nothing);
    }
    let usual = Identity::new("pfs_vblob", Profile::Prand, 0, 1337);
    let base = told.unwrap_or(&usual);
    let size = args.blob_size.unwrap_or(base.size);
    if size == 0 {
        return Err(Failure::usage("the program does not tell its blob's size: give --blob-size"));
    }
    if args.blob_size.is_none() && size > MADE_UNASKED {
        return Err(Failure::failed(format!(
            "the program's blob has {size} bytes; name it with --blob, or let it be made in \
             memory with --blob-size {size}"
        )));
    }
    let profile = args.blob_profile.map_or(base.profile, Profile::from);
    let name = args.blob_name.as_deref().unwrap_or(&base.name);
    let mut identity = Identity::new(name, profile, size, args.blob_seed.unwrap_or(base.seed));
    if profile == base.profile && told.is_some() {
        identity.layout = base.layout;
    }
    let blob = Blob::memory(&Settings::new(identity, 0)).map_err(Failure::failed)?;
    Ok(BlobAtHand::Blob(Box::new(blob)))
}

fn map(path: &Path) -> Result<Mapped, Failure> {
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    if File::open(path).and_then(|file| file.metadata()).map_err(fail)?.is_dir() {
        return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Mapped::map(path).map_err(fail)
}

/// Rebuilds, and shows how far it is where somebody looks.
fn with_bar(
    opened: &Opened<'_>,
    space: &Space<'_>,
    args: &RebuildArgs,
) -> Result<Rebuilt, pfs_pvrt::rebuild::FileError> {
    let done = AtomicU64::new(0);
    let options = FileOptions {
        threads: args.threads.and_then(|threads| NonZeroUsize::new(threads.into())),
        progress: Some(&done),
        sha256: args.sha256,
    };
    let size = opened.head().size;
    let (ended, wait) = sync_channel::<()>(0);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || show(&wait, done, size));
        let rebuilt = file(opened, space, &args.output, options);
        drop(ended);
        rebuilt
    })
}

/// Shows a bar until the other end of `wait` is gone.
fn show(wait: &std::sync::mpsc::Receiver<()>, done: &AtomicU64, size: u64) {
    let progress = Progress::new(Some(size));
    let began = Instant::now();
    while wait.recv_timeout(SHOWN) == Err(RecvTimeoutError::Timeout) {
        if !progress.is_log() {
            let bytes = done.load(Ordering::Relaxed);
            let rate = bytes as f64 / began.elapsed().as_secs_f64().max(1e-9);
            let left = (size - bytes.min(size)) as f64 / rate.max(1.0);
            let text =
                format!("{:.0} MB, {:.0} MB/s, {left:.0} s left", bytes as f64 / 1e6, rate / 1e6);
            progress.show(bytes, text);
        }
    }
    progress.end();
}

fn report(
    args: &RebuildArgs,
    opened: &Opened<'_>,
    rebuilt: &Rebuilt,
    took: Duration,
) -> Result<(), Failure> {
    let seconds = took.as_secs_f64();
    let sha256 = hex(&rebuilt.sha256);
    if args.json {
        return out::json(&json!({
            "file": args.output.display().to_string(),
            "format": opened.format().to_string(),
            "bytes": rebuilt.bytes,
            "sha256": sha256,
            "checked": rebuilt.checked,
            "seconds": seconds,
        }));
    }
    let checked = if rebuilt.checked {
        "as the program says"
    } else {
        "with nothing to compare it to: the program does not tell it"
    };
    let rate = rebuilt.bytes as f64 / 1e6 / seconds.max(1e-9);
    out::print(&format!(
        "{}: {} bytes in {seconds:.3} s ({rate:.0} MB/s) from a {}, SHA-256 {sha256}, {checked}\n",
        args.output.display(),
        rebuilt.bytes,
        opened.format(),
    ))
}
