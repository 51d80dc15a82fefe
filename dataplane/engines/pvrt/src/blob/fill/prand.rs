//! Pseudo-random words: xorshift32 (Marsaglia, shifts 13, 17, 5).

/// Words before they begin anew: 1 MiB.
const WORDS: usize = 1 << 18;

/// The block that is repeated: words from the state `seed ^ 0x9E3779B9` on, little-endian. For
/// that one seed the state is 0, and so are all words.
pub(super) fn block(seed: u32) -> Vec<u8> {
    let mut block = Vec::with_capacity(WORDS * 4);
    let mut state = seed ^ 0x9E37_79B9;
    for _ in 0..WORDS {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}
