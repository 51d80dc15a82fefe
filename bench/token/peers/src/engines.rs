//! The peers, each called in the way that costs it least.

use std::path::Path;

use base64::Engine as _;
use daachorse::{DoubleArrayAhoCorasick, DoubleArrayAhoCorasickBuilder, MatchKind};
use tokenizers::pipeline::{EncodeOptions, PipelineToken, PipelineTokenizer};

use crate::trial::Engine;

/// Tokens of a `.tiktoken` file.
pub struct Ranks(Vec<(Vec<u8>, u32)>);

impl Ranks {
    pub fn read(path: &Path) -> Result<Self, String> {
        let wrong = |line: &str| format!("{}: not a rank: {line}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let token = |line: &str| {
            let (token, rank) = line.split_once(' ')?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(token).ok()?;
            Some((bytes, rank.parse().ok()?))
        };
        let each = |line| token(line).ok_or_else(|| wrong(line));
        text.lines().map(each).collect::<Result<_, _>>().map(Self)
    }
}

/// `tokenizers`.
pub struct HuggingFace {
    pipeline: PipelineTokenizer,
    options: EncodeOptions,
    out: Vec<PipelineToken>,
}

impl HuggingFace {
    pub fn open(json: &Path) -> Result<Self, String> {
        let pipeline = tokenizers::from_json_file(json).map_err(|error| error.to_string())?;
        Ok(Self { pipeline, options: EncodeOptions::no_specials(), out: Vec::new() })
    }
}

impl Engine for HuggingFace {
    fn encode(&mut self, text: &str) -> usize {
        self.out.clear();
        self.pipeline.encode_into(text, &self.options, &mut self.out).expect("encodes");
        self.out.len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode(text);
        ids.extend(self.out.iter().map(|token| u32::from(*token)));
    }
}

/// `fastokens`.
pub struct Fastokens(fastokens::Tokenizer);

impl Fastokens {
    pub fn open(json: &Path) -> Result<Self, String> {
        fastokens::Tokenizer::from_file(json).map(Self).map_err(|error| error.to_string())
    }

    pub fn from_ranks(ranks: &Path, vocabulary: &str) -> Result<Self, String> {
        let config = fastokens::TiktokenConfig::from_preset(vocabulary);
        let config = config.ok_or_else(|| format!("no preset for {vocabulary}"))?;
        fastokens::Tokenizer::from_tiktoken_file(ranks, config)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl Engine for Fastokens {
    fn encode(&mut self, text: &str) -> usize {
        self.0.encode(text).expect("encodes").len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        ids.extend(self.0.encode(text).expect("encodes"));
    }
}

/// `tiktoken-rs`.
pub struct Tiktoken(&'static tiktoken_rs::CoreBPE);

impl Tiktoken {
    pub fn open(vocabulary: &str) -> Result<Self, String> {
        match vocabulary {
            "r50k_base" => Ok(Self(tiktoken_rs::r50k_base_singleton())),
            "cl100k_base" => Ok(Self(tiktoken_rs::cl100k_base_singleton())),
            "o200k_base" => Ok(Self(tiktoken_rs::o200k_base_singleton())),
            _ => Err(format!("no {vocabulary}")),
        }
    }
}

impl Engine for Tiktoken {
    fn encode(&mut self, text: &str) -> usize {
        self.0.encode_ordinary(text).len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        ids.extend(self.0.encode_ordinary(text));
    }
}

/// `bpe-openai`.
pub struct OpenAi(&'static bpe_openai::Tokenizer);

impl OpenAi {
    pub fn open(vocabulary: &str) -> Result<Self, String> {
        match vocabulary {
            "cl100k_base" => Ok(Self(bpe_openai::cl100k_base())),
            "o200k_base" => Ok(Self(bpe_openai::o200k_base())),
            _ => Err(format!("no {vocabulary}")),
        }
    }
}

impl Engine for OpenAi {
    fn encode(&mut self, text: &str) -> usize {
        self.0.encode(text).len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        ids.extend(self.0.encode(text));
    }
}

/// `daachorse`: leftmost-longest over bytes; the ids go to a vector as a tokenizer's do.
pub struct Daachorse {
    automaton: DoubleArrayAhoCorasick<u32>,
    out: Vec<u32>,
}

impl Daachorse {
    pub fn build(tokens: &Ranks) -> Result<Self, String> {
        let patterns = tokens.0.iter().map(|(bytes, id)| (bytes, *id));
        let automaton = DoubleArrayAhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build_with_values(patterns)
            .map_err(|error| error.to_string())?;
        Ok(Self { automaton, out: Vec::new() })
    }
}

impl Engine for Daachorse {
    fn encode(&mut self, text: &str) -> usize {
        self.out.clear();
        self.out.extend(self.automaton.leftmost_find_iter(text).map(|found| found.value()));
        self.out.len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode(text);
        ids.extend(&self.out);
    }
}

/// `yada`: the longest of the common prefixes, again and again. It takes no key with a NUL byte.
pub struct Yada {
    trie: yada::DoubleArray<Vec<u8>>,
    out: Vec<u32>,
}

impl Yada {
    pub fn build(tokens: &Ranks) -> Result<Self, String> {
        let mut keys: Vec<(&[u8], u32)> = tokens.0.iter().map(|(b, id)| (b.as_slice(), *id)).collect();
        keys.retain(|(bytes, _)| !bytes.contains(&0));
        keys.sort_unstable();
        let built = yada::builder::DoubleArrayBuilder::build(&keys);
        let trie = yada::DoubleArray::new(built.map_err(|error| format!("{error:?}"))?);
        Ok(Self { trie: trie.map_err(|error| format!("{error:?}"))?, out: Vec::new() })
    }
}

impl Engine for Yada {
    fn encode(&mut self, text: &str) -> usize {
        self.out.clear();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.trie.common_prefix_search(rest).last() {
                Some((id, length)) => {
                    self.out.push(id);
                    rest = &rest[length..];
                }
                None => rest = &rest[1..],
            }
        }
        self.out.len()
    }

    fn ids(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode(text);
        ids.extend(&self.out);
    }
}
