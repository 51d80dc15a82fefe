//! `pfs tokenize`: blocks to threads, ids back in order.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pfs_dataplane::ops::ids::OutFile;
use pfs_dataplane::ops::token::pfs_token::{
    EncodeError, EncodeOptions, Encoder, SpecialPolicy, Vocabulary,
};

use super::blocks::{Blocks, Cuts};
use super::{Specials, TokenizeArgs, ids, input, open};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::figures::count;

/// Blocks under way for each thread: one that it works on, one that waits.
const AHEAD: usize = 2;

/// A block by its place in the text, and what became of it.
type Block = (u64, Vec<u8>);
type Encoded = (u64, usize, Result<Ids, EncodeError>);

/// A block's ids.
struct Ids {
    count: u64,
    /// Written as asked; empty where only the number was.
    text: Vec<u8>,
}

/// `pfs tokenize`.
///
/// # Errors
/// The input cannot be read, the vocabulary not opened, the output not written, or a special
/// token's text was found and is denied.
pub(crate) fn tokenize(args: &TokenizeArgs) -> Result<(), Failure> {
    let vocab = open(&args.vocab)?;
    let (reader, length) = input(&args.input)?;
    let cuts = Cuts::of(&vocab, args.special != Specials::Text);
    let cores = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.map_or_else(cores, usize::from);
    let progress = Progress::new(length);
    let mut output = Output::create(args, progress)?;
    let (to_threads, blocks) = mpsc::channel::<Block>();
    let blocks = Arc::new(Mutex::new(blocks));
    let (results, encoded) = mpsc::channel::<Encoded>();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (vocab, blocks, results) =
                (Arc::clone(&vocab), Arc::clone(&blocks), results.clone());
            scope.spawn(move || encode(args, vocab, &blocks, &results));
        }
        drop(results);
        let mut blocks = Blocks::new(reader, cuts);
        feed(&mut blocks, threads * AHEAD, to_threads, &encoded, &mut output, args)
    })?;
    output.close(args)
}

/// Reads blocks, keeps `most` of them under way, and writes what comes back in order.
fn feed<R: Read>(
    blocks: &mut Blocks<R>,
    most: usize,
    to_threads: Sender<Block>,
    encoded: &Receiver<Encoded>,
    output: &mut Output,
    args: &TokenizeArgs,
) -> Result<(), Failure> {
    let (mut sent, mut next) = (0, 0);
    let mut early = BTreeMap::new();
    let mut to_threads = Some(to_threads);
    loop {
        while let Some(sender) = &to_threads
            && sent - next < most as u64
        {
            let block = blocks.next().map_err(|error| {
                Failure::failed(format!("reading {}: {error}", args.input.display()))
            })?;
            let Some(block) = block else {
                to_threads = None;
                break;
            };
            // A thread that has panicked is told by the scope.
            if sender.send((sent, block)).is_err() {
                break;
            }
            sent += 1;
        }
        if next == sent {
            return Ok(());
        }
        let Ok((place, bytes, result)) = encoded.recv() else {
            return Err(Failure::failed("a thread that encodes has ended early; this is a bug"));
        };
        early.insert(place, (bytes, result));
        while let Some((bytes, result)) = early.remove(&next) {
            next += 1;
            let ids = result.map_err(|error| {
                Failure::failed(format!("{error} (--special allow or --special text)"))
            })?;
            output.put(bytes, &ids)?;
        }
    }
}

/// What each thread does.
fn encode(
    args: &TokenizeArgs,
    vocab: Arc<Vocabulary>,
    blocks: &Mutex<Receiver<Block>>,
    results: &Sender<Encoded>,
) {
    let options =
        EncodeOptions { specials: SpecialPolicy::from(args.special), ..EncodeOptions::default() };
    let mut encoder = Encoder::with(vocab, options);
    let mut found = Vec::new();
    loop {
        let block = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((place, block)) = block else { return };
        found.clear();
        let result = if args.count {
            encoder.count(&block).map(|count| Ids { count: count as u64, text: Vec::new() })
        } else {
            encoder.encode_into(&block, &mut found).map(|()| {
                let mut text = Vec::with_capacity(found.len() * 6);
                ids::write(args.format, &found, place == 0, &mut text);
                Ids { count: found.len() as u64, text }
            })
        };
        if results.send((place, block.len(), result)).is_err() {
            return;
        }
    }
}

/// Where ids go, and how far they are.
struct Output {
    file: OutFile,
    progress: Progress,
    bytes: u64,
    ids: u64,
    /// Nobody reads any more.
    closed: bool,
}

impl Output {
    fn create(args: &TokenizeArgs, progress: Progress) -> Result<Self, Failure> {
        let file = OutFile::create(&args.output).map_err(Failure::failed)?;
        let mut output = Self { file, progress, bytes: 0, ids: 0, closed: false };
        if !args.count {
            output.write(ids::brackets(args.format).0.as_bytes())?;
        }
        Ok(output)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Failure> {
        match self.file.put(text) {
            Err(error) if error.is_broken_pipe() => self.closed = true,
            other => other.map_err(Failure::failed)?,
        }
        Ok(())
    }

    fn put(&mut self, bytes: usize, ids: &Ids) -> Result<(), Failure> {
        self.bytes += bytes as u64;
        self.ids += ids.count;
        self.write(&ids.text)?;
        if !self.progress.is_log() {
            let (bytes, ids) = (self.bytes, self.ids);
            self.progress.show(bytes, format!("{} B, {} tokens", count(bytes), count(ids)));
        }
        Ok(())
    }

    fn close(mut self, args: &TokenizeArgs) -> Result<(), Failure> {
        self.progress.end();
        if args.count {
            let text = format!("{}\n", self.ids);
            self.write(text.as_bytes())?;
        } else {
            self.write(ids::brackets(args.format).1.as_bytes())?;
        }
        if self.closed {
            return Ok(());
        }
        match self.file.publish(&[]) {
            Err(error) if error.is_broken_pipe() => Ok(()),
            other => other.map_err(Failure::failed),
        }
    }
}
