//! One token after the other.

use crate::trie::{Found, View};

/// Bytes that a call encodes, or somewhat more: then boundaries are looked for again.
const BLOCK: usize = 1024;

/// Encodes the beginning of `text`, of [`BLOCK`] bytes or its end, and gives its length. Every byte
/// must have a token.
#[inline(never)]
pub(super) fn block(view: View<'_>, text: &[u8], ids: &mut Vec<u32>) -> usize {
    ids.reserve(BLOCK.min(text.len()));
    let mut at = 0;
    while at < text.len().min(BLOCK) {
        let found = view.find(&text[at..]);
        ids.push(found.id);
        let next = at + found.len.max(1);
        if begins_alike(text, at, next) {
            let more = repeats(&text[at..], found);
            ids.resize(ids.len() + more, found.id);
            at = next + more * found.len;
        } else {
            at = next;
        }
    }
    at
}

/// Whether the eight bytes at `a` are those at `b`, which is behind `a`.
#[inline(always)]
fn begins_alike(text: &[u8], a: usize, b: usize) -> bool {
    match (text.get(b..b + 8), text.get(a..a + 8)) {
        (Some(b), Some(a)) => a == b,
        _ => false,
    }
}

/// How many times in a row `found`, the token at the start of `text`, follows itself, as far as
/// that can be told by comparing bytes. So a run of one letter is not walked again and again.
#[cold]
fn repeats(text: &[u8], found: Found) -> usize {
    let len = found.len;
    if len == 0 {
        return 0;
    }
    // From the start on, `same` bytes are equal to those `len` further on. So the text has period
    // `len` for `same + len` bytes, and the token is found wherever a period begins that has the
    // `seen` bytes behind it which it was found by.
    let same = common(text, &text[len..]);
    if same < found.seen { 0 } else { (same - found.seen) / len + 1 }
}

/// Number of equal bytes at the start of `a` and `b`.
fn common(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let steps = a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).take_while(|(a, b)| a == b);
    let start = steps.count() * STEP;
    let rest = a[start..].iter().zip(&b[start..]).take(STEP).take_while(|(a, b)| a == b);
    start + rest.count()
}
