//! Replays the fuzz corpora of this crate's targets.

include!("../../../../fuzz/replay.rs");

#[test]
fn token_encode() {
    replay("token_encode", pfs_token::fuzzing::encode_naive);
}

#[test]
fn token_stream() {
    replay("token_stream", pfs_token::fuzzing::encode_stream);
}

#[test]
fn vocab_dat() {
    replay("vocab_dat", pfs_token::formats::fuzzing::vocab_dat);
}

#[test]
fn vocab_v3() {
    replay("vocab_v3", pfs_token::formats::fuzzing::vocab_v3);
}

#[test]
fn vocab_hf() {
    replay("vocab_hf", pfs_token::formats::fuzzing::vocab_hf);
}

#[test]
fn vocab_tiktoken() {
    replay("vocab_tiktoken", pfs_token::formats::fuzzing::vocab_tiktoken);
}

#[test]
fn vocab_crayon() {
    replay("vocab_crayon", pfs_token::formats::fuzzing::vocab_crayon);
}

#[test]
fn vocab_tables() {
    replay("vocab_tables", pfs_token::fuzzing::vocab_tables);
}
