//! Opening a vocabulary file of any format.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::sections::{self, Residence, SectionReader};
use super::{FormatError, crayon, dat, hf, tiktoken};
use crate::vocab::{Grammar, Unknown, VocabSource, grammar_and_specials};

/// Largest file that is read into memory, far above the largest vocabulary.
const MAX_FILE: u64 = 1 << 30;

/// What a file does not say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// How text is cut, for a `.tiktoken` whose name is not that of a shipped vocabulary.
    pub grammar: Option<Grammar>,
    /// What a byte without a token becomes, for Crayon's formats.
    pub unknown: Unknown,
    /// Where a v3 file stays while it is used.
    pub residence: Residence,
}

impl Default for ReadOptions {
    fn default() -> Self {
        let residence = Residence::default();
        Self { grammar: None, unknown: Unknown::AddBytes, residence }
    }
}

/// What a vocabulary file holds.
#[derive(Debug)]
pub enum Loaded {
    /// Tokens and rules, to be compiled.
    Source(VocabSource),
    /// A v3 file with compiled tables.
    Compiled(SectionReader),
}

/// Reads the vocabulary at `path`, whose format is told by its content.
///
/// # Errors
/// As [`read_with`].
pub fn read(path: &Path) -> Result<Loaded, FormatError> {
    read_with(path, &ReadOptions::default())
}

/// Reads the vocabulary at `path`, whose format is told by its content; its name is the file's stem,
/// or the folder's for a `tokenizer.json`.
///
/// # Errors
/// [`FormatError::Io`], [`FormatError::Unrecognized`], or what is wrong with the file.
pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Loaded, FormatError> {
    let mut file = File::open(path).map_err(FormatError::io("open", path))?;
    let mut magic = Vec::new();
    let head = (&mut file).take(sections::MAGIC.len() as u64).read_to_end(&mut magic);
    head.map_err(FormatError::io("read", path))?;
    if magic == sections::MAGIC {
        return SectionReader::open(path, options.residence).map(Loaded::Compiled);
    }
    file.seek(SeekFrom::Start(0)).map_err(FormatError::io("read", path))?;
    let mut content = Vec::new();
    let whole = file.take(MAX_FILE + 1).read_to_end(&mut content);
    whole.map_err(FormatError::io("read", path))?;
    read_bytes(&content, &name_of(path), options)
}

/// As [`read_with`], over the content of a file that would be named `name`.
///
/// # Errors
/// [`FormatError::Unrecognized`], or what is wrong with the content.
pub fn read_bytes(
    content: &[u8],
    name: &str,
    options: &ReadOptions,
) -> Result<Loaded, FormatError> {
    if content.len() as u64 > MAX_FILE {
        let (what, found) = ("its length in bytes", content.len() as u64);
        return Err(FormatError::TooLarge { format: "vocabulary", what, found, limit: MAX_FILE });
    }
    if content.starts_with(&sections::MAGIC) {
        return SectionReader::from_bytes(content).map(Loaded::Compiled);
    }
    if content.starts_with(&dat::MAGIC) {
        return dat::read(content, name, options.unknown).map(Loaded::Source);
    }
    let source = match content.trim_ascii_start().first() {
        Some(b'{') if hf::looks_like(content) => hf::read(content, name)?,
        Some(b'{' | b'[') => crayon::read(content, name, options.unknown)?,
        Some(_) if tiktoken::looks_like(content) => ranks(content, name, options)?,
        _ => {
            let start = content[..content.len().min(8)].to_vec();
            return Err(FormatError::Unrecognized { start });
        }
    };
    Ok(Loaded::Source(source))
}

/// A rank list, cut as its name or the caller says.
fn ranks(content: &[u8], name: &str, options: &ReadOptions) -> Result<VocabSource, FormatError> {
    let known = grammar_and_specials(name);
    let grammar = options.grammar.or(known.as_ref().map(|(grammar, _)| *grammar));
    let Some(grammar) = grammar else {
        let found = format!("`{name}`, a rank list that does not say how text is cut,");
        let supported = "name the file as the shipped vocabulary that cuts alike \
                         (r50k_base, cl100k_base, o200k_base), or give a grammar";
        return Err(FormatError::Unsupported { format: tiktoken::FORMAT, found, supported });
    };
    tiktoken::read(content, name, grammar, known.map(|(_, specials)| specials).unwrap_or_default())
}

fn name_of(path: &Path) -> String {
    let of = |part: Option<&std::ffi::OsStr>| part.map(|s| s.to_string_lossy().into_owned());
    let folder = || of(path.parent().and_then(Path::file_name));
    let stem = of(path.file_stem()).unwrap_or_default();
    if stem == "tokenizer" { folder().unwrap_or(stem) } else { stem }
}

/// Puts a file with `content` in the place of `path`, whole or not at all.
///
/// # Errors
/// [`FormatError::Io`]; `path` is then as it was.
pub fn save(path: &Path, content: &[u8]) -> Result<(), FormatError> {
    sections::replace(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::sections::{SectionWriter, Stored};
    use crate::vocab::{Mode, shipped};

    fn source(content: &[u8], name: &str) -> Result<VocabSource, FormatError> {
        match read_bytes(content, name, &ReadOptions::default())? {
            Loaded::Source(source) => Ok(source),
            Loaded::Compiled(mut reader) => VocabSource::read(&mut reader),
        }
    }

    #[test]
    fn formats_are_told_apart_by_content() {
        let r50k = shipped("r50k_base").unwrap();
        let list = tiktoken::write(&r50k).unwrap();
        assert_eq!(source(&list, "r50k_base").unwrap(), r50k);
        let mut writer = SectionWriter::new();
        r50k.write(&mut writer);
        assert_eq!(source(&writer.finish().unwrap(), "any").unwrap(), r50k);
        let words = source(br#" ["a", "bc"]"#, "words").unwrap();
        assert_eq!((words.mode, words.tokens.len()), (Mode::Greedy, 2));
        assert_eq!(source(&dat::write(&words).unwrap(), "words").unwrap(), words);
        let map = source(br#"{"model": 1, "normalizer": 0}"#, "words").unwrap();
        assert_eq!(map.tokens[1], (1, b"model".to_vec()), "no tokenizer.json");
        let unigram = source(br#"{"model" : {"type": "Unigram", "vocab": []}}"#, "x").unwrap_err();
        assert!(unigram.to_string().contains("Unigram"), "{unigram}");
        for other in [&b""[..], b"\x89PNG\r\n", b"hello world", b"CRA", b"PFSVOCA"] {
            let error = source(other, "x").unwrap_err();
            assert!(matches!(error, FormatError::Unrecognized { .. }), "{other:?}: {error}");
        }
    }

    #[test]
    fn a_rank_list_of_unknown_name_needs_a_grammar() {
        let list = tiktoken::write(&shipped("r50k_base").unwrap()).unwrap();
        assert!(matches!(source(&list, "mine"), Err(FormatError::Unsupported { .. })));
        let options = ReadOptions { grammar: Some(Grammar::O200k), ..ReadOptions::default() };
        let Loaded::Source(mine) = read_bytes(&list, "mine", &options).unwrap() else {
            panic!("a list")
        };
        assert_eq!((mine.grammar, mine.specials.len()), (Grammar::O200k, 0));
    }

    #[test]
    fn files_are_read_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.json");
        save(&path, br#"["a"]"#).unwrap();
        let Loaded::Source(words) = read(&path).unwrap() else { panic!("a list") };
        assert_eq!(words.name, "words");
        let mut writer = SectionWriter::new();
        words.write(&mut writer);
        writer.write_to(&path).unwrap();
        assert!(matches!(read(&path).unwrap(), Loaded::Compiled(_)), "content, not name");
        assert!(matches!(read(folder.path()), Err(FormatError::Io { .. })), "a folder");
        assert!(matches!(read(&folder.path().join("no")), Err(FormatError::Io { .. })));
        assert_eq!(name_of(Path::new("/models/qwen2/tokenizer.json")), "qwen2");
    }
}
