//! Crayon's JSON vocabularies: a list of tokens, or a map of tokens to numbers.
//!
//! In a list the index is the id. A map is sorted by its numbers, stably, and then numbered from 0,
//! as Crayon's own tools do; numbers without gaps are the ids. Either may be the value of a key `vocab`.
//! Of equal tokens the last has the id, and the empty one matches nothing: both as in Crayon.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::FormatError;
use crate::vocab::{Grammar, Mode, Ranks, Unknown, VocabSource};

/// Name of the format in messages.
pub(crate) const FORMAT: &str = "Crayon JSON";

/// Reads a vocabulary for longest match; bytes without a token are handled as `unknown` says.
///
/// # Errors
/// [`FormatError::Json`] for what is no JSON of these shapes; [`FormatError::Source`] for tokens that
/// are too long, or when there are none or too many.
pub fn read(text: &[u8], name: &str, unknown: Unknown) -> Result<VocabSource, FormatError> {
    let list: List<'_> = serde_json::from_slice(text)
        .map_err(|source| FormatError::Json { format: FORMAT, source })?;
    let tokens = last_of_equals(&list.0);
    let source = greedy(name, tokens, unknown);
    source.check().map_err(|source| FormatError::Source { format: FORMAT, source })?;
    Ok(source)
}

/// A vocabulary for longest match of tokens by ascending id.
pub(super) fn greedy(name: &str, tokens: Vec<(u32, Vec<u8>)>, unknown: Unknown) -> VocabSource {
    VocabSource {
        name: name.to_owned(),
        mode: Mode::Greedy,
        tokens,
        ranks: Ranks::ById,
        whole_piece_first: false,
        grammar: Grammar::Whole,
        specials: vec![],
        unknown,
    }
}

fn last_of_equals(list: &[Cow<'_, str>]) -> Vec<(u32, Vec<u8>)> {
    let mut last = HashMap::with_capacity_and_hasher(list.len(), RandomState::default());
    for (id, text) in (0u32..).zip(list) {
        last.insert(text.as_ref(), id);
    }
    (0u32..)
        .zip(list)
        .filter(|(id, text)| !text.is_empty() && last.get(text.as_ref()) == Some(id))
        .map(|(id, text)| (id, text.as_bytes().to_vec()))
        .collect()
}

/// The tokens in the order of their ids.
struct List<'a>(Vec<Cow<'a, str>>);

/// A string that borrows where the text has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What stands for a key of a map: a number, or the vocabulary under `vocab`.
enum Entry<'a> {
    Number(f64),
    List(List<'a>),
    Other,
}

struct ListVisitor;
struct EntryVisitor;

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ListVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(EntryVisitor)
    }
}

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tokens, or a map of tokens to numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Text(text)) = seq.next_element()? {
            list.push(text);
        }
        Ok(List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut numbered: Vec<(Cow<'de, str>, f64)> = Vec::new();
        let mut inner = None;
        let mut other = None;
        while let Some(Text(key)) = map.next_key()? {
            match map.next_value()? {
                Entry::Number(number) => numbered.push((key, number)),
                Entry::List(list) if key == "vocab" => inner = Some(list),
                Entry::List(_) | Entry::Other => other = Some(key),
            }
        }
        if let Some(list) = inner {
            return Ok(list);
        }
        if let Some(key) = other {
            return Err(A::Error::custom(format_args!("`{key}` is given no number")));
        }
        numbered.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        Ok(List(numbered.into_iter().map(|(key, _)| key).collect()))
    }
}

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Entry::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Entry::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Entry::Number(number))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Entry::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Entry::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Entry::Other)
    }

    /// A list of texts; one of anything else is read past.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element::<Item<'de>>()? {
            match item.0 {
                Some(text) => list.push(text),
                None => {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Entry::Other);
                }
            }
        }
        Ok(Entry::List(List(list)))
    }

    /// A map below a key: tokens to numbers where all values are numbers.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut numbered: Vec<(Cow<'de, str>, f64)> = Vec::new();
        let mut all = true;
        while let Some(Text(key)) = map.next_key()? {
            match map.next_value::<serde_json::Value>()?.as_f64() {
                Some(number) => numbered.push((key, number)),
                None => all = false,
            }
        }
        if !all {
            return Ok(Entry::Other);
        }
        numbered.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        Ok(Entry::List(List(numbered.into_iter().map(|(key, _)| key).collect())))
    }
}

/// A text, or `None` for anything else.
struct Item<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Item(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Item(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Item(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Item(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Item(None))
            }
        }
        from.deserialize_any(ItemVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::SourceError;

    fn tokens(text: &str) -> Vec<(u32, String)> {
        let source = read(text.as_bytes(), "test", Unknown::Crayon).unwrap();
        assert_eq!((source.mode, source.unknown), (Mode::Greedy, Unknown::Crayon));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        source.tokens.into_iter().map(|(id, bytes)| (id, text(bytes))).collect()
    }

    fn listed(pairs: &[(u32, &str)]) -> Vec<(u32, String)> {
        pairs.iter().map(|(id, text)| (*id, (*text).to_owned())).collect()
    }

    #[test]
    fn lists_and_maps_are_read_under_a_key_or_bare() {
        let expected = listed(&[(0, "a"), (1, "です"), (2, "b\n")]);
        for text in [
            r#"["a", "で\u3059", "b\n"]"#,
            r#"{"b\n": 2, "a": 0, "です": 1}"#,
            r#"{"b\n": 90, "a": -5, "です": 0.5}"#,
            r#"{"vocab": ["a", "です", "b\n"]}"#,
            r#"{"version": 2, "name": "x", "options": {"k": [1, {}]}, "vocab": ["a", "です", "b\n"]}"#,
            r#"{"vocab": {"b\n": 2, "a": 0, "です": 1}, "size": 3}"#,
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
        assert_eq!(tokens(r#"{"vocab": 0, "x": 1}"#), listed(&[(0, "vocab"), (1, "x")]));
    }

    #[test]
    fn the_last_of_equals_stays_and_the_empty_one_goes() {
        assert_eq!(tokens(r#"["a", "", "b", "a"]"#), listed(&[(2, "b"), (3, "a")]));
    }

    #[test]
    fn other_shapes_are_refused() {
        for bad in [
            "",
            "7",
            "null",
            "\"a\"",
            "[1]",
            "[[\"a\"]]",
            "{\"a\": \"b\"}",
            "{\"vocab\": [1]}",
            "[\"a\"] x",
            "[\"\\ud800\"]",
            "{\"a\": []}",
            "[\"a\",",
        ] {
            let error = read(bad.as_bytes(), "test", Unknown::AddBytes).unwrap_err();
            assert!(matches!(error, FormatError::Json { .. }), "{bad}: {error}");
        }
        for empty in ["[]", "{}", "[\"\"]"] {
            let error = read(empty.as_bytes(), "test", Unknown::AddBytes).unwrap_err();
            assert!(matches!(error, FormatError::Source { source: SourceError::Empty, .. }));
        }
    }

    #[test]
    fn truncation_at_every_byte_is_refused() {
        let text = r#"{"vocab": {"b\n": 2, "a": 0, "です": 1}, "size": 3}"#.as_bytes();
        for len in 0..text.len() {
            assert!(read(&text[..len], "test", Unknown::AddBytes).is_err(), "{len} bytes");
        }
    }
}
