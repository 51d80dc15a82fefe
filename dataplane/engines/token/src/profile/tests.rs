use super::*;
use crate::vocab::Mode;

/// Some text with words, numbers and other scripts, from a fixed generator.
fn text() -> Vec<u8> {
    let words = ["the", "of", "token", "tokens", "vocabulary", "größe", "語彙", "in", "42", "{};"];
    let mut state = 7u64;
    let mut text = Vec::new();
    for n in 0..30_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(words[(state >> 33) as usize % words.len()].as_bytes());
        text.push(if n % 11 == 0 { b'\n' } else { b' ' });
    }
    text
}

fn options(size: usize) -> BuildOptions {
    BuildOptions { size, refinements: 3, threads: 1, ..BuildOptions::default() }
}

#[test]
fn the_size_is_exact_and_the_text_gets_shorter_with_it() {
    let text = text();
    let mut last = f64::MAX;
    for size in [256, 257, 280, 400, 1000] {
        let built = build(&[&text], &options(size), &mut |_| {}).unwrap();
        assert_eq!(built.source.tokens.len(), size);
        assert_eq!(built.source.check(), Ok(()));
        assert_eq!(built.source.mode, Mode::Greedy);
        let bits = built.measure.bits_per_byte;
        assert!(bits < last, "{size}: {bits} after {last}");
        last = bits;
        assert_eq!(measure(&built.source, &[&text], 2).unwrap(), built.measure, "{size}");
    }
}

#[test]
fn threads_do_not_change_the_result_and_neither_does_a_second_run() {
    let (text, other) = (text(), b"another text ".repeat(9));
    let texts: [&[u8]; 2] = [&text, &other];
    let one = build(&texts, &options(400), &mut |_| {}).unwrap();
    for threads in [1, 3] {
        let again = build(&texts, &BuildOptions { threads, ..options(400) }, &mut |_| {}).unwrap();
        assert_eq!(again.source, one.source);
    }
}

#[test]
fn parts_of_a_word_that_never_stand_alone_get_no_token() {
    let text = b"abcdefgh\n".repeat(1000);
    let built = build(&[&text], &options(257), &mut |_| {}).unwrap();
    let (_, token) = &built.source.tokens[256];
    assert!(token.len() >= 8, "{:?} is a part", String::from_utf8_lossy(token));
}

#[test]
fn what_one_file_alone_repeats_gets_no_token() {
    let text = [b"<copyright notice>\n".repeat(300), text().repeat(7)].concat();
    let has = |spread| {
        let options = BuildOptions { size: 600, refinements: 0, spread, ..BuildOptions::default() };
        let built = build(&[&text], &options, &mut |_| {}).unwrap();
        built.source.tokens.iter().any(|(_, token)| token.len() > 8 && token.contains(&b'<'))
    };
    assert_eq!((has(1), has(2)), (true, false));
}

#[test]
fn no_token_is_longer_than_asked() {
    let built =
        build(&[&text()], &BuildOptions { longest: 3, ..options(300) }, &mut |_| {}).unwrap();
    assert!(built.source.tokens.iter().all(|(_, token)| token.len() <= 3));
}

#[test]
fn progress_ends_where_it_says() {
    let mut seen = Vec::new();
    build(&[&text()], &options(400), &mut |p| seen.push(p)).unwrap();
    assert!(seen.windows(2).all(|w| w[0].done < w[1].done));
    let last = seen.last().unwrap();
    assert_eq!((last.done, last.tokens), (last.of, 400));
}

#[test]
fn what_cannot_be_built_is_told() {
    let none = &mut |_: Progress| {};
    assert!(matches!(build(&[b"a"], &options(255), none), Err(BuildError::Size { .. })));
    assert!(matches!(build(&[b"a"], &options(1 << 30), none), Err(BuildError::Size { .. })));
    assert!(matches!(build(&[b""], &options(300), none), Err(BuildError::Text { bytes: 0, .. })));
    let long = BuildOptions { longest: 0, ..options(300) };
    assert!(matches!(build(&[b"a"], &long, none), Err(BuildError::Longest { .. })));
    let few = build(&[b"abc"], &options(300), none).unwrap_err();
    assert!(matches!(few, BuildError::TooFew { asked: 300, .. }), "{few}");
}
