//! The rules that a vocabulary of any format keeps.

use std::collections::HashSet;

use super::{Grammar, Mode, Ranks, Unknown, VocabSource};

/// Highest id of a token: a table by id stays below 256 MiB, whatever a file says.
pub const MAX_ID: u32 = (1 << 24) - 1;
/// Longest token in bytes. Those of the shipped vocabularies have up to 128.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// A vocabulary that breaks a rule that all keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No token at all.
    #[error("it has no tokens")]
    Empty,
    /// An id above [`MAX_ID`].
    #[error("id {id} is above {MAX_ID}, the highest that is read")]
    Id {
        /// The id.
        id: u32,
    },
    /// Ids not ascending, or one twice.
    #[error("id {id} is given to two tokens, or after a higher one")]
    Order {
        /// The later of the two.
        id: u32,
    },
    /// A token of no bytes, or of more than [`MAX_TOKEN_BYTES`].
    #[error("token {id} has {bytes} bytes, 1 to {MAX_TOKEN_BYTES} can be")]
    Length {
        /// Its id.
        id: u32,
        /// Its length.
        bytes: usize,
    },
    /// Two ids for the same bytes.
    #[error("tokens {first} and {second} are the same bytes `{}`", text.escape_ascii())]
    Duplicate {
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
        /// The bytes.
        text: Vec<u8>,
    },
    /// BPE starts from single bytes; one has no token.
    #[error("byte {byte:#04x} has no token; byte-pair encoding needs all 256")]
    Byte {
        /// The first byte that lacks one.
        byte: u8,
    },
    /// A merge of ids without a token, or into bytes without one.
    #[error("merge {index} of {left} and {right} {cause}")]
    Merge {
        /// Place in the list, from 0.
        index: usize,
        /// Left id.
        left: u32,
        /// Right id.
        right: u32,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// A special token without text, twice, or with the id of another.
    #[error("special token {id} `{text}` {cause}")]
    Special {
        /// Its id.
        id: u32,
        /// How it is written.
        text: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The id for unknown bytes is that of a token, or too high.
    #[error("{id} cannot be the id of unknown bytes: it is a token's, or above {MAX_ID}")]
    Unknown {
        /// The id.
        id: u32,
    },
    /// A grammar with runs of digits of an impossible length.
    #[error("a split grammar with runs of {digits} digits; 1 to 3 can be")]
    Digits {
        /// The length.
        digits: u8,
    },
}

impl VocabSource {
    /// Checks the rules that every compiler relies on.
    ///
    /// They are: ids ascending and at most [`MAX_ID`]; tokens distinct, of 1 to
    /// [`MAX_TOKEN_BYTES`] bytes; in BPE mode a token for each byte and merges that give tokens;
    /// special tokens by ascending id, with distinct, non-empty texts.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), SourceError> {
        self.check_ids()?;
        self.check_distinct()?;
        self.check_specials()?;
        if self.mode == Mode::Bpe {
            self.check_bytes()?;
            if let Ranks::Merges(list) = &self.ranks {
                self.check_merges(list)?;
            }
            if let Grammar::Cl100k { digits } | Grammar::Llama3 { digits } = self.grammar
                && !(1..=3).contains(&digits)
            {
                return Err(SourceError::Digits { digits });
            }
        }
        match self.unknown {
            Unknown::Id(id) if id > MAX_ID || self.token(id).is_some() => {
                Err(SourceError::Unknown { id })
            }
            _ => Ok(()),
        }
    }

    /// The bytes of an ordinary token.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&[u8]> {
        let dense = self.tokens.get(id as usize).filter(|(at, _)| *at == id);
        let found = dense.or_else(|| {
            let at = self.tokens.binary_search_by_key(&id, |(at, _)| *at).ok()?;
            self.tokens.get(at)
        });
        found.map(|(_, bytes)| bytes.as_slice())
    }

    fn check_ids(&self) -> Result<(), SourceError> {
        if self.tokens.is_empty() {
            return Err(SourceError::Empty);
        }
        let mut next = 0;
        for (id, bytes) in &self.tokens {
            if *id > MAX_ID {
                return Err(SourceError::Id { id: *id });
            }
            if *id < next {
                return Err(SourceError::Order { id: *id });
            }
            if bytes.is_empty() || bytes.len() > MAX_TOKEN_BYTES {
                return Err(SourceError::Length { id: *id, bytes: bytes.len() });
            }
            next = id + 1;
        }
        Ok(())
    }

    fn check_distinct(&self) -> Result<(), SourceError> {
        let mut seen = HashSet::with_capacity_and_hasher(
            self.tokens.len(),
            foldhash::fast::RandomState::default(),
        );
        let Some((second, text)) = self.tokens.iter().find(|(_, bytes)| !seen.insert(bytes)) else {
            return Ok(());
        };
        let first = self.tokens.iter().find(|(_, bytes)| bytes == text).map_or(0, |(id, _)| *id);
        Err(SourceError::Duplicate { first, second: *second, text: text.clone() })
    }

    fn check_specials(&self) -> Result<(), SourceError> {
        let mut texts = HashSet::new();
        let mut next = 0;
        for special in &self.specials {
            let (id, text) = (special.id, special.text.clone());
            let cause = match () {
                () if id > MAX_ID => return Err(SourceError::Id { id }),
                () if id < next => "has the id of another, or stands after a higher one",
                () if text.is_empty() => "has no text",
                () if text.len() > MAX_TOKEN_BYTES => "is too long",
                () if !texts.insert(&special.text) => "is listed twice",
                () => {
                    next = id + 1;
                    continue;
                }
            };
            return Err(SourceError::Special { id, text, cause });
        }
        Ok(())
    }

    fn check_bytes(&self) -> Result<(), SourceError> {
        let mut have = [false; 256];
        for (_, bytes) in &self.tokens {
            if let [byte] = bytes[..] {
                have[usize::from(byte)] = true;
            }
        }
        match (0..=255).find(|byte| !have[usize::from(*byte)]) {
            Some(byte) => Err(SourceError::Byte { byte }),
            None => Ok(()),
        }
    }

    fn check_merges(&self, list: &[(u32, u32)]) -> Result<(), SourceError> {
        let hasher = foldhash::fast::RandomState::default();
        let mut joins: HashSet<&[u8], _> = HashSet::with_capacity_and_hasher(list.len(), hasher);
        joins.extend(self.tokens.iter().map(|(_, bytes)| bytes.as_slice()));
        let mut joined = Vec::new();
        for (index, &(left, right)) in list.iter().enumerate() {
            let wrong = |cause| SourceError::Merge { index, left, right, cause };
            let (Some(head), Some(tail)) = (self.token(left), self.token(right)) else {
                return Err(wrong("names an id without a token"));
            };
            joined.clear();
            joined.extend_from_slice(head);
            joined.extend_from_slice(tail);
            if !joins.contains(joined.as_slice()) {
                return Err(wrong("gives bytes that are no token"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Special;
    use super::*;

    fn bytes() -> VocabSource {
        VocabSource {
            name: "test".into(),
            mode: Mode::Bpe,
            tokens: (0..=255u8).map(|b| (u32::from(b), vec![b])).collect(),
            ranks: Ranks::ById,
            whole_piece_first: true,
            grammar: Grammar::Whole,
            specials: vec![],
            unknown: Unknown::AddBytes,
        }
    }

    fn fault(change: impl FnOnce(&mut VocabSource)) -> SourceError {
        let mut source = bytes();
        change(&mut source);
        source.check().unwrap_err()
    }

    #[test]
    fn each_broken_rule_is_told() {
        assert_eq!(bytes().check(), Ok(()));
        assert_eq!(fault(|v| v.tokens.clear()), SourceError::Empty);
        assert_eq!(fault(|v| drop(v.tokens.remove(7))), SourceError::Byte { byte: 7 });
        assert_eq!(fault(|v| v.tokens[9].0 = 8), SourceError::Order { id: 8 });
        let long = MAX_ID + 1;
        assert_eq!(fault(|v| v.tokens[255].0 = long), SourceError::Id { id: long });
        assert!(matches!(
            fault(|v| v.tokens[3].1.clear()),
            SourceError::Length { id: 3, bytes: 0 }
        ));
        let same = fault(|v| v.tokens.push((300, vec![b'a'])));
        assert_eq!(same, SourceError::Duplicate { first: 97, second: 300, text: vec![b'a'] });
        assert_eq!(same.to_string(), "tokens 97 and 300 are the same bytes `a`");
        let digits = fault(|v| v.grammar = Grammar::Cl100k { digits: 4 });
        assert_eq!(digits, SourceError::Digits { digits: 4 });
        assert!(matches!(fault(|v| v.unknown = Unknown::Id(9)), SourceError::Unknown { id: 9 }));
    }

    #[test]
    fn merges_must_give_tokens_and_specials_be_distinct() {
        let no_token = fault(|v| v.ranks = Ranks::Merges(vec![(97, 999)]));
        assert!(matches!(no_token, SourceError::Merge { index: 0, right: 999, .. }));
        let no_join = fault(|v| v.ranks = Ranks::Merges(vec![(97, 98)]));
        assert!(matches!(no_join, SourceError::Merge { cause, .. } if cause.contains("no token")));
        let special = |id, text: &str| Special { id, text: text.into() };
        for list in [
            vec![special(1, "a"), special(1, "b")],
            vec![special(1, "a"), special(2, "a")],
            vec![special(1, "")],
        ] {
            assert!(matches!(fault(|v| v.specials = list), SourceError::Special { .. }));
        }
    }

    #[test]
    fn tokens_are_found_with_and_without_gaps() {
        let mut source = bytes();
        assert_eq!(source.token(97), Some(&b"a"[..]));
        source.tokens.remove(5);
        source.tokens.push((1000, b"ab".to_vec()));
        assert_eq!(source.token(97), Some(&b"a"[..]));
        assert_eq!(source.token(1000), Some(&b"ab"[..]));
        assert_eq!(source.token(5), None);
    }
}
