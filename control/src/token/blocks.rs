//! A text in blocks whose ids, one behind the other, are those of the whole.
//!
//! Two kinds of places may be cut at. A *certain pair* is two neighbouring bytes that no token
//! holds side by side; longest match never joins across one. A split grammar may look across such
//! a place though, so that byte-pair encoding is cut elsewhere: behind a line's end that follows an
//! ASCII letter or digit and comes before an ASCII letter. Every grammar that there is ends a piece
//! there and begins the next one without looking back.

use std::io::{self, Read};

use pfs_dataplane::ops::token::pfs_token::Vocabulary;
use pfs_dataplane::ops::token::pfs_token::certain::CertainPairs;
use pfs_dataplane::ops::token::pfs_token::vocab::{Grammar, Mode};

/// Bytes of a block, where it can be cut there.
const BLOCK: usize = 1 << 20;

/// Where a text may be cut.
#[derive(Debug)]
pub(super) enum Cuts {
    /// Behind lines.
    Lines,
    /// At certain pairs.
    Certain(Box<CertainPairs>),
    /// Nowhere: a special token's text might lie across.
    Nowhere,
}

impl Cuts {
    /// The places for `vocab`, whose special tokens are looked for or not.
    pub(super) fn of(vocab: &Vocabulary, specials: bool) -> Self {
        if specials && vocab.specials().iter().any(|special| special.text.contains('\n')) {
            return Self::Nowhere;
        }
        if vocab.mode() == Mode::Bpe && vocab.grammar() != Grammar::Whole {
            return Self::Lines;
        }
        if specials && !vocab.specials().is_empty() {
            return Self::Nowhere;
        }
        // Ids may have gaps, so that there are more of them than tokens.
        let most = (vocab.len() * 4).max(1 << 16) as u32;
        let tokens = (0..most).filter_map(|id| vocab.token(id));
        Self::Certain(Box::new(CertainPairs::from_tokens(tokens)))
    }

    /// The last place in `text` to cut at.
    fn last(&self, text: &[u8]) -> Option<usize> {
        let at = |mut good: Box<dyn FnMut(usize) -> bool + '_>| {
            (2..text.len()).rev().find(|&at| good(at))
        };
        match self {
            Self::Nowhere => None,
            Self::Lines => at(Box::new(|at| {
                text[at - 1] == b'\n'
                    && text[at - 2].is_ascii_alphanumeric()
                    && text[at].is_ascii_alphabetic()
            })),
            Self::Certain(pairs) => at(Box::new(|at| !pairs.inside(text[at - 1], text[at]))),
        }
    }
}

/// Reads blocks.
pub(super) struct Blocks<R> {
    input: R,
    cuts: Cuts,
    rest: Vec<u8>,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) const fn new(input: R, cuts: Cuts) -> Self {
        Self { input, cuts, rest: Vec::new(), ended: false }
    }

    /// The next block; `None` behind the last.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        // Where the last look for a cut ended: no byte is looked at twice.
        while !self.ended {
            let before = self.rest.len();
            let read = (&mut self.input).take(BLOCK as u64).read_to_end(&mut self.rest)?;
            self.ended = read < BLOCK;
            let fresh = before.saturating_sub(2);
            if !self.ended
                && let Some(cut) = self.cuts.last(&self.rest[fresh..])
            {
                let rest = self.rest.split_off(fresh + cut);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
        }
        Ok((!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pfs_dataplane::ops::token::pfs_token::Encoder;

    use super::*;

    /// Reads that give little at a time are no end of the text.
    #[test]
    fn blocks_are_the_text() {
        let text = "no cut in here ".repeat(200_000) + "word\nand more\n";
        let mut blocks = Blocks::new(text.as_bytes(), Cuts::Lines);
        let mut whole = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            whole.push(block);
        }
        assert_eq!(whole.concat(), text.as_bytes());
        let mut blocks = Blocks::new(&b""[..], Cuts::Nowhere);
        assert_eq!(blocks.next().unwrap(), None);
    }

    #[test]
    fn ids_do_not_depend_on_cuts_behind_lines() {
        let text = "a1\nb  \nc\n\nd,\ne \nf\r\ng\n  h9\nI'm\n x\ty\nz".as_bytes();
        for name in Vocabulary::shipped_names() {
            let vocab = Arc::new(Vocabulary::open(name).unwrap());
            let cuts = Cuts::of(&vocab, false);
            let (mut encoder, mut whole) = (Encoder::new(vocab), Vec::new());
            encoder.encode_into(text, &mut whole).unwrap();
            let mut end = text.len();
            let mut places = 0;
            while let Some(cut) = cuts.last(&text[..end]) {
                let mut ids = Vec::new();
                encoder.encode_into(&text[..cut], &mut ids).unwrap();
                encoder.encode_into(&text[cut..], &mut ids).unwrap();
                assert_eq!(ids, whole, "{name} at {cut}");
                (end, places) = (cut, places + 1);
            }
            assert!(places > 1, "{name}");
        }
    }
}
