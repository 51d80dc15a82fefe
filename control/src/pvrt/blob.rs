//! `pfs blob`: a blob made, filled, read and checked.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use pfs_dataplane::ops::ids::OutFile;
use pfs_dataplane::ops::kv::bytes_of;
use pfs_pvrt::blob::{Blob, BlobError, ChunkSizes, Digest, Findings, Object, Settings};
use pfs_pvrt::{Identity, Profile};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::{count, rate};

/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);

/// What `pfs blob` does.
#[derive(Debug, Subcommand)]
pub(crate) enum BlobCommand {
    /// Make a blob in a folder.
    Create(CreateArgs),
    /// Print what a blob is, and how full.
    Info(ReadArgs),
    /// Store files as objects, whose chunks are there once.
    Put(PutArgs),
    /// Print an object, or write it to a file.
    Get(GetArgs),
    /// List objects, one a line: digest, bytes, name.
    List(ListArgs),
    /// Remove objects; `gc` gives their space back.
    Rm(RmArgs),
    /// Give back the space of chunks that nothing refers to.
    Gc(ReadArgs),
    /// Check every byte; exit code 1 when something is wrong.
    Fsck(FsckArgs),
}

/// A blob, and how to tell of it.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// The blob's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags of `pfs blob create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The blob.
    #[command(flatten)]
    at: ReadArgs,
    /// Bytes of the deterministic part, e.g. 64MiB.
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = bytes_of)]
    size: u64,
    /// Bytes for chunks, behind it.
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = bytes_of)]
    stored: u64,
    /// What fills the deterministic part.
    #[arg(long, value_enum, default_value_t = ProfileName::Prand)]
    profile: ProfileName,
    /// Put a palette before the banks of orchard too.
    #[arg(long)]
    with_palette: bool,
    /// What pseudo-random bytes begin with.
    #[arg(long, value_name = "N", default_value_t = 1337)]
    seed: u32,
    /// The blob's name; both ends must have the same.
    #[arg(long, default_value = "pfs_vblob")]
    name: String,
    /// Keep the bytes in this file, such as one in a hugetlbfs, instead of in DIR.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

/// Profiles by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileName {
    /// Pseudo-random words.
    Prand,
    /// 1,024 tiles of constants, ramps and the like, then pseudo-random words.
    Palette,
    /// Banks of what files often hold.
    Orchard,
}

/// Flags of `pfs blob put`.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The blob.
    #[command(flatten)]
    at: ReadArgs,
    /// The files; - for standard input, which needs --name.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The object's name, of one file [default: the path as given].
    #[arg(long)]
    name: Option<String>,
}

/// Flags of `pfs blob get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The blob's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The object's name, its digest, or that of a chunk.
    #[arg(value_name = "NAME|DIGEST")]
    what: String,
    /// Write here, whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Flags of `pfs blob list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The blob.
    #[command(flatten)]
    at: ReadArgs,
    /// List chunks by address instead: digest, bytes, address.
    #[arg(long)]
    chunks: bool,
}

/// Flags of `pfs blob rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The blob's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Names of objects.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

/// Flags of `pfs blob fsck`.
#[derive(Debug, Args)]
pub(crate) struct FsckArgs {
    /// The blob.
    #[command(flatten)]
    at: ReadArgs,
    /// Keep what is whole: fill the deterministic part anew where it is wrong, drop damaged chunks
    /// and the objects that need them.
    #[arg(long)]
    repair: bool,
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Identity(_) | BlobError::ObjectName(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

/// `pfs blob`.
///
/// # Errors
/// What the command could not do.
pub(crate) fn blob(command: &BlobCommand) -> Result<(), Failure> {
    match command {
        BlobCommand::Create(args) => create(args),
        BlobCommand::Info(args) => {
            let blob = Blob::open_read(&args.folder)?;
            told(args, &describe(&args.folder, &blob), || in_words(&args.folder, &blob))
        }
        BlobCommand::Put(args) => put(args),
        BlobCommand::Get(args) => get(args),
        BlobCommand::List(args) => list(args),
        BlobCommand::Rm(args) => rm(args),
        BlobCommand::Gc(args) => {
            let gone = Blob::open(&args.folder)?.gc()?;
            let document = json!({ "chunks": gone.chunks, "bytes": gone.bytes });
            told(args, &document, || {
                format!("{} chunks, {} bytes given back\n", count(gone.chunks), count(gone.bytes))
            })
        }
        BlobCommand::Fsck(args) => fsck(args),
    }
}

fn told(args: &ReadArgs, json: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if args.json { out::json(json) } else { out::print(&text()) }
}

/// A bar on a terminal, with bytes and rate; nothing elsewhere.
struct Bar {
    progress: Progress,
    began: Instant,
    last: Instant,
}

impl Bar {
    fn new(end: Option<u64>) -> Self {
        let now = Instant::now();
        Self { progress: Progress::new(end), began: now, last: now }
    }

    fn show(&mut self, done: u64) {
        if !self.progress.is_log() && self.last.elapsed() >= SHOWN {
            self.last = Instant::now();
            let speed = done as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
            self.progress.show(done, format!("{} bytes, {}", count(done), rate(speed, "B/s")));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.progress.end();
    }
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let profile = match args.profile {
        ProfileName::Prand => Profile::Prand,
        ProfileName::Palette => Profile::Palette,
        ProfileName::Orchard => Profile::Orchard,
    };
    let mut identity = Identity::new(&args.name, profile, args.size, args.seed);
    if args.with_palette {
        identity.layout = Identity::PALETTE;
    }
    let settings = Settings { data: args.data.clone(), ..Settings::new(identity, args.stored) };
    let mut bar = Bar::new(Some(args.size));
    let blob = Blob::create(&args.at.folder, &settings, &mut |done, _| bar.show(done));
    drop(bar);
    let blob = blob?;
    let folder = &args.at.folder;
    told(&args.at, &describe(folder, &blob), || in_words(folder, &blob))
}

fn describe(folder: &Path, blob: &Blob) -> Value {
    let (identity, stats) = (blob.identity(), blob.stats());
    json!({
        "folder": folder.display().to_string(),
        "identity": identity.digest().to_string(),
        "name": identity.name,
        "profile": identity.profile.name(),
        "layout": identity.layout,
        "size_bytes": identity.size,
        "seed": identity.seed,
        "stored_bytes": blob.stored(),
        "backing": blob.granted().0.name(),
        "chunks": stats.chunks,
        "chunk_bytes": stats.chunk_bytes,
        "garbage_bytes": stats.garbage_bytes,
        "free_bytes": stats.free_bytes,
        "free_longest_bytes": stats.free_longest,
        "objects": stats.objects,
        "object_bytes": blob.objects().map(|(_, object)| object.size).sum::<u64>(),
    })
}

fn in_words(folder: &Path, blob: &Blob) -> String {
    let (identity, stats) = (blob.identity(), blob.stats());
    let objects: u64 = blob.objects().map(|(_, object)| object.size).sum();
    format!(
        "blob      {} ({})\n\
         identity  {}\n\
         \x20         {} layout {}, {} bytes, seed {}, name {}\n\
         stored    {} of {} bytes in {} chunks; {} of them garbage, {} the longest free stretch\n\
         objects   {}, {} bytes\n",
        folder.display(),
        blob.granted().0.name(),
        identity.digest(),
        identity.profile.name(),
        identity.layout,
        count(identity.size),
        identity.seed,
        identity.name,
        count(stats.chunk_bytes),
        count(blob.stored()),
        count(stats.chunks),
        count(stats.garbage_bytes),
        count(stats.free_longest),
        count(stats.objects),
        count(objects),
    )
}

/// Counts what is read of a file.
struct Counted<'a> {
    file: Box<dyn Read>,
    done: u64,
    bar: &'a mut Bar,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.done += read as u64;
        self.bar.show(self.done);
        Ok(read)
    }
}

/// A file and its length, if it has one.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if meta.is_dir() {
        return Err(Failure::usage(format!("{} is a folder: name its files", path.display())));
    }
    Ok((Box::new(file), meta.is_file().then_some(meta.len())))
}

/// The name of the object that a file becomes.
fn name_of<'a>(args: &'a PutArgs, path: &'a Path) -> Result<&'a str, Failure> {
    match &args.name {
        Some(_) if args.files.len() > 1 => Err(Failure::usage("--name names one file, not many")),
        Some(name) => Ok(name),
        None if path.as_os_str() == "-" => Err(Failure::usage("standard input needs --name")),
        None => path.to_str().ok_or_else(|| {
            Failure::usage(format!("{} is not UTF-8: give it a --name", path.display()))
        }),
    }
}

fn put(args: &PutArgs) -> Result<(), Failure> {
    for path in &args.files {
        name_of(args, path)?;
    }
    let mut blob = Blob::open(&args.at.folder)?;
    let mut put = Vec::new();
    for path in &args.files {
        let name = name_of(args, path)?;
        let (file, len) = open(path)?;
        let before = blob.stats().chunk_bytes;
        let mut bar = Bar::new(len);
        let mut file = Counted { file, done: 0, bar: &mut bar };
        let object = blob.put_object(name, &mut file, ChunkSizes::default());
        drop(bar);
        // What came before is kept.
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                blob.sync()?;
                return Err(Failure::failed(format!("{}: {error}", path.display())));
            }
        };
        put.push((name, object, blob.stats().chunk_bytes - before));
    }
    blob.sync()?;
    let each = |(name, object, new): &(&str, Object, u64)| {
        let mut line = described(name, object);
        line["new_bytes"] = (*new).into();
        line
    };
    let document = put.iter().map(each).collect();
    told(&args.at, &document, || {
        let line = |(name, object, new): &(&str, Object, u64)| {
            format!(
                "{}  {} bytes, {} new  {name}\n",
                object.digest,
                count(object.size),
                count(*new)
            )
        };
        put.iter().map(line).collect()
    })
}

fn described(name: &str, object: &Object) -> Value {
    json!({ "name": name, "bytes": object.size, "digest": object.digest.to_string() })
}

fn get(args: &GetArgs) -> Result<(), Failure> {
    let blob = Blob::open_read(&args.folder)?;
    let digest: Option<Digest> = args.what.parse().ok();
    let by_digest = || blob.objects().find(|(_, object)| Some(object.digest) == digest);
    let name = match blob.object(&args.what) {
        Some(_) => Some(args.what.as_str()),
        None => by_digest().map(|(name, _)| name),
    };
    let chunk = digest.filter(|_| name.is_none()).and_then(|digest| blob.chunk(&digest));
    if name.is_none() && chunk.is_none() {
        return Err(BlobError::NoObject(args.what.clone()).into());
    }
    let mut file = OutFile::create(&args.output).map_err(Failure::failed)?;
    let mut bar = Bar::new(name.and_then(|name| blob.object(name)).map(|object| object.size));
    let (mut done, mut wrong) = (0, None);
    let mut write = |bytes: &[u8]| match file.put(bytes) {
        Ok(()) => {
            done += bytes.len() as u64;
            bar.show(done);
            Ok(())
        }
        Err(error) => {
            wrong = Some(error);
            Err(BlobError::Transfer(io::ErrorKind::BrokenPipe.into()))
        }
    };
    let read = match (name, chunk) {
        (Some(name), _) => blob.read_object(name, &mut write).map(drop),
        (None, Some(chunk)) if Some(Digest::of(chunk)) == digest => write(chunk),
        _ => Err(BlobError::Unknown(digest.unwrap_or(Digest([0; 32])))),
    };
    drop(bar);
    match wrong {
        // Who has closed the pipe has read enough.
        Some(error) if error.is_broken_pipe() => return Ok(()),
        Some(error) => return Err(Failure::failed(error)),
        None => read?,
    }
    match file.publish(&[]) {
        Err(error) if error.is_broken_pipe() => Ok(()),
        done => done.map(drop).map_err(Failure::failed),
    }
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let blob = Blob::open_read(&args.at.folder)?;
    if args.chunks {
        let mut chunks: Vec<_> = blob.chunks().collect();
        chunks.sort_unstable_by_key(|chunk| chunk.offset);
        let each = chunks.iter().map(|chunk| {
            json!({ "digest": chunk.digest.to_string(), "bytes": chunk.len, "address": chunk.offset })
        });
        return told(&args.at, &each.collect(), || {
            let line = |chunk: &pfs_pvrt::blob::ChunkRef| {
                format!("{} {:>10} {:>16}\n", chunk.digest, chunk.len, chunk.offset)
            };
            chunks.iter().map(line).collect()
        });
    }
    let document = blob.objects().map(|(name, object)| described(name, object)).collect();
    told(&args.at, &document, || {
        let line = |(name, object): (&str, &Object)| {
            format!("{} {:>14} {name}\n", object.digest, object.size)
        };
        blob.objects().map(line).collect()
    })
}

fn rm(args: &RmArgs) -> Result<(), Failure> {
    let mut blob = Blob::open(&args.folder)?;
    // All or none.
    if let Some(missing) = args.names.iter().find(|name| blob.object(name).is_none()) {
        return Err(BlobError::NoObject(missing.clone()).into());
    }
    for name in &args.names {
        // The same name may be given twice.
        if blob.object(name).is_some() {
            blob.remove_object(name)?;
        }
    }
    Ok(blob.sync()?)
}

fn fsck(args: &FsckArgs) -> Result<(), Failure> {
    let folder = &args.at.folder;
    let mut bar = None;
    let mut progress = |done, total| bar.get_or_insert_with(|| Bar::new(Some(total))).show(done);
    let found = if args.repair {
        Blob::repair(folder, &mut progress).map(|(_, findings)| findings)
    } else {
        Blob::open_read(folder).and_then(|blob| blob.check(&mut progress))
    };
    drop(bar);
    let found = found?;
    told(&args.at, &findings_json(&found, args.repair), || findings_text(&found, args.repair))?;
    if found.is_clean() || args.repair {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} is damaged; `pfs blob fsck --repair {}` keeps what is whole",
        folder.display(),
        folder.display()
    )))
}

fn findings_json(found: &Findings, repaired: bool) -> Value {
    let stretch = |(at, len): &(u64, u64)| json!({ "address": at, "bytes": len });
    let object = |(name, why): &(String, String)| json!({ "name": name, "why": why });
    json!({
        "clean": found.is_clean(),
        "repaired": repaired && !found.is_clean(),
        "bytes": found.bytes,
        "chunks": found.chunks,
        "objects": found.objects,
        "deterministic": found.deterministic.iter().map(stretch).collect::<Vec<_>>(),
        "bad_chunks": found.bad_chunks.iter().map(Digest::to_string).collect::<Vec<_>>(),
        "bad_objects": found.bad_objects.iter().map(object).collect::<Vec<_>>(),
        "journal_bytes_lost": found.journal,
    })
}

fn findings_text(found: &Findings, repaired: bool) -> String {
    let mut text = String::new();
    for (at, len) in &found.deterministic {
        text += &format!("deterministic part: wrong within {len} bytes from {at} on\n");
    }
    for digest in &found.bad_chunks {
        text += &format!("chunk {digest}: damaged\n");
    }
    for (name, why) in &found.bad_objects {
        text += &format!("object {name}: {why}\n");
    }
    if found.journal > 0 {
        text += &format!("journal: {} bytes could not be read\n", count(found.journal));
    }
    let verdict = match (found.is_clean(), repaired) {
        (true, _) => "all is as it should be",
        (false, true) => "what is whole is kept",
        (false, false) => "damaged",
    };
    text + &format!(
        "{} bytes, {} chunks, {} objects checked: {verdict}\n",
        count(found.bytes),
        count(found.chunks),
        count(found.objects)
    )
}
