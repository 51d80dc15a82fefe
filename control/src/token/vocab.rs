//! `pfs vocab`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use pfs_dataplane::ops::token::pfs_token::formats::sections::{SectionWriter, Stored};
use pfs_dataplane::ops::token::pfs_token::formats::{self, Loaded, dat, tiktoken};
use pfs_dataplane::ops::token::pfs_token::profile::{self, BuildOptions};
use pfs_dataplane::ops::token::pfs_token::vocab::{Grammar, Mode, VocabSource, shipped};
use pfs_dataplane::ops::token::pfs_token::{VocabError, Vocabulary};
use serde::Serialize;

use super::{BuildArgs, VocabCommand, VocabFormat, open};
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::count;

/// `pfs vocab`.
///
/// # Errors
/// A vocabulary cannot be read or written.
pub(crate) fn vocab(command: &VocabCommand) -> Result<(), Failure> {
    match command {
        VocabCommand::List => list(),
        VocabCommand::Info { vocab, json } => info(vocab, *json),
        VocabCommand::Compile { vocab, output } => {
            open(vocab)?.write_v3(output).map_err(Failure::failed)
        }
        VocabCommand::Convert { vocab, to, output } => convert(&source(vocab)?, *to, output),
        VocabCommand::Build(args) => build(args),
    }
}

fn list() -> Result<(), Failure> {
    let mut text = format!("{:<16}{:>10}{:>10}  {}\n", "name", "tokens", "special", "how");
    for name in Vocabulary::shipped_names() {
        let Some(source) = shipped(name) else { continue };
        text += &format!(
            "{name:<16}{:>10}{:>10}  {}\n",
            count(source.tokens.len() as u64),
            source.specials.len(),
            how(source.mode, source.grammar)
        );
    }
    out::print(&text)
}

fn how(mode: Mode, grammar: Grammar) -> String {
    match (mode, grammar) {
        (Mode::Greedy, _) => "longest match".into(),
        (Mode::Bpe, Grammar::Whole) => "byte-pair encoding of the whole text".into(),
        (Mode::Bpe, Grammar::R50k) => "byte-pair encoding, split as r50k_base".into(),
        (Mode::Bpe, Grammar::Cl100k { digits: 3 }) => {
            "byte-pair encoding, split as cl100k_base".into()
        }
        (Mode::Bpe, Grammar::Cl100k { digits }) => {
            format!("byte-pair encoding, split as cl100k_base with up to {digits} digits")
        }
        (Mode::Bpe, Grammar::O200k) => "byte-pair encoding, split as o200k_base".into(),
        (Mode::Bpe, _) => "byte-pair encoding".into(),
    }
}

/// What is told of a vocabulary.
#[derive(Serialize)]
struct Info {
    name: String,
    how: String,
    /// Ordinary and special ones.
    tokens: usize,
    longest_bytes: usize,
    special: HashMap<String, u32>,
    /// SHA-256 of its content, in hexadecimal.
    hash: String,
    memory_bytes: usize,
    opened_ms: f64,
}

fn info(name: &str, json: bool) -> Result<(), Failure> {
    let began = Instant::now();
    let vocab = open(name)?;
    let opened_ms = began.elapsed().as_secs_f64() * 1e3;
    let info = Info {
        name: vocab.name().to_owned(),
        how: how(vocab.mode(), vocab.grammar()),
        tokens: vocab.len(),
        longest_bytes: vocab.longest(),
        special: vocab.specials().iter().map(|s| (s.text.clone(), s.id)).collect(),
        hash: vocab.hash().iter().map(|byte| format!("{byte:02x}")).collect(),
        memory_bytes: vocab.memory(),
        opened_ms,
    };
    if json {
        return out::json(&info);
    }
    let mut special: Vec<_> = info.special.iter().map(|(text, id)| (id, text)).collect();
    special.sort();
    let special: Vec<String> = special.iter().map(|(id, text)| format!("{text} = {id}")).collect();
    out::print(&format!(
        "{}: {}\ntokens    {}, the longest of {} bytes\nspecial   {}\nhash      {}\nmemory    {} B\nopened in {:.1} ms\n",
        info.name,
        info.how,
        count(info.tokens as u64),
        info.longest_bytes,
        if special.is_empty() { "none".to_owned() } else { special.join(", ") },
        info.hash,
        count(info.memory_bytes as u64),
        info.opened_ms
    ))
}

/// What a vocabulary says, before it is compiled.
fn source(name: &str) -> Result<VocabSource, Failure> {
    if let Some(source) = shipped(name) {
        return Ok(source);
    }
    let path = Path::new(name);
    if !path.exists() {
        let shipped = Vocabulary::shipped_names();
        let missing = VocabError::NotFound { name: name.to_owned(), shipped };
        return Err(Failure::failed(missing));
    }
    match formats::read(path).map_err(Failure::failed)? {
        Loaded::Source(source) => Ok(source),
        Loaded::Compiled(mut reader) => VocabSource::read(&mut reader).map_err(Failure::failed),
    }
}

fn convert(source: &VocabSource, to: VocabFormat, output: &Path) -> Result<(), Failure> {
    let written = match to {
        VocabFormat::Tiktoken => tiktoken::write(source),
        VocabFormat::Dat => dat::write(source),
        VocabFormat::V3 => {
            let mut writer = SectionWriter::new();
            source.write(&mut writer);
            writer.finish()
        }
    };
    let content = written.map_err(Failure::failed)?;
    formats::save(output, &content).map_err(Failure::failed)
}

fn build(args: &BuildArgs) -> Result<(), Failure> {
    let mut texts = Vec::new();
    for path in &args.texts {
        texts
            .push(fs::read(path).map_err(|error| {
                Failure::failed(format!("reading {}: {error}", path.display()))
            })?);
    }
    let stem = || args.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let options = BuildOptions {
        name: args.name.clone().unwrap_or_else(stem),
        size: args.size,
        longest: args.longest,
        threads: args.threads.unwrap_or(0),
        ..BuildOptions::default()
    };
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let bar = Progress::new(Some(1000));
    let mut show = |at: profile::Progress| {
        if !bar.is_log() {
            let done = at.done as u64 * 1000 / at.of.max(1) as u64;
            let tokens = count(at.tokens as u64);
            bar.show(done, format!("{tokens} tokens, {:.3} bits a byte", at.bits_per_byte));
        }
    };
    let built = profile::build(&texts, &options, &mut show);
    bar.end();
    let built = built.map_err(Failure::failed)?;
    convert(&built.source, VocabFormat::V3, &args.output)?;
    out::print(&format!(
        "{}: {} tokens, {:.3} bits and {:.3} tokens a byte of {} B\n",
        options.name,
        count(built.source.tokens.len() as u64),
        built.measure.bits_per_byte,
        1.0 / built.measure.bytes_per_token(),
        count(built.measure.bytes)
    ))
}
