//! The vocabularies that the program carries.

use super::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};
use crate::formats::packed;

/// A shipped vocabulary: packed tokens, and what a rank list does not say.
struct Shipped {
    name: &'static str,
    packed: &'static [u8],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Byte-pair ranks of OpenAI's.
    Bpe { grammar: Grammar, specials: &'static [(u32, &'static str)] },
    /// A profile of this project's own, for longest match.
    Profile,
}

const END: &str = "<|endoftext|>";
const R50K: &[u8] = include_bytes!("../../data/r50k_base.tokens.zst");
const CL100K: &[u8] = include_bytes!("../../data/cl100k_base.tokens.zst");
const O200K: &[u8] = include_bytes!("../../data/o200k_base.tokens.zst");

const SHIPPED: &[Shipped] = &[
    bpe("r50k_base", R50K, Grammar::R50k, &[(50256, END)]),
    bpe("p50k_base", R50K, Grammar::R50k, &[(50256, END)]),
    bpe(
        "p50k_edit",
        R50K,
        Grammar::R50k,
        &[
            (50256, END),
            (50281, "<|fim_prefix|>"),
            (50282, "<|fim_middle|>"),
            (50283, "<|fim_suffix|>"),
        ],
    ),
    bpe(
        "cl100k_base",
        CL100K,
        Grammar::Cl100k { digits: 3 },
        &[
            (100_257, END),
            (100_258, "<|fim_prefix|>"),
            (100_259, "<|fim_middle|>"),
            (100_260, "<|fim_suffix|>"),
            (100_276, "<|endofprompt|>"),
        ],
    ),
    bpe("o200k_base", O200K, Grammar::O200k, &[(199_999, END), (200_018, "<|endofprompt|>")]),
    profile("lite", include_bytes!("../../data/lite.tokens.zst")),
    profile("code", include_bytes!("../../data/code.tokens.zst")),
    profile("science", include_bytes!("../../data/science.tokens.zst")),
    profile("multilingual", include_bytes!("../../data/multilingual.tokens.zst")),
    profile("arts_commerce", include_bytes!("../../data/arts_commerce.tokens.zst")),
];

const NAMES: &[&str] = &{
    let mut names = [""; SHIPPED.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = SHIPPED[at].name;
        at += 1;
    }
    names
};

const fn bpe(
    name: &'static str,
    packed: &'static [u8],
    grammar: Grammar,
    specials: &'static [(u32, &'static str)],
) -> Shipped {
    Shipped { name, packed, kind: Kind::Bpe { grammar, specials } }
}

const fn profile(name: &'static str, packed: &'static [u8]) -> Shipped {
    Shipped { name, packed, kind: Kind::Profile }
}

/// The names that [`shipped`] knows.
#[must_use]
pub fn shipped_names() -> &'static [&'static str] {
    NAMES
}

/// The shipped vocabulary of this name.
///
/// # Panics
/// Never: the data is part of the program, and a test unpacks each.
#[must_use]
pub fn shipped(name: &str) -> Option<VocabSource> {
    let found = SHIPPED.iter().find(|s| s.name == name)?;
    let mut tokens = packed::read(found.packed).expect("data in the program is whole");
    if name.starts_with("p50k") {
        tokens.extend((2..=25u32).map(|n| (50_255 + n, vec![b' '; n as usize])));
    }
    let (mode, grammar, specials) = match found.kind {
        Kind::Bpe { grammar, specials } => (Mode::Bpe, grammar, special_list(specials)),
        Kind::Profile => (Mode::Greedy, Grammar::Whole, vec![]),
    };
    Some(VocabSource {
        name: name.to_owned(),
        mode,
        tokens,
        ranks: Ranks::ById,
        whole_piece_first: mode == Mode::Bpe,
        grammar,
        specials,
        unknown: Unknown::AddBytes,
    })
}

/// How the shipped byte-pair vocabulary of this name cuts text, and its special tokens: what its rank
/// list, read from a file, does not say.
pub(crate) fn grammar_and_specials(name: &str) -> Option<(Grammar, Vec<Special>)> {
    let found = SHIPPED.iter().find(|s| s.name == name)?;
    match found.kind {
        Kind::Bpe { grammar, specials } => Some((grammar, special_list(specials))),
        Kind::Profile => None,
    }
}

fn special_list(specials: &[(u32, &str)]) -> Vec<Special> {
    specials.iter().map(|&(id, text)| Special { id, text: text.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tiktoken;

    /// BLAKE3 of the original files; their SHA-256 stand in `data/README.md`.
    const ORIGINALS: [(&str, usize, &str); 4] = [
        ("r50k_base", 50_256, "5e60c911b5da8606450a7854ebe49de4952c86da03f51cea2ad9a3f3d40395e5"),
        ("p50k_base", 50_280, "d698d47c87c56af122ed68f3e74e06e3bd122a8cc66472a52d760012c6ea9100"),
        (
            "cl100k_base",
            100_256,
            "65afa6a4947e558c7e52ca1dc682285a6aff053a60ce9ba951bf154da0cb980f",
        ),
        ("o200k_base", 199_998, "77500c1d2b9e0f606d2ab99ff39e9ebaed9221b4531c6d83a503c36def0b8be8"),
    ];

    #[test]
    fn shipped_vocabularies_are_their_originals_byte_for_byte() {
        for (name, count, hash) in ORIGINALS {
            let source = shipped(name).unwrap();
            assert_eq!(source.tokens.len(), count, "{name}");
            assert_eq!(source.check(), Ok(()), "{name}");
            let list = tiktoken::write(&source).unwrap();
            assert_eq!(blake3::hash(&list).to_hex().as_str(), hash, "{name}");
            assert!(shipped_names().contains(&name));
        }
    }

    #[test]
    fn every_name_gives_a_good_vocabulary_and_others_none() {
        for name in shipped_names() {
            assert_eq!(shipped(name).unwrap().check(), Ok(()), "{name}");
        }
        assert!(shipped("gpt2000").is_none());
    }

    #[test]
    fn profiles_have_every_byte_and_the_sizes_that_were_asked_for() {
        let sizes = [
            ("lite", 50_000),
            ("code", 32_000),
            ("science", 32_000),
            ("multilingual", 50_000),
            ("arts_commerce", 32_000),
        ];
        for (name, size) in sizes {
            let source = shipped(name).unwrap();
            assert_eq!((source.mode, source.tokens.len()), (Mode::Greedy, size), "{name}");
            assert!((0..=255u8).all(|byte| source.token(byte.into()) == Some(&[byte])), "{name}");
        }
    }
}
