//! The splitters against the grammars' regular expressions and a plain reference.

mod cuts;
mod generate;
mod naive;
mod oracle;
mod texts;

use super::{Level, SplitState, Splitter};
use crate::vocab::Grammar;

/// The grammars that cut, and for cl100k whether white space is cut at the end of the text.
const GRAMMARS: [(Grammar, bool); 6] = [
    (Grammar::R50k, true),
    (Grammar::Cl100k { digits: 3 }, false),
    (Grammar::Cl100k { digits: 3 }, true),
    (Grammar::Cl100k { digits: 2 }, true),
    (Grammar::Cl100k { digits: 1 }, true),
    (Grammar::O200k, true),
];

/// Every splitter of `grammar` that this processor can run.
fn splitters(grammar: Grammar, cut_at_end: bool) -> Vec<Splitter> {
    let splitter = Splitter::new(grammar).cut_at_end(cut_at_end);
    Level::ALL.into_iter().filter_map(|level| splitter.at_level(level)).collect()
}

/// Ends of the whole text's pieces.
fn whole(splitter: &Splitter, text: &[u8]) -> Vec<u32> {
    let mut ends = Vec::new();
    assert_eq!(splitter.split(text, false, &mut ends), text.len(), "all is consumed");
    ends
}

/// Length of the randomized runs: a default, or `PFS_TEST_ROUNDS`.
fn rounds(default: usize) -> usize {
    std::env::var("PFS_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_whole_grammar_cuts_nowhere() {
    let splitter = Splitter::new(Grammar::Whole);
    let mut ends = vec![];
    assert_eq!(splitter.split(b"a b\n\nc", true, &mut ends), 0);
    assert_eq!(splitter.split(b"a b\n\nc", false, &mut ends), 6);
    assert_eq!(splitter.split(b"", false, &mut ends), 0);
    assert_eq!(ends, [6]);
    let mut state = SplitState::default();
    splitter.resume(&mut state, b"abc", true, &mut ends);
    assert_eq!(state.settled(), 3);
}

#[test]
fn every_level_says_whether_it_is_here() {
    for level in Level::ALL {
        if !level.is_available() {
            println!("not tested: no {level:?} here");
        }
    }
    assert!(Level::Portable.is_available());
}
