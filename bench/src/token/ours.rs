//! Our engine as a contender.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pfs_token::formats::{self, Loaded, ReadOptions};
use pfs_token::vocab::{Grammar, Mode, Unknown, VocabSource, shipped};
use pfs_token::{Encoder, StreamState, Vocabulary};

use super::cores::{self, Cores};
use super::memory::Memory;
use super::sample::PACKET;
use super::trial::{Engine, Sample, Trial, run};
use crate::heap::live_bytes;
use crate::stats::Spread;

/// Texts of one call of [`Encoder::encode_batch`].
const BATCH: usize = 64;

/// A text a call.
struct OneByOne {
    encoder: Encoder,
    ids: Vec<u32>,
}

/// [`BATCH`] texts a call.
struct Batched {
    one: OneByOne,
    ends: Vec<u32>,
}

impl OneByOne {
    fn new(vocabulary: &Arc<Vocabulary>) -> Self {
        Self { encoder: Encoder::new(Arc::clone(vocabulary)), ids: Vec::new() }
    }
}

impl Engine for OneByOne {
    fn encode(&mut self, text: &str) -> usize {
        self.ids.clear();
        self.encoder.encode_into(text.as_bytes(), &mut self.ids).expect("specials are text");
        self.ids.len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode(text);
        ids.extend(&self.ids);
    }
}

impl Engine for Batched {
    fn encode(&mut self, text: &str) -> usize {
        self.pass(&[text])
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode(text);
        ids.extend(&self.one.ids);
    }

    fn pass(&mut self, texts: &[&str]) -> usize {
        let mut batch: [&[u8]; BATCH] = [&[]; BATCH];
        let calls = texts.chunks(BATCH).map(|texts| {
            texts.iter().zip(&mut batch).for_each(|(text, slot)| *slot = text.as_bytes());
            self.one.ids.clear();
            self.ends.clear();
            let batch = batch.get(..texts.len()).unwrap_or_default();
            let encoded = self.one.encoder.encode_batch(batch, &mut self.one.ids, &mut self.ends);
            encoded.expect("specials are text");
            self.one.ids.len()
        });
        calls.sum()
    }
}

/// Runs our engine `engine` over a sample, with the vocabulary of this name or, where we ship none
/// of it, from `file`.
///
/// # Errors
/// When there is no such engine, or the sample or the vocabulary cannot be read.
pub fn trial(
    engine: &str,
    name: &str,
    file: &Path,
    sample: &Path,
    passes: usize,
) -> Result<Trial, String> {
    let sample = Sample::read(sample).map_err(|error| error.to_string())?;
    match engine {
        "pfs" => run(&sample, passes, || Ok(OneByOne::new(&open(name)?))),
        "pfs-batch" => run(&sample, passes, || {
            Ok(Batched { one: OneByOne::new(&open(name)?), ends: Vec::new() })
        }),
        "pfs-greedy" => {
            let source = longest_match(name, file)?;
            run(&sample, passes, || Ok(OneByOne::new(&compile(&source)?)))
        }
        _ => Err(format!("no engine {engine}: pfs, pfs-batch, pfs-greedy")),
    }
}

fn open(name: &str) -> Result<Arc<Vocabulary>, String> {
    Vocabulary::open(name).map(Arc::new).map_err(|error| error.to_string())
}

fn compile(source: &VocabSource) -> Result<Arc<Vocabulary>, String> {
    Vocabulary::compile(source).map(Arc::new).map_err(|error| error.to_string())
}

/// The tokens of a vocabulary for longest match: Crayon's unknown byte for its own files.
///
/// # Errors
/// When there is none of this name and the file cannot be read.
pub fn longest_match(name: &str, file: &Path) -> Result<VocabSource, String> {
    if let Some(source) = shipped(name) {
        return Ok(VocabSource { mode: Mode::Greedy, grammar: Grammar::Whole, ..source });
    }
    let options = ReadOptions { unknown: Unknown::Crayon, ..ReadOptions::default() };
    match formats::read_with(file, &options) {
        Ok(Loaded::Source(source)) => Ok(source),
        Ok(Loaded::Compiled(_)) => Err(format!("{}: is compiled already", file.display())),
        Err(error) => Err(error.to_string()),
    }
}

/// One core against two with a shipped vocabulary.
///
/// # Errors
/// When the sample or the vocabulary cannot be read, or there are not two cores.
pub fn cores(name: &str, sample: &Path, rounds: usize) -> Result<Cores, String> {
    let sample = Sample::read(sample).map_err(|error| error.to_string())?;
    let vocabulary = open(name)?;
    let texts = sample.texts().unwrap_or_default();
    cores::measure(&texts, rounds, || OneByOne::new(&vocabulary))
}

/// The memory of a shipped vocabulary and of an encoder that has passed over a sample, and how long
/// compiling takes.
///
/// # Errors
/// When the sample or the vocabulary cannot be read, or its file not be written.
pub fn memory(name: &str, sample: &Path, rounds: usize) -> Result<Memory, String> {
    let sample = Sample::read(sample).map_err(|error| error.to_string())?;
    let source = shipped(name).ok_or_else(|| format!("no vocabulary {name} is shipped"))?;
    let compile_ms = (0..rounds.max(1)).map(|_| {
        let start = Instant::now();
        compile(&source).map(|_| start.elapsed().as_secs_f64() * 1e3)
    });
    let compile_ms = Spread::of(compile_ms.collect::<Result<_, _>>()?);
    let vocabulary = open(name)?;
    let mut ids = Vec::with_capacity(1 << 16);
    let before = live_bytes();
    let mut encoder = Encoder::new(Arc::clone(&vocabulary));
    for text in sample.texts().unwrap_or_default() {
        ids.clear();
        encoder.encode_into(text.as_bytes(), &mut ids).map_err(|error| error.to_string())?;
    }
    let private = live_bytes() - before;
    drop(encoder);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("vocabulary.pfsv");
    vocabulary.write_v3(&file).map_err(|error| error.to_string())?;
    let shared = fs::metadata(&file).map_err(|error| error.to_string())?.len();
    let private_bytes = u64::try_from(private).unwrap_or(0);
    Ok(Memory { shared_bytes: shared, private_bytes, compile_ms })
}

/// Writes the ids of a sample's texts to standard output as little-endian `u32`, text after text:
/// of whole texts, of batches, or of streams that bring a packet at a time.
///
/// # Errors
/// When the sample or the vocabulary cannot be read, or nothing can be written.
pub fn write_ids(engine: &str, name: &str, file: &Path, sample: &Path) -> Result<(), String> {
    let sample = Sample::read(sample).map_err(|error| error.to_string())?;
    let vocabulary = match engine {
        "pfs-greedy" => compile(&longest_match(name, file)?)?,
        _ => open(name)?,
    };
    let mut one = OneByOne::new(&vocabulary);
    let mut ids = Vec::new();
    let texts = sample.texts().unwrap_or_default();
    match engine {
        "pfs" | "pfs-greedy" => texts.iter().for_each(|text| one.ids(text, &mut ids)),
        "pfs-batch" => {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            let encoded = one.encoder.encode_batch(&texts, &mut ids, &mut Vec::new());
            encoded.map_err(|error| error.to_string())?;
        }
        "pfs-stream" => {
            texts.iter().try_for_each(|text| stream(&mut one.encoder, text, &mut ids))?;
        }
        _ => return Err(format!("no engine {engine}: pfs, pfs-batch, pfs-stream, pfs-greedy")),
    }
    let raw: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    std::io::Write::write_all(&mut std::io::stdout(), &raw).map_err(|error| error.to_string())
}

/// Encodes `text` as packets bring it, cut wherever they end.
fn stream(encoder: &mut Encoder, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
    let mut state = StreamState::default();
    for part in text.as_bytes().chunks(PACKET) {
        encoder.push(&mut state, part, ids).map_err(|error| error.to_string())?;
    }
    encoder.finish(&mut state, ids);
    Ok(())
}
