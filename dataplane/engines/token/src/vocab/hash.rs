//! A name for what a vocabulary says, whatever file it came from.

use super::{Grammar, Mode, Ranks, Unknown, VocabSource};

impl VocabSource {
    /// BLAKE3 of the content: mode, tokens, ranks, grammar, specials and the handling of unknown
    /// bytes, but not the name. Equal for equal content on every machine and in every version.
    ///
    /// Two vocabularies of equal hash give equal ids for every text.
    #[must_use]
    pub fn content_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("pfs-token vocabulary content 1");
        let mut head = Vec::new();
        match self.mode {
            Mode::Greedy => self.hash_greedy(&mut head),
            Mode::Bpe => self.hash_bpe(&mut head),
        }
        put(&mut head, self.specials.len());
        for special in &self.specials {
            head.extend_from_slice(&special.id.to_le_bytes());
            put(&mut head, special.text.len());
            head.extend_from_slice(special.text.as_bytes());
        }
        put(&mut head, self.tokens.len());
        hasher.update(&head);
        let mut block = Vec::with_capacity(1 << 16);
        for (id, bytes) in &self.tokens {
            block.extend_from_slice(&id.to_le_bytes());
            block.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            block.extend_from_slice(bytes);
            if block.len() > (1 << 16) - 256 {
                hasher.update(&block);
                block.clear();
            }
        }
        hasher.update(&block).finalize().into()
    }

    fn hash_greedy(&self, out: &mut Vec<u8>) {
        let (kind, id) = match self.unknown {
            Unknown::AddBytes => (0, 0),
            Unknown::Id(id) => (1, id),
            Unknown::Crayon => (2, 0),
        };
        out.extend_from_slice(&[0, kind]);
        out.extend_from_slice(&id.to_le_bytes());
    }

    fn hash_bpe(&self, out: &mut Vec<u8>) {
        let (grammar, digits) = self.grammar.code();
        out.extend_from_slice(&[1, u8::from(self.whole_piece_first), grammar, digits]);
        match &self.ranks {
            Ranks::ById => out.push(0),
            Ranks::Merges(list) => {
                out.push(1);
                put(out, list.len());
                for (left, right) in list {
                    out.extend_from_slice(&left.to_le_bytes());
                    out.extend_from_slice(&right.to_le_bytes());
                }
            }
        }
    }
}

impl Grammar {
    /// A number for files and hashes, never given twice, and the longest run of digits (0: no rule).
    pub(crate) fn code(self) -> (u8, u8) {
        match self {
            Self::Whole => (0, 0),
            Self::R50k => (1, 0),
            Self::Cl100k { digits } => (2, digits),
            Self::O200k => (3, 0),
            Self::Llama3 { digits } => (4, digits),
        }
    }

    /// The grammar of a [`Grammar::code`].
    pub(crate) fn from_code(code: (u8, u8)) -> Option<Self> {
        match code {
            (0, 0) => Some(Self::Whole),
            (1, 0) => Some(Self::R50k),
            (2, digits @ 1..=3) => Some(Self::Cl100k { digits }),
            (3, 0) => Some(Self::O200k),
            (4, digits @ 1..=3) => Some(Self::Llama3 { digits }),
            _ => None,
        }
    }
}

fn put(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::Special;
    use super::*;

    #[test]
    fn every_part_of_the_content_counts_and_the_name_does_not() {
        let base = VocabSource {
            name: "a".into(),
            mode: Mode::Bpe,
            tokens: vec![(0, b"ab".to_vec()), (1, b"c".to_vec())],
            ranks: Ranks::ById,
            whole_piece_first: true,
            grammar: Grammar::R50k,
            specials: vec![],
            unknown: Unknown::AddBytes,
        };
        let changes: [fn(&mut VocabSource); 7] = [
            |v| v.mode = Mode::Greedy,
            |v| v.tokens = vec![(0, b"a".to_vec()), (1, b"bc".to_vec())],
            |v| v.tokens[1].0 = 2,
            |v| v.ranks = Ranks::Merges(vec![(0, 1)]),
            |v| v.whole_piece_first = false,
            |v| v.grammar = Grammar::O200k,
            |v| v.specials.push(Special { id: 9, text: "<s>".into() }),
        ];
        let mut hashes = vec![base.content_hash()];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            hashes.push(other.content_hash());
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
        let renamed = VocabSource { name: "b".into(), ..base.clone() };
        assert_eq!(renamed.content_hash(), base.content_hash());
    }

    #[test]
    fn grammars_have_codes_of_their_own() {
        let all = (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b)));
        let known: Vec<_> =
            all.filter_map(|code| Some((code, Grammar::from_code(code)?))).collect();
        assert_eq!(known.len(), 9);
        assert!(known.iter().all(|(code, grammar)| grammar.code() == *code));
    }
}
