//! The builder against Crayon's rankings, at equal size, from the same text, on held-out text:
//! `profile_compare TRAIN HELD_OUT SIZE...`
//!
//! Crayon counts all strings of up to 16 bytes that occur twice, overlaps and all, and takes those of the
//! highest score: trainer f·i/c, builder 0.4·f·i + 0.3·f·bytes + 0.3·f/c, with i = −log₂(f/Σf) and
//! c = 1 + bytes/10; besides them four markers and the printable characters below 256. Bytes that
//! its list lacks are added to it on top of its size; ours has them within. Both see the same sample of
//! the training text, and ours also all of it.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use pfs_token::profile::{BuildOptions, build, measure};
use pfs_token::vocab::{Grammar, Mode, Ranks, Unknown, VocabSource};

/// About how many bytes of training text all strings are counted in.
const COUNTED: usize = 6 << 20;
/// They are stretches of this length at equal distances.
const STRETCH: usize = 1 << 16;
const LONGEST: usize = 16;

type Score = fn(f64, f64, f64) -> f64;

/// The two rankings: frequency, information, bytes.
const RANKINGS: [(&str, Score); 2] = [
    ("Crayon trainer", |f, info, bytes| f * info / (1.0 + 0.1 * bytes)),
    ("Crayon builder", |f, info, bytes| {
        0.4 * f * info + 0.3 * f * bytes + 0.3 * f / (1.0 + 0.1 * bytes)
    }),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [train, held_out, sizes @ ..] = args.as_slice() else {
        return Err("profile_compare TRAIN HELD_OUT SIZE...".into());
    };
    let (train, held_out) = (std::fs::read(train)?, std::fs::read(held_out)?);
    let stretches = train.chunks(STRETCH).step_by(train.len().div_ceil(COUNTED).max(1));
    let counted = &stretches.collect::<Vec<_>>().concat()[..];
    let sizes: Vec<usize> = sizes.iter().map(|s| s.parse()).collect::<Result<_, _>>()?;
    let most = sizes.iter().copied().max().unwrap_or(0);
    let ranked: Vec<_> = RANKINGS.map(|(name, score)| (name, ranked(counted, score, most))).into();
    println!("| size | builder | bits/byte held out | bytes/token |\n|---|---|---|---|");
    for size in sizes {
        for (name, list) in &ranked {
            row(size, name, &crayon(list, size), &held_out)?;
        }
        for (name, text) in [("ours, the same text", counted), ("ours, all the text", &train[..])] {
            let options = BuildOptions { size, ..BuildOptions::default() };
            let built = build(&[text], &options, &mut |_| {})?;
            row(size, name, &built.source, &held_out)?;
        }
    }
    Ok(())
}

fn row(
    size: usize,
    name: &str,
    source: &VocabSource,
    text: &[u8],
) -> Result<(), Box<dyn std::error::Error>> {
    if source.tokens.len() != size {
        return Err(format!("{name}: {} tokens, not {size}", source.tokens.len()).into());
    }
    let m = measure(source, &[text], 0)?;
    println!("| {size} | {name} | {:.4} | {:.3} |", m.bits_per_byte, m.bytes_per_token());
    Ok(())
}

/// The `most` strings of `text` with the highest scores, best first.
fn ranked(text: &[u8], score: Score, most: usize) -> Vec<&[u8]> {
    let mut all: Vec<(&[u8], u32)> = Vec::new();
    let mut total = 0u64;
    for len in 1..=LONGEST {
        let mut counts: HashMap<&[u8], u32, FixedState> = HashMap::default();
        text.windows(len).for_each(|string| *counts.entry(string).or_insert(0) += 1);
        let often: Vec<_> = counts.into_iter().filter(|&(_, count)| count >= 2).collect();
        total += often.iter().map(|&(_, count)| u64::from(count)).sum::<u64>();
        all.extend(often);
    }
    let value = |string: &[u8], count: u32| {
        let f = f64::from(count);
        score(f, -(f / total as f64).log2(), string.len() as f64)
    };
    let mut scored: Vec<(f64, &[u8])> = all.into_iter().map(|(s, c)| (value(s, c), s)).collect();
    scored.retain(|(_, string)| std::str::from_utf8(string).is_ok());
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.truncate(most);
    scored.into_iter().map(|(_, string)| string).collect()
}

/// `size` tokens: markers, printable characters, then the best of the list.
fn crayon(list: &[&[u8]], size: usize) -> VocabSource {
    let markers = ["<PAD>", "<UNK>", "<BOS>", "<EOS>"].map(String::from);
    let printable = (' '..='~').chain('¡'..='¬').chain('®'..='ÿ').map(String::from);
    let fixed = markers.into_iter().chain(printable).map(String::into_bytes);
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    for token in fixed.chain(list.iter().map(|s| s.to_vec())) {
        if tokens.len() < size && (tokens.len() > 200 || !tokens.contains(&token)) {
            tokens.push(token);
        }
    }
    tokens.sort();
    tokens.dedup();
    // Single characters of the list that are among the printable ones leave room for more.
    let mut rest = list.iter();
    while tokens.len() < size {
        let Some(next) = rest.next() else { break };
        if let Err(at) = tokens.binary_search_by(|t| t.as_slice().cmp(next)) {
            tokens.insert(at, next.to_vec());
        }
    }
    VocabSource {
        name: "crayon".into(),
        mode: Mode::Greedy,
        tokens: (0..).zip(tokens).collect(),
        ranks: Ranks::ById,
        whole_piece_first: false,
        grammar: Grammar::Whole,
        specials: vec![],
        unknown: Unknown::AddBytes,
    }
}
