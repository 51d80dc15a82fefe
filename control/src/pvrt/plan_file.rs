//! `pfs plan-file`: a file as references into what the other side has, written as a program.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use pfs_dataplane::ops::ids::OutFile;
use pfs_dataplane::ops::kv::bytes_of;
use pfs_pvrt::blob::{Blob, Settings as BlobSettings};
use pfs_pvrt::formats::Mapped;
use pfs_pvrt::formats::binary::{BinaryWriter, WindowEncoder};
use pfs_pvrt::plan::{Planner, Sections, Settings, Tally, dictionary};
use pfs_pvrt::rebuild::{Head, hex};
use pfs_pvrt::{Identity, Profile, Space, Window};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::{count, rate};

/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);
/// Raw bytes that a dictionary is trained on, at most.
const TRAINED: usize = 8 << 20;

/// Flags of `pfs plan-file`.
#[derive(Debug, Args)]
pub(crate) struct PlanFileArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The program, for `pfs rebuild`; it appears when it is whole. Without, only the report is
    /// made.
    #[arg(short, long, value_name = "PROGRAM")]
    output: Option<PathBuf>,
    /// The folder of a blob that the other side has too (see `pfs blob`).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["blob_profile", "blob_size"])]
    blob: Option<PathBuf>,
    /// Make a blob of this profile in memory, as the other side can.
    #[arg(long, value_enum, value_name = "PROFILE")]
    blob_profile: Option<PlanProfile>,
    /// Its size.
    #[arg(long, value_name = "BYTES", value_parser = bytes_of, default_value = "16MiB")]
    blob_size: u64,
    /// What its pseudo-random bytes begin with.
    #[arg(long, value_name = "N", default_value_t = 1337)]
    blob_seed: u32,
    /// An older file that the other side has; the first one given first there too.
    #[arg(long, value_name = "FILE")]
    older: Vec<PathBuf>,
    /// Bytes of a window, up to 16MiB.
    #[arg(long, value_name = "BYTES", value_parser = bytes_of, default_value = "64KiB")]
    window: u64,
    /// Threads that plan [default: as many as cores, at most 8].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How hard zstd tries with what is raw.
    #[arg(long, value_name = "LEVEL", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    /// Train a dictionary for what is raw, and use it if it pays: plans the file twice.
    #[arg(long)]
    train: bool,
    /// Print the closing report as JSON.
    #[arg(long)]
    json: bool,
}

/// Profiles by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanProfile {
    /// Pseudo-random words.
    Prand,
    /// 1,024 tiles of constants, ramps and the like, then pseudo-random words.
    Palette,
    /// Banks of what files often hold.
    Orchard,
}

/// A file that is hashed as it is read, and tells how far it is.
struct Hashed<'a> {
    file: File,
    hash: Sha256,
    done: u64,
    shown: Instant,
    progress: &'a Progress,
}

impl Read for Hashed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(into)?;
        self.hash.update(&into[..len]);
        self.done += len as u64;
        if !self.progress.is_log() && self.shown.elapsed() >= SHOWN {
            self.shown = Instant::now();
            self.progress.show(self.done, format!("{:.0} MB", self.done as f64 / 1e6));
        }
        Ok(len)
    }
}

/// What is written goes to a file that is there whole or not at all.
struct Put<'a>(&'a mut OutFile);

impl Write for Put<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a plan came to.
struct Planned {
    tally: Tally,
    sha256: [u8; 32],
    /// Bytes of the program's windows.
    payload: u64,
    dictionary: usize,
}

/// `pfs plan-file`.
///
/// # Errors
/// When a file cannot be read, the blob is damaged, or the program cannot be written; then there
/// is none.
pub(crate) fn plan_file(args: &PlanFileArgs) -> Result<(), Failure> {
    let blob = blob(args)?;
    let older = args.older.iter().map(|path| map(path)).collect::<Result<Vec<_>, _>>()?;
    let space = space(blob.as_ref(), &older)?;
    let window_bytes = u32::try_from(args.window).unwrap_or(u32::MAX);
    let banks = 0..blob.as_ref().map_or(0, |blob| blob.identity().size);
    let began = Instant::now();
    let planner = Planner::new(&space, Settings { window_bytes, banks });
    let sections = if older.is_empty() {
        Sections::default()
    } else {
        Sections::of(map(&args.file)?.bytes(), &space)
    };
    let planner = planner.with_sections(sections);
    let identity = blob.as_ref().map(|blob| blob.identity().clone());
    let planned = write(args, &planner, window_bytes, identity)?;
    report(args, &planned, began.elapsed())
}

fn blob(args: &PlanFileArgs) -> Result<Option<Blob>, Failure> {
    if let Some(folder) = &args.blob {
        return Ok(Some(Blob::open_read(folder)?));
    }
    let Some(profile) = args.blob_profile else { return Ok(None) };
    let profile = match profile {
        PlanProfile::Prand => Profile::Prand,
        PlanProfile::Palette => Profile::Palette,
        PlanProfile::Orchard => Profile::Orchard,
    };
    let identity = Identity::new("pfs_vblob", profile, args.blob_size, args.blob_seed);
    Ok(Some(Blob::memory(&BlobSettings::new(identity, 0))?))
}

fn map(path: &Path) -> Result<Mapped, Failure> {
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    if File::open(path).and_then(|file| file.metadata()).map_err(fail)?.is_dir() {
        return Err(fail(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Mapped::map(path).map_err(fail)
}

/// The blob's deterministic part and live chunks, beside them the older files: what lies in the
/// blob but is no chunk may be something else tomorrow.
fn space<'a>(blob: Option<&'a Blob>, older: &'a [Mapped]) -> Result<Space<'a>, Failure> {
    let mut space = Space::default();
    if let Some(blob) = blob {
        let size = blob.identity().size;
        let mut ranges: Vec<_> = blob
            .chunks()
            .map(|chunk| (chunk.offset, chunk.offset + u64::from(chunk.len)))
            .collect();
        ranges.push((0, size));
        ranges.sort_unstable();
        // Chunks that touch are one stretch: matches go on from one to the next.
        ranges.dedup_by(|next, last| {
            let touch = last.1 == next.0;
            last.1 = if touch { next.1 } else { last.1 };
            touch
        });
        for (from, to) in ranges {
            let bytes = blob.bytes().get(from as usize..to as usize).unwrap_or(&[]);
            space.add(from, bytes).map_err(Failure::failed)?;
        }
    }
    for (older, place) in older.iter().zip(0..) {
        let base = Space::BESIDE + place * Space::SEGMENT;
        space.add(base, older.bytes()).map_err(Failure::failed)?;
    }
    Ok(space)
}

/// Plans the file, and writes the program if there is to be one.
fn write(
    args: &PlanFileArgs,
    planner: &Planner<'_>,
    window_bytes: u32,
    blob: Option<Identity>,
) -> Result<Planned, Failure> {
    let dictionary = if args.train { train(args, planner)? } else { Vec::new() };
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let head = Head { file: name, window_bytes, blob, ..Head::default() };
    let mut file = args.output.as_deref().map(OutFile::create).transpose();
    let file = file.as_mut().map_err(|error| Failure::failed(error.to_string()))?;
    let mut program = file
        .as_mut()
        .map(|file| BinaryWriter::new(Put(file), &head, &dictionary))
        .transpose()
        .map_err(Failure::failed)?;
    let mut encoder = WindowEncoder::new(args.level, &dictionary).map_err(Failure::failed)?;
    let (mut tally, mut payload) = (Tally::default(), 0);
    let sha256 = plan(args, planner, |window| {
        let encoded = encoder.encode(&window).map_err(io::Error::other)?;
        tally.count(&window);
        payload += encoded.payload().len() as u64;
        program.as_mut().map_or(Ok(()), |program| program.put(&encoded)).map_err(io::Error::other)
    })?;
    if let Some(program) = program {
        program.finish(&sha256).map_err(Failure::failed)?;
    }
    if let Some(file) = file.take() {
        file.publish(&[]).map_err(Failure::failed)?;
    }
    Ok(Planned { tally, sha256, payload, dictionary: dictionary.len() })
}

/// Plans all of the file; gives its SHA-256.
fn plan(
    args: &PlanFileArgs,
    planner: &Planner<'_>,
    each: impl FnMut(Window) -> io::Result<()>,
) -> Result<[u8; 32], Failure> {
    let named = |error| Failure::failed(format!("{}: {error}", args.file.display()));
    let file = File::open(&args.file).map_err(named)?;
    let size = file.metadata().map_err(named)?.len();
    let progress = Progress::new(Some(size));
    let shown = Instant::now();
    let mut file = Hashed { file, hash: Sha256::new(), done: 0, shown, progress: &progress };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let threads = args.threads.map_or(cores, usize::from);
    let planned = planner.plan_file(&mut file, threads, each);
    let sha256 = file.hash.finalize().into();
    progress.end();
    planned.map_err(|error| Failure::failed(format!("{}: {error}", args.file.display())))?;
    Ok(sha256)
}

/// A dictionary for the raw bytes of the file's first windows; none when it does not pay.
fn train(args: &PlanFileArgs, planner: &Planner<'_>) -> Result<Vec<u8>, Failure> {
    let (mut raws, mut bytes) = (Vec::new(), 0);
    plan(args, planner, |window| {
        if bytes < TRAINED && !window.raw.is_empty() {
            bytes += window.raw.len();
            raws.push(window.raw);
        }
        Ok(())
    })?;
    let raws: Vec<&[u8]> = raws.iter().map(Vec::as_slice).collect();
    Ok(dictionary(&raws, args.level).unwrap_or_default())
}

fn report(args: &PlanFileArgs, planned: &Planned, took: Duration) -> Result<(), Failure> {
    let (tally, seconds) = (&planned.tally, took.as_secs_f64());
    if args.json {
        let made =
            |(bytes, references): (u64, u64)| json!({ "bytes": bytes, "references": references });
        return out::json(&json!({
            "file": args.file.display().to_string(),
            "bytes": tally.bytes,
            "sha256": hex(&planned.sha256),
            "windows": tally.windows,
            "identity": made(tally.identity),
            "xor": made(tally.xor),
            "add": made(tally.add),
            "raw_bytes": tally.raw,
            "payload_bytes": planned.payload,
            "dictionary_bytes": planned.dictionary,
            "seconds": seconds,
        }));
    }
    let share = |bytes: u64| 100.0 * bytes as f64 / tally.bytes.max(1) as f64;
    out::print(&format!(
        "{}: {} bytes in {seconds:.3} s ({}); by reference {:.2} %, xor {:.2} %, add {:.2} %, \
         raw {:.2} %; payload {} bytes ({:.2} %), SHA-256 {}\n",
        args.file.display(),
        count(tally.bytes),
        rate(tally.bytes as f64 / seconds.max(1e-9), "B/s"),
        share(tally.identity.0),
        share(tally.xor.0),
        share(tally.add.0),
        share(tally.raw),
        count(planned.payload),
        share(planned.payload),
        hex(&planned.sha256),
    ))
}
