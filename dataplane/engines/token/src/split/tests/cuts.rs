//! Text that comes in parts.

use super::texts::{self, Random};
use super::{GRAMMARS, SplitState, Splitter, rounds, splitters, whole};

/// Ends of `text` when it is split in two calls, the first with its first `at` bytes.
fn in_two(splitter: &Splitter, text: &[u8], at: usize) -> Vec<u32> {
    let mut ends = Vec::new();
    let consumed = splitter.split(&text[..at], true, &mut ends);
    assert_eq!(ends.last().map_or(0, |&end| end as usize), consumed);
    let first = ends.len();
    splitter.split(&text[consumed..], false, &mut ends);
    ends[first..].iter_mut().for_each(|end| *end += consumed as u32);
    ends
}

#[test]
fn a_cut_anywhere_changes_nothing() {
    for grammar in GRAMMARS {
        for seed in 0..rounds(24) as u64 {
            let mut random = Random::new(seed);
            let len = random.pick(&[8, 40, 130, 200]);
            let text = texts::bytes(&mut random, len);
            for splitter in splitters(grammar.0, grammar.1) {
                let wanted = whole(&splitter, &text);
                for at in 0..=text.len() {
                    let found = in_two(&splitter, &text, at);
                    assert_eq!(found, wanted, "{splitter:?} at {at} of {text:02x?}");
                }
            }
        }
    }
}

/// Feeds `text` in steps, keeping only what it must; gives back the ends and the most bytes kept.
fn in_steps(
    splitter: &Splitter,
    text: &[u8],
    steps: &mut dyn FnMut() -> usize,
    forget: bool,
) -> (Vec<u32>, usize) {
    let (mut ends, mut all) = (Vec::new(), Vec::new());
    let mut state = SplitState::default();
    let (mut from, mut to, mut most) = (0, 0, 0);
    while to < text.len() {
        to = (to + steps()).min(text.len());
        most = most.max(to - from);
        let consumed = splitter.resume(&mut state, &text[from..to], true, &mut ends);
        all.extend(ends.drain(..).map(|end| end + from as u32));
        from += consumed;
        if forget {
            let settled = state.settled();
            assert!(from + settled <= to);
            state.forget(settled);
            from += settled;
        }
    }
    splitter.resume(&mut state, &text[from..], false, &mut ends);
    all.extend(ends.drain(..).map(|end| end + from as u32));
    assert_eq!(state, SplitState::default());
    (all, most)
}

#[test]
fn steps_of_any_size_change_nothing() {
    for grammar in GRAMMARS {
        for seed in 0..rounds(120) as u64 {
            let mut random = Random::new(seed);
            let len = random.pick(&[8, 40, 130, 300, 700]);
            let text = texts::bytes(&mut random, len);
            for splitter in splitters(grammar.0, grammar.1) {
                let wanted = whole(&splitter, &text);
                for most in [1, 2, 5, 40, 200] {
                    for forget in [false, true] {
                        let mut step = || 1 + random.below(most);
                        let (found, _) = in_steps(&splitter, &text, &mut step, forget);
                        assert_eq!(found, wanted, "{splitter:?} by {most}, {forget}: {text:02x?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_long_piece_in_single_bytes_is_looked_at_once_and_not_kept() {
    for unit in ["a", "\u{4e2d}", "!", "/", " ", "\n", "\u{301}"] {
        let text = unit.repeat(60_000);
        for grammar in GRAMMARS {
            for splitter in splitters(grammar.0, grammar.1) {
                let (found, most) = in_steps(&splitter, text.as_bytes(), &mut || 1, true);
                assert_eq!(found, whole(&splitter, text.as_bytes()), "{splitter:?}");
                assert!(most < 24, "{splitter:?} kept {most} bytes");
            }
        }
    }
}

#[test]
fn a_state_is_small_and_knows_no_more_than_it_was_told() {
    assert_eq!(size_of::<SplitState>(), 12);
    let mut state = SplitState::default();
    assert_eq!(state.settled(), 0);
    state.forget(100);
    assert_eq!(state, SplitState::default());
}
