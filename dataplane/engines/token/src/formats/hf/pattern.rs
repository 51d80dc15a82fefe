//! Pre-tokenizers: which grammar cuts as they do.

use serde_json::Value;

use super::{FORMAT, unsupported};
use crate::formats::FormatError;
use crate::vocab::Grammar;

const SUPPORTED: &str = "ByteLevel alone is, or a Sequence of Split by the pattern of GPT-2, \
                         cl100k, Llama 3, Qwen 2 or o200k and ByteLevel without its regex";

const CL100K_TAIL: &str = r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";
const LLAMA3_TAIL: &str = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3_HEAD: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|";
const CL100K_HEAD: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|";
const R50K: [&str; 2] = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
];
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// The grammar that cuts as `pattern` does, where it is one of the known ones.
///
/// The two forms of R50k cut alike: `\s++$` takes what `\s+(?!\S)` takes at the end of text. Those of
/// cl100k do not (see [`Grammar::Llama3`]).
pub(super) fn known(pattern: &str) -> Option<Grammar> {
    if R50K.contains(&pattern) {
        return Some(Grammar::R50k);
    }
    if pattern == O200K {
        return Some(Grammar::O200k);
    }
    if let Some(rest) = pattern.strip_prefix(LLAMA3_HEAD) {
        let digits = digits(rest.strip_suffix(LLAMA3_TAIL)?)?;
        return Some(Grammar::Llama3 { digits });
    }
    let rest = pattern.strip_prefix(CL100K_HEAD)?.strip_suffix(CL100K_TAIL)?;
    Some(Grammar::Cl100k { digits: digits(rest.strip_suffix('+').unwrap_or(rest))? })
}

/// Longest run of `\p{N}`, `\p{N}{1,2}` or `\p{N}{1,3}`.
fn digits(pattern: &str) -> Option<u8> {
    match pattern {
        r"\p{N}" => Some(1),
        r"\p{N}{1,2}" => Some(2),
        r"\p{N}{1,3}" => Some(3),
        _ => None,
    }
}

/// The grammar of the file's pre-tokenizer.
pub(super) fn grammar(pre_tokenizer: Option<&Value>) -> Result<Grammar, FormatError> {
    let Some(value) = pre_tokenizer else {
        return Err(unsupported("no pre-tokenizer (BPE over characters)", SUPPORTED));
    };
    match kind(value) {
        "ByteLevel" => byte_level(value),
        "Sequence" => {
            let steps = value.get("pretokenizers").and_then(Value::as_array).map(Vec::as_slice);
            match steps.unwrap_or_default() {
                [alone] => grammar(Some(alone)),
                [split, last] if kind(split) == "Split" && kind(last) == "ByteLevel" => {
                    if byte_level(last)? != Grammar::Whole {
                        let found = "Split before a ByteLevel that splits again";
                        return Err(unsupported(found, SUPPORTED));
                    }
                    by_split(split)
                }
                other => {
                    let kinds: Vec<_> = other.iter().map(kind).collect();
                    Err(unsupported(format!("pre-tokenizer [{}]", kinds.join(", ")), SUPPORTED))
                }
            }
        }
        other => Err(unsupported(format!("pre-tokenizer {other}"), SUPPORTED)),
    }
}

/// Decoders do not change ids; one that is not byte level says that the file is of another kind.
pub(super) fn check_decoder(decoder: Option<&Value>) -> Result<(), FormatError> {
    let Some(value) = decoder else { return Ok(()) };
    let steps = value.get("decoders").and_then(Value::as_array);
    let byte_level = |step: &Value| kind(step) == "ByteLevel";
    if byte_level(value) || steps.is_some_and(|steps| steps.iter().all(byte_level)) {
        return Ok(());
    }
    Err(unsupported(format!("decoder {}", kind(value)), "ByteLevel is"))
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or("without a type")
}

/// A field that is a boolean, with the library's default where it is left out.
fn flag(value: &Value, name: &'static str, default: bool) -> Result<bool, FormatError> {
    match value.get(name) {
        None => Ok(default),
        Some(Value::Bool(set)) => Ok(*set),
        Some(_) => Err(FormatError::invalid(FORMAT, format!("`{name}` is not true or false"))),
    }
}

fn byte_level(value: &Value) -> Result<Grammar, FormatError> {
    if flag(value, "add_prefix_space", true)? {
        let supported = "text is encoded as it is; false is supported";
        return Err(unsupported("ByteLevel with add_prefix_space", supported));
    }
    Ok(if flag(value, "use_regex", true)? { Grammar::R50k } else { Grammar::Whole })
}

fn by_split(value: &Value) -> Result<Grammar, FormatError> {
    let behavior = value.get("behavior").and_then(Value::as_str).unwrap_or_default();
    // The patterns match every character, so that nothing lies between matches to be removed.
    if !matches!((behavior, flag(value, "invert", false)?), ("Isolated", false) | ("Removed", true))
    {
        let found = format!("Split with behavior {behavior}");
        return Err(unsupported(found, "Isolated is, or Removed with invert"));
    }
    let pattern = value.get("pattern").and_then(|p| p.get("Regex")).and_then(Value::as_str);
    let Some(pattern) = pattern else {
        return Err(unsupported("Split without a Regex", SUPPORTED));
    };
    known(pattern).ok_or_else(|| unsupported(format!("split pattern `{pattern}`"), SUPPORTED))
}
