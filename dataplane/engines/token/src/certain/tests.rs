//! The cutter at every level against the pairs one by one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

fn plain(pairs: &CertainPairs, text: &[u8]) -> Vec<u32> {
    let inner = (1..text.len()).filter(|&at| !pairs.held(text[at - 1], text[at]));
    inner.chain((!text.is_empty()).then_some(text.len())).map(|at| at as u32).collect()
}

fn tokens() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let few = vec(vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b' '), Just(200)], 1..6), 0..12);
    prop_oneof![few, vec(vec(any::<u8>(), 1..6), 0..300)]
}

proptest! {
    #[test]
    fn every_level_cuts_alike(tokens in tokens(), text in prop_oneof![
        vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b' '), any::<u8>()], 0..400),
        vec(any::<u8>(), 0..200),
    ]) {
        let pairs = CertainPairs::from_tokens(tokens.iter().map(Vec::as_slice));
        let want = plain(&pairs, &text);
        for level in Level::available() {
            for skip in 0..text.len().min(3) {
                let mut ends = vec![7];
                let text = &text[skip..];
                prop_assert_eq!(pairs.cut_with(level, text, false, &mut ends), text.len());
                prop_assert_eq!(&ends[1..], plain(&pairs, text), "{:?}", level);
            }
            let mut open = Vec::new();
            let done = pairs.cut_with(level, &text, true, &mut open);
            prop_assert_eq!(&open[..], &want[..want.len().saturating_sub(1)]);
            prop_assert_eq!(done, pairs.last(&text).unwrap_or(0));
        }
    }

    #[test]
    fn the_cover_holds_every_pair_inside_a_token(tokens in tokens()) {
        let pairs = CertainPairs::from_tokens(tokens.iter().map(Vec::as_slice));
        let mut count = 0;
        for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            let inside = tokens.iter().any(|t| t.windows(2).any(|pair| pair == [a, b]));
            prop_assert_eq!(pairs.inside(a, b), inside);
            prop_assert!(!inside || pairs.held(a, b));
            count += usize::from(inside);
        }
        prop_assert_eq!(pairs.count(), count);
    }
}

/// With few classes of left bytes the cover is exact.
#[test]
fn a_plain_vocabulary_is_cut_wherever_it_can_be() {
    let words = [&b"the"[..], b" the", b" of", b"x1"];
    let pairs = CertainPairs::from_tokens(words);
    for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
        assert_eq!(pairs.inside(a, b), pairs.held(a, b));
    }
    let mut ends = Vec::new();
    assert_eq!(pairs.cut(b"the theof  of x1", true, &mut ends), 14);
    assert_eq!(ends, [3, 7, 9, 10, 13, 14]);
    assert_eq!(pairs.last(b"the the"), Some(3));
    assert_eq!(pairs.last(b"the"), None);
    assert_eq!(pairs.cut(b"", false, &mut ends), 0, "nothing is appended");
}

#[test]
fn what_was_written_is_read_again_and_a_cover_that_lacks_a_pair_is_refused() {
    let pairs = CertainPairs::from_tokens([&b"ab"[..], b"bc", b"abd"]);
    let store = |pairs: &CertainPairs| {
        let mut writer = SectionWriter::new();
        pairs.write(&mut writer);
        CertainPairs::read(&mut SectionReader::from_bytes(&writer.finish().unwrap()).unwrap())
    };
    let again = store(&pairs).unwrap();
    assert_eq!(*again.inside, *pairs.inside);
    assert_eq!(again.cover, pairs.cover);
    let mut hostile = pairs.clone();
    hostile.cover.left[usize::from(b'a')] = 0;
    assert!(store(&hostile).unwrap_err().to_string().contains("not covered"));
    let mut short = pairs;
    short.inside = vec![0; 1023].into();
    assert!(store(&short).unwrap_err().to_string().contains("65,536"));
}
