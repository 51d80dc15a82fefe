//! A vocabulary ready to encode with.

use std::path::Path;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::bpe::Bpe;
use crate::decode::{DecodeError, Tokens};
use crate::formats::FormatError;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};
use crate::formats::{self, Loaded};
use crate::greedy::Greedy;
use crate::pages::Granted;
use crate::trie::TrieError;
use crate::vocab::{Grammar, Mode, Ranks, SourceError, Special, Unknown, VocabSource};
use crate::words::{self, LongWords, WordTable};

/// A vocabulary that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabError {
    /// No shipped vocabulary and no file has this name.
    #[error("`{name}` is no vocabulary: shipped are {}; else name a file that is there", shipped.join(", "))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names of those that are shipped.
        shipped: &'static [&'static str],
    },
    /// Its file cannot be read or trusted.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It breaks a rule that all vocabularies keep.
    #[error("vocabulary `{name}`: {source}; correct its file")]
    Source {
        /// Its name.
        name: String,
        /// The rule.
        #[source]
        source: SourceError,
    },
    /// Its trie cannot be built.
    #[error("cannot compile the vocabulary: {0}")]
    Trie(#[from] TrieError),
    /// It has more tokens than numbers are there for.
    #[error("cannot compile {found} tokens, at most {most}; leave out tokens")]
    TooMany {
        /// Tokens that it has.
        found: usize,
        /// Most that can be.
        most: usize,
    },
}

/// What encodes what is not in the word table.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Byte-pair encoding.
    Bpe(Box<Bpe>),
    /// Longest match.
    Greedy(Box<Greedy>),
}

/// A compiled vocabulary: read-only, to be shared by all encoders as an [`std::sync::Arc`].
#[derive(Debug)]
pub struct Vocabulary {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) grammar: Grammar,
    ranks: Ranks,
    whole_piece_first: bool,
    unknown: Unknown,
    pub(crate) hash: [u8; 32],
    pub(crate) specials: Vec<Special>,
    /// Ids of special tokens that are no ordinary tokens, ascending.
    special_ids: Vec<u32>,
    /// Highest id of an ordinary token.
    last_ordinary: u32,
    pub(crate) tokens: Tokens,
    pub(crate) words: WordTable,
    pub(crate) long_words: LongWords,
    pub(crate) engine: Engine,
    /// Ordinary tokens and special ones.
    count: usize,
    longest: usize,
    /// Finds the specials' texts; made when it is first needed.
    finder: OnceLock<AhoCorasick>,
}

impl Vocabulary {
    /// Compiles `source`, with the words that come with this crate.
    ///
    /// # Errors
    /// As [`Vocabulary::compile_with_words`].
    pub fn compile(source: &VocabSource) -> Result<Self, VocabError> {
        let list = words::listed();
        Self::compile_with_words(source, list.iter())
    }

    /// Compiles `source` with `words` that are expected in the texts: those that become two to four
    /// tokens are looked up instead of being merged. Ids do not depend on them.
    ///
    /// # Errors
    /// The source breaks a rule ([`VocabSource::check`]) or has too many tokens.
    pub fn compile_with_words<'a>(
        source: &VocabSource,
        words: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, VocabError> {
        let checked = source.check();
        checked.map_err(|fault| VocabError::Source { name: source.name.clone(), source: fault })?;
        let mut table = words::Builder::default();
        let engine = match source.mode {
            Mode::Bpe => {
                let bpe = Bpe::build(source)?;
                table.add_bpe(&bpe, source, words);
                Engine::Bpe(Box::new(bpe))
            }
            Mode::Greedy => {
                let greedy = Greedy::compile(source)?;
                greedy.words(words, &mut table);
                Engine::Greedy(Box::new(greedy))
            }
        };
        Ok(Self::of(source, engine, table.build()))
    }

    /// The vocabulary of `source` with what was compiled from it.
    fn of(source: &VocabSource, engine: Engine, words: WordTable) -> Self {
        let whole: Box<dyn Fn(u32) -> bool> = match &engine {
            Engine::Bpe(bpe) => Box::new(bpe.whole_pieces(source)),
            Engine::Greedy(_) => Box::new(|_| true),
        };
        let listed = source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
        Self {
            name: source.name.clone(),
            mode: source.mode,
            grammar: source.grammar,
            ranks: source.ranks.clone(),
            whole_piece_first: source.whole_piece_first,
            unknown: source.unknown,
            hash: source.content_hash(),
            specials: source.specials.clone(),
            special_ids: special_only(source).map(|special| special.id).collect(),
            last_ordinary: source.tokens.last().map_or(0, |(id, _)| *id),
            tokens: spelled(source),
            words,
            long_words: LongWords::build(listed.filter(|(id, _)| whole(*id))),
            engine,
            count: counted(source),
            longest: source.tokens.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0),
            finder: OnceLock::new(),
        }
    }

    /// The shipped vocabulary of this name, compiled, or else that of the file at this path, whose
    /// format is told by its content.
    ///
    /// # Errors
    /// There is neither, or the file is no vocabulary.
    pub fn open(name_or_path: &str) -> Result<Self, VocabError> {
        if let Some(source) = crate::vocab::shipped(name_or_path) {
            return Self::compile(&source);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let (name, shipped) = (name_or_path.to_owned(), Self::shipped_names());
            return Err(VocabError::NotFound { name, shipped });
        }
        match formats::read(path)? {
            Loaded::Source(source) => Self::compile(&source),
            Loaded::Compiled(mut reader) => Self::from_sections(&mut reader),
        }
    }

    /// The vocabulary that a v3 file holds; one that holds a source alone is compiled.
    ///
    /// # Errors
    /// The file is damaged, or its parts contradict each other.
    pub fn from_sections(reader: &mut SectionReader) -> Result<Self, VocabError> {
        let source = VocabSource::read(reader)?;
        if !reader.has("words") {
            return Self::compile(&source);
        }
        let checked = source.check();
        checked.map_err(|fault| VocabError::Source { name: source.name.clone(), source: fault })?;
        let words = WordTable::read(reader)?;
        let engine = match source.mode {
            Mode::Bpe => {
                let mut bpe = Bpe::read(reader)?;
                bpe.find_certain(&source);
                Engine::Bpe(Box::new(bpe))
            }
            Mode::Greedy => Engine::Greedy(Box::new(Greedy::read(reader)?)),
        };
        let vocab = Self::of(&source, engine, words);
        vocab.check_compiled(&source)?;
        Ok(vocab)
    }

    /// Refuses tables that are not those of `source`: tokens spelled otherwise, words whose ids are
    /// not their bytes.
    fn check_compiled(&self, source: &VocabSource) -> Result<(), FormatError> {
        let wrong = |table, cell, cause| FormatError::Cell { table, cell, cause };
        if let Engine::Bpe(bpe) = &self.engine {
            for (at, (id, bytes)) in bpe.spelled().enumerate() {
                if source.token(id) != Some(&bytes) {
                    return Err(wrong("bpe", at, "its id is not the token of its bytes"));
                }
            }
        }
        let greedy = matches!(self.engine, Engine::Greedy(_));
        for (at, (word, ids)) in self.words.words().enumerate() {
            let mut spelled = Vec::with_capacity(word.len());
            let known = self.tokens.decode_into(&ids, &mut spelled).is_ok();
            // An id for unknown bytes spells nothing, or another byte.
            if !greedy && (!known || spelled != word) {
                return Err(wrong("words", at, "its ids are not its bytes"));
            }
        }
        Ok(())
    }

    /// Writes the vocabulary with its compiled tables, for [`Vocabulary::open`] to map.
    ///
    /// # Errors
    /// The file cannot be written; what was at `path` is then still there.
    pub fn write_v3(&self, path: &Path) -> Result<(), VocabError> {
        self.sections().write_to(path)?;
        Ok(())
    }

    /// What a v3 file holds.
    pub(crate) fn sections(&self) -> SectionWriter {
        let mut writer = SectionWriter::new();
        self.source().write(&mut writer);
        self.words.write(&mut writer);
        match &self.engine {
            Engine::Bpe(bpe) => bpe.write(&mut writer),
            Engine::Greedy(greedy) => greedy.write(&mut writer),
        }
        writer
    }

    /// What the vocabulary says: the source that it was compiled from.
    #[must_use]
    pub fn source(&self) -> VocabSource {
        let ordinary = self.tokens.iter().take_while(|(id, _)| *id <= self.last_ordinary);
        let ordinary = ordinary.filter(|(id, _)| self.special_ids.binary_search(id).is_err());
        VocabSource {
            name: self.name.clone(),
            mode: self.mode,
            tokens: ordinary.map(|(id, bytes)| (id, bytes.to_vec())).collect(),
            ranks: self.ranks.clone(),
            whole_piece_first: self.whole_piece_first,
            grammar: self.grammar,
            specials: self.specials.clone(),
            unknown: self.unknown,
        }
    }

    /// Names of the vocabularies that come with this crate.
    #[must_use]
    pub fn shipped_names() -> &'static [&'static str] {
        crate::vocab::shipped_names()
    }

    /// Its name, for messages and reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How text becomes tokens.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How text is cut into pieces (BPE only).
    #[must_use]
    pub fn grammar(&self) -> Grammar {
        self.grammar
    }

    /// Number of tokens, special ones included.
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary has tokens")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes of the longest ordinary token.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// BLAKE3 of what the vocabulary says; see [`VocabSource::content_hash`].
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The bytes of token `id`, a special one's text included; `None` where there is no such token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id)
    }

    /// Its special tokens, by ascending id.
    #[must_use]
    pub fn specials(&self) -> &[Special] {
        &self.specials
    }

    /// Bytes of memory that its tables take together.
    #[must_use]
    pub fn memory(&self) -> usize {
        let engine = match &self.engine {
            Engine::Bpe(bpe) => bpe.memory(),
            Engine::Greedy(greedy) => greedy.memory(),
        };
        self.tokens.memory() + self.words.memory() + self.long_words.memory() + engine
    }

    /// What the word table's memory lies in.
    #[must_use]
    pub fn granted(&self) -> Granted {
        self.words.granted()
    }

    /// Number of words that are encoded by one look-up.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Appends the bytes of `ids` to `out`: exactly those that were encoded.
    ///
    /// # Errors
    /// At the first id that is no token; the bytes of those before it have been appended.
    pub fn decode_into(&self, ids: &[u32], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.tokens.decode_into(ids, out)
    }

    /// Finds the specials' texts; `None` where there are no specials.
    pub(crate) fn finder(&self) -> Option<&AhoCorasick> {
        if self.specials.is_empty() {
            return None;
        }
        Some(self.finder.get_or_init(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(self.specials.iter().map(|special| special.text.as_bytes()))
                .expect("texts of at most 4 KiB each make no automaton too large")
        }))
    }
}

/// The bytes of all ids: ordinary tokens, the specials that are none of them, and those that bytes
/// without a token get.
fn spelled(source: &VocabSource) -> Tokens {
    let mut all: Vec<(u32, Vec<u8>)> = source.tokens.clone();
    all.extend(special_only(source).map(|s| (s.id, s.text.clone().into_bytes())));
    if source.mode == Mode::Greedy && source.unknown == Unknown::AddBytes {
        let next = all.iter().map(|(id, _)| id + 1).max().unwrap_or(0);
        let mut lacking = [true; 256];
        for (_, bytes) in &source.tokens {
            if let [byte] = bytes[..] {
                lacking[usize::from(byte)] = false;
            }
        }
        let bytes = (0..=255u8).filter(|byte| lacking[usize::from(*byte)]);
        all.extend((next..).zip(bytes.map(|byte| vec![byte])));
    }
    all.sort_by_key(|(id, _)| *id);
    Tokens::build(all.iter().map(|(id, bytes)| (*id, bytes.as_slice())))
}

/// Number of distinct ids.
fn counted(source: &VocabSource) -> usize {
    source.tokens.len() + special_only(source).count()
}

/// The special tokens that are no ordinary ones.
fn special_only(source: &VocabSource) -> impl Iterator<Item = &Special> {
    source.specials.iter().filter(|special| source.token(special.id).is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Encoder;

    fn source(mode: Mode) -> VocabSource {
        let bytes = (0..=255u8).filter(|byte| mode == Mode::Bpe || *byte != 7);
        let words = [&b"ab"[..], b"abc", b"a longer token than a cell holds"].map(<[u8]>::to_vec);
        let tokens = bytes.map(|byte| vec![byte]).chain(words);
        VocabSource {
            name: "small".into(),
            mode,
            tokens: (0..).map(|n| n * 2).zip(tokens).collect(),
            ranks: Ranks::ById,
            whole_piece_first: true,
            grammar: Grammar::R50k,
            specials: vec![
                Special { id: 1, text: "<s>".into() },
                Special { id: 4, text: "x".into() },
            ],
            unknown: Unknown::AddBytes,
        }
    }

    #[test]
    fn a_vocabulary_says_what_its_source_said() {
        for mode in [Mode::Bpe, Mode::Greedy] {
            let source = source(mode);
            let vocab = Vocabulary::compile_with_words(&source, []).unwrap();
            assert_eq!(vocab.source(), source, "{mode:?}");
            assert_eq!(vocab.hash(), source.content_hash());
            assert_eq!(vocab.token(1), Some(&b"<s>"[..]));
            assert_eq!(vocab.len(), source.tokens.len() + 1, "special 4 is an ordinary token too");
            assert_eq!(vocab.longest(), 32);
        }
    }

    #[test]
    fn a_v3_file_encodes_as_what_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.v3");
        for mode in [Mode::Bpe, Mode::Greedy] {
            let vocab = Vocabulary::compile_with_words(&source(mode), [&b" abab"[..]]).unwrap();
            vocab.write_v3(&path).unwrap();
            let back = Vocabulary::open(path.to_str().unwrap()).unwrap();
            assert_eq!((back.hash(), back.words()), (vocab.hash(), vocab.words()));
            let text = b"abc abab\x07 a longer token than a cell holds, aba\xff".repeat(9);
            let [mut first, mut second] = [vec![], vec![]];
            Encoder::new(Arc::new(vocab)).encode_into(&text, &mut first).unwrap();
            Encoder::new(Arc::new(back)).encode_into(&text, &mut second).unwrap();
            assert_eq!(first, second, "{mode:?}");
        }
    }

    #[test]
    fn a_v3_file_with_anothers_words_is_refused() {
        let vocab = Vocabulary::compile_with_words(&source(Mode::Bpe), []).unwrap();
        let mut other = source(Mode::Bpe);
        // The same tokens with other ids.
        other.tokens.iter_mut().for_each(|(id, _)| *id += 10_000);
        let mut writer = SectionWriter::new();
        other.write(&mut writer);
        vocab.words.write(&mut writer);
        let Engine::Bpe(bpe) = &vocab.engine else { panic!("as its source says") };
        bpe.write(&mut writer);
        let file = writer.finish().unwrap();
        let read = Vocabulary::from_sections(&mut SectionReader::from_bytes(&file).unwrap());
        assert!(matches!(read, Err(VocabError::Format(FormatError::Cell { .. }))), "{read:?}");
    }

    #[test]
    fn what_is_not_there_is_told() {
        let error = Vocabulary::open("no_such_base").unwrap_err();
        assert!(matches!(error, VocabError::NotFound { .. }));
        assert!(error.to_string().contains("cl100k_base"), "{error}");
        let mut source = source(Mode::Bpe);
        source.tokens.remove(9);
        let error = Vocabulary::compile(&source).unwrap_err();
        assert!(matches!(error, VocabError::Source { .. }), "{error}");
    }

    #[test]
    fn cl100k_takes_less_than_16_mib() {
        let vocab = Vocabulary::open("cl100k_base").unwrap();
        assert_eq!((vocab.len(), vocab.longest()), (100_261, 128));
        assert!(vocab.memory() < 16 << 20, "{}", vocab.memory());
    }
}
