//! Whole texts: against the regular expressions, and against the plain reference.

use fancy_regex::Regex;

use super::texts::{self, BITS, Random};
use super::{GRAMMARS, naive, rounds, splitters, whole};
use crate::split::class;
use crate::vocab::Grammar;

const SMALL: &str = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";
const CAPITAL: &str = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
const CONTRACTION: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)";

/// The patterns as tiktoken 0.14 and tiktoken-rs 0.12 have them; for cl100k that cuts at the end,
/// as `tokenizer.json` files have it.
fn pattern(grammar: Grammar, cut_at_end: bool) -> String {
    match grammar {
        Grammar::Whole => "(?s:.+)".into(),
        Grammar::R50k => {
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
                .into()
        }
        Grammar::Cl100k { digits } | Grammar::Llama3 { digits } if cut_at_end => [
            CONTRACTION,
            r"[^\r\n\p{L}\p{N}]?\p{L}+",
            &format!(r"\p{{N}}{{1,{digits}}}"),
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]
        .join("|"),
        Grammar::Cl100k { .. } | Grammar::Llama3 { .. } => [
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+",
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        ]
        .join("|"),
        Grammar::O200k => [
            &format!(r"[^\r\n\p{{L}}\p{{N}}]?{CAPITAL}*{SMALL}+{CONTRACTION}?"),
            &format!(r"[^\r\n\p{{L}}\p{{N}}]?{CAPITAL}+{SMALL}*{CONTRACTION}?"),
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]
        .join("|"),
    }
}

fn regex(grammar: Grammar, cut_at_end: bool) -> Regex {
    Regex::new(&pattern(grammar, cut_at_end)).expect("the pattern is well-formed")
}

fn by_regex(regex: &Regex, text: &str) -> Vec<u32> {
    let ends: Vec<u32> =
        regex.find_iter(text).map(|found| found.expect("within limits").end() as u32).collect();
    assert_eq!(ends.last().copied().unwrap_or(0) as usize, text.len(), "the pattern covers all");
    ends
}

/// Pieces as text, for messages.
fn pieces<'a>(text: &'a [u8], ends: &[u32]) -> Vec<std::borrow::Cow<'a, str>> {
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts
        .zip(ends)
        .map(|(from, &to)| {
            String::from_utf8_lossy(text.get(from as usize..to as usize).unwrap_or(b"?"))
        })
        .collect()
}

#[track_caller]
fn check(grammar: (Grammar, bool), text: &[u8], wanted: &[u32]) {
    for splitter in splitters(grammar.0, grammar.1) {
        let found = whole(&splitter, text);
        if found != wanted {
            let differs = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            let from = differs.saturating_sub(3);
            panic!(
                "{splitter:?}: piece {differs} of {} bytes\n found {:?}\nwanted {:?}\n  text {:?}",
                text.len(),
                pieces(text, &found).get(from..(differs + 3).min(found.len())),
                pieces(text, wanted).get(from..(differs + 3).min(wanted.len())),
                String::from_utf8_lossy(&text[..text.len().min(400)]),
            );
        }
    }
}

#[test]
fn random_text_is_cut_as_the_patterns_cut_it() {
    for grammar in GRAMMARS {
        let regex = regex(grammar.0, grammar.1);
        for seed in 0..rounds(400) as u64 {
            let mut random = Random::new(seed);
            let len = random.pick(&[8, 40, 130, 300, 700]);
            let text = texts::valid(&mut random, len);
            let wanted = by_regex(&regex, &text);
            assert_eq!(naive::split(grammar.0, grammar.1, text.as_bytes()), wanted, "{text:?}");
            check(grammar, text.as_bytes(), &wanted);
        }
    }
}

#[test]
fn random_bytes_are_cut_as_the_reference_cuts_them() {
    for grammar in GRAMMARS {
        for seed in 0..rounds(400) as u64 {
            let mut random = Random::new(seed);
            let len = random.pick(&[8, 40, 130, 300, 700]);
            let text = texts::bytes(&mut random, len);
            check(grammar, &text, &naive::split(grammar.0, grammar.1, &text));
        }
    }
}

/// Each bit of text, and each pair of them, at each place around the borders of blocks.
#[test]
fn every_pair_of_neighbours_is_cut_right_at_every_place_in_a_block() {
    for grammar in GRAMMARS {
        for (seed, (left, right)) in
            BITS.iter().flat_map(|left| BITS.iter().map(move |right| (left, right))).enumerate()
        {
            let mut random = Random::new(seed as u64);
            let pad =
                random.pick(&["a", "A", " ", "\n", "!", "1", "'", "\u{4e2d}", "\u{301}", "/"]);
            for _ in 0..2 {
                let mut text = pad.repeat(random.below(131));
                text.push_str(left);
                text.push_str(right);
                let after = random.pick(&[0, 1, 2, 3, 30, 70]);
                text.push_str(&random.pick(&BITS).repeat(after));
                check(
                    grammar,
                    text.as_bytes(),
                    &naive::split(grammar.0, grammar.1, text.as_bytes()),
                );
            }
        }
    }
}

#[test]
fn every_code_point_is_cut_as_the_patterns_cut_it() {
    const AROUND: [(&str, &str); 6] =
        [("", ""), ("a", "A"), (" ", "'s"), ("'", "1"), ("!", "\n"), ("\u{4e2d}", "B")];
    for grammar in
        GRAMMARS.into_iter().filter(|(grammar, _)| *grammar != Grammar::Cl100k { digits: 2 })
    {
        let regex = regex(grammar.0, grammar.1);
        let all: Vec<char> = ('\0'..=char::MAX).collect();
        for (at, few) in all.chunks(1024).enumerate() {
            let plain = few.iter().all(|&c| class::of_code_point(u32::from(c)) == 0);
            let (before, after) = AROUND[at % AROUND.len()];
            for (before, after) in [(before, after), AROUND[(at / AROUND.len()) % AROUND.len()]] {
                let text: String = few
                    .iter()
                    .flat_map(|c| {
                        [before, c.encode_utf8(&mut [0; 4]), after]
                            .concat()
                            .chars()
                            .collect::<Vec<_>>()
                    })
                    .collect();
                let wanted = if plain && at % 16 != 0 {
                    naive::split(grammar.0, grammar.1, text.as_bytes())
                } else {
                    by_regex(&regex, &text)
                };
                check(grammar, text.as_bytes(), &wanted);
            }
        }
    }
}

/// Every short string over an alphabet of one character per class.
#[test]
fn all_short_strings_are_cut_as_the_reference_cuts_them() {
    const ALPHABET: [&str; 14] = [
        "a",
        "B",
        "\u{4e2d}",
        "\u{301}",
        "1",
        " ",
        "\t",
        "\n",
        "!",
        "/",
        "'",
        "s",
        "l",
        "\u{1f600}",
    ];
    for grammar in GRAMMARS {
        for code in 0..14usize.pow(4) {
            let letters = [code % 14, code / 14 % 14, code / 196 % 14, code / 2744];
            let text = letters.map(|at| ALPHABET[at]).concat();
            check(grammar, text.as_bytes(), &naive::split(grammar.0, grammar.1, text.as_bytes()));
        }
    }
}

#[test]
fn long_runs_take_linear_time() {
    for unit in [
        "a",
        "A",
        "aA",
        "\u{4e2d}",
        "\u{4e2d}A",
        " ",
        "\n ",
        "\n",
        "!",
        "/",
        "!\n/",
        "1",
        "'s",
        "\u{301}",
    ] {
        for grammar in GRAMMARS {
            let text = unit.repeat((1 << 20) / unit.len());
            for splitter in splitters(grammar.0, grammar.1) {
                let ends = whole(&splitter, text.as_bytes());
                assert!(ends.is_sorted_by(|a, b| a < b));
            }
        }
    }
}

/// The files that `PFS_TEST_CORPUS` names, separated by colons: what of them is UTF-8 against the
/// patterns, all of them against the reference.
#[test]
fn real_text_is_cut_as_the_patterns_cut_it() {
    let Some(paths) = std::env::var_os("PFS_TEST_CORPUS") else {
        println!("skipped: PFS_TEST_CORPUS names no files");
        return;
    };
    for path in std::env::split_paths(&paths) {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for grammar in GRAMMARS {
            let regex = regex(grammar.0, grammar.1);
            // In documents of some 64 KiB, so that the ends of texts are seen, too.
            let mut rest = &*text;
            while !rest.is_empty() {
                let (document, after) = rest.split_at(rest.floor_char_boundary(1 << 16));
                check(grammar, document.as_bytes(), &by_regex(&regex, document));
                rest = after;
            }
            for document in bytes.chunks(1 << 16) {
                check(grammar, document, &naive::split(grammar.0, grammar.1, document));
            }
        }
        println!("{}: {} bytes", path.display(), bytes.len());
    }
}
