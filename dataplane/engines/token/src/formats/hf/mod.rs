//! Hugging Face `tokenizer.json`: byte-level BPE as GPT-2, Llama 3, Qwen 2 and their kin have it.
//!
//! The vocabulary that is read gives the ids of `encode(text, add_special_tokens=False)`, without
//! truncation and padding. Whatever else the file asks for that would change ids is refused by name.

mod alphabet;
mod json;
mod pattern;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::FormatError;
use crate::vocab::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};
use json::{Added, File, Model};

/// Name of the format in messages.
pub(crate) const FORMAT: &str = "tokenizer.json";

/// Reads a byte-level BPE tokenizer.
///
/// Added tokens, special or not, become [`Special`] ones: the library cuts all of them out of the
/// text before anything else. An entry of the vocabulary that is an added token, and that no merge
/// uses or gives, is not an ordinary token besides.
///
/// # Errors
/// [`FormatError::Json`] for what is no JSON of this shape; [`FormatError::Unsupported`] for
/// another model than BPE, another pre-tokenizer than byte level with a known pattern, a normalizer,
/// and options that change ids; [`FormatError::Invalid`] and [`FormatError::Source`] for entries that
/// contradict each other.
pub fn read(text: &[u8], name: &str) -> Result<VocabSource, FormatError> {
    let file: File<'_> = serde_json::from_slice(text)
        .map_err(|source| FormatError::Json { format: FORMAT, source })?;
    check_model(&file.model)?;
    refuse_normalizer(file.normalizer.as_ref())?;
    let grammar = pattern::grammar(file.pre_tokenizer.as_ref())?;
    pattern::check_decoder(file.decoder.as_ref())?;
    let vocab = &file.model.vocab.0;
    let ids = index(vocab)?;
    let merges = merges(&file.model, &ids)?;
    let specials = specials(&file.added_tokens, &ids)?;
    let source = VocabSource {
        name: name.to_owned(),
        mode: Mode::Bpe,
        tokens: ordinary(&file, &merges)?,
        ranks: Ranks::Merges(merges),
        whole_piece_first: file.model.ignore_merges,
        grammar,
        specials,
        unknown: Unknown::AddBytes,
    };
    source.check().map_err(|source| FormatError::Source { format: FORMAT, source })?;
    Ok(source)
}

type Index<'a> = HashMap<&'a str, u32, RandomState>;

/// Ids by the token's text as the file writes it.
fn index<'a>(vocab: &'a [(Cow<'a, str>, u32)]) -> Result<Index<'a>, FormatError> {
    let mut ids = HashMap::with_capacity_and_hasher(vocab.len(), RandomState::default());
    for (text, id) in vocab {
        if ids.insert(text.as_ref(), *id).is_some() {
            return Err(FormatError::invalid(
                FORMAT,
                format!("`{text}` is in the vocabulary twice"),
            ));
        }
    }
    Ok(ids)
}

fn unsupported(found: impl Into<String>, supported: &'static str) -> FormatError {
    FormatError::Unsupported { format: FORMAT, found: found.into(), supported }
}

fn check_model(model: &Model<'_>) -> Result<(), FormatError> {
    // Files from before the field had none, for BPE alone.
    match model.kind.as_deref() {
        None | Some("BPE") => {}
        Some(kind) => {
            let supported = "only byte-level BPE is; WordPiece, Unigram and WordLevel are not";
            return Err(unsupported(format!("model type {kind}"), supported));
        }
    }
    let affix = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    if affix(&model.continuing_subword_prefix) {
        return Err(unsupported("continuing_subword_prefix", "byte-level BPE has none"));
    }
    if affix(&model.end_of_word_suffix) {
        return Err(unsupported("end_of_word_suffix", "byte-level BPE has none"));
    }
    if model.byte_fallback {
        let supported = "byte-level BPE, whose characters stand for bytes, is";
        return Err(unsupported("byte_fallback (SentencePiece-like BPE)", supported));
    }
    if model.dropout.is_some_and(|share| share > 0.0) {
        return Err(unsupported("dropout", "only encoding that gives the same ids each time is"));
    }
    Ok(())
}

fn refuse_normalizer(normalizer: Option<&serde_json::Value>) -> Result<(), FormatError> {
    let Some(value) = normalizer else { return Ok(()) };
    let kind = value.get("type").and_then(|t| t.as_str()).unwrap_or("without a type");
    let empty = value.get("normalizers").and_then(|n| n.as_array()).is_some_and(Vec::is_empty);
    if kind == "Sequence" && empty {
        return Ok(());
    }
    let supported = "bytes are encoded as they are; set `normalizer` to null if the text is \
                     normalized already";
    Err(unsupported(format!("normalizer {kind}"), supported))
}

/// The merges as ids, in the order of the list.
fn merges(model: &Model<'_>, ids: &Index<'_>) -> Result<Vec<(u32, u32)>, FormatError> {
    let id = |text: &str, at: usize| {
        ids.get(text).copied().ok_or_else(|| {
            let cause = format!("merge {at} names `{text}`, which is not in the vocabulary");
            FormatError::invalid(FORMAT, cause)
        })
    };
    let pairs = model.merges.iter().enumerate();
    pairs.map(|(at, merge)| Ok((id(&merge.0, at)?, id(&merge.1, at)?))).collect()
}

/// The vocabulary's entries as bytes, by ascending id, without those that are added tokens only.
fn ordinary(file: &File<'_>, merges: &[(u32, u32)]) -> Result<Vec<(u32, Vec<u8>)>, FormatError> {
    let mut tokens = Vec::with_capacity(file.model.vocab.0.len());
    let mut aside = Vec::new();
    let added: HashSet<u32, RandomState> = file.added_tokens.iter().map(|added| added.id).collect();
    for (text, id) in &file.model.vocab.0 {
        let bytes = alphabet::bytes(text);
        if added.contains(id) {
            aside.extend(bytes.map(|bytes| (*id, bytes)));
            continue;
        }
        let bytes = bytes.ok_or_else(|| {
            let found = format!("`{text}`, which has characters that stand for no byte,");
            unsupported(found, "the vocabulary of byte-level BPE is in GPT-2's byte alphabet")
        })?;
        tokens.push((*id, bytes));
    }
    if !aside.is_empty() {
        let mut used = HashSet::with_hasher(RandomState::default());
        used.extend(merges.iter().flat_map(|&(left, right)| [left, right]));
        let made = made(file, merges, &aside);
        tokens.extend(aside.into_iter().filter(|(id, bytes)| {
            bytes.len() == 1 || used.contains(id) || made.contains(bytes.as_slice())
        }));
    }
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// Which of `aside` a merge gives.
fn made(file: &File<'_>, merges: &[(u32, u32)], aside: &[(u32, Vec<u8>)]) -> HashSet<Vec<u8>> {
    let sought: HashSet<&[u8]> = aside.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let texts = file.model.merges.iter().take(merges.len());
    texts
        .filter_map(|merge| alphabet::bytes(&[merge.0.as_ref(), merge.1.as_ref()].concat()))
        .filter(|bytes| sought.contains(bytes.as_slice()))
        .collect()
}

/// Added tokens by ascending id.
fn specials(added: &[Added<'_>], ids: &Index<'_>) -> Result<Vec<Special>, FormatError> {
    let mut specials = Vec::with_capacity(added.len());
    for token in added {
        let text = &token.content;
        if token.lstrip || token.rstrip || token.single_word {
            let found = format!("added token `{text}` with lstrip, rstrip or single_word");
            return Err(unsupported(found, "added tokens are found wherever their text stands"));
        }
        if let Some(&id) = ids.get(text.as_ref()).filter(|id| **id != token.id) {
            let cause =
                format!("added token `{text}` has id {}, in the vocabulary it has {id}", token.id);
            return Err(FormatError::invalid(FORMAT, cause));
        }
        specials.push(Special { id: token.id, text: text.clone().into_owned() });
    }
    specials.sort_by_key(|special| special.id);
    Ok(specials)
}

/// Whether the object `text` can be such a file: one with an object under the key `model`.
///
/// Crayon's maps have numbers there, and a quoted key inside a string has its quotes escaped.
pub(crate) fn looks_like(text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, b"\"model\"").any(|at| {
        let rest = text[at + 7..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"{"))
    })
}

/// A grammar for a split pattern, where it is one of the known ones.
#[must_use]
pub fn grammar_of_pattern(pattern: &str) -> Option<Grammar> {
    pattern::known(pattern)
}

#[cfg(test)]
mod tests;
