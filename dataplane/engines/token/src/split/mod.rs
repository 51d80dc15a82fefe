//! Split grammars: where text is cut into the pieces that BPE works in.
//!
//! The rules are those of OpenAI's tiktoken, extended to all bytes: a byte that belongs to no
//! well-formed UTF-8 sequence is a character of its own, neither letter, number nor white space.
//! Classes are those of Unicode 16.0.0.
//!
//! Text is taken in blocks of up to 64 characters. A backend per instruction set ([`Level`]) gives
//! the characters' classes as bit masks, the grammars' rules make of them the mask of the pieces'
//! starts by a few dozen operations on 64-bit words, and the backend writes those down as offsets:
//! no state machine walks over the text, and no input makes it go back.

mod backend;
mod class;
mod planes;
mod portable;
mod rules;
#[rustfmt::skip]
mod tables;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use backend::Scan;
use rules::{Carry, Cl100k, O200k, R50k, Rules};

use crate::vocab::Grammar;

/// Longest text that one call looks at, in bytes; what comes after it is as if not there yet.
const LONGEST: usize = 1 << 31;

/// How far the unfinished piece at the end of a text has been looked at, so that
/// [`Splitter::resume`] need not look again. 12 bytes; the default is the start of a text.
///
/// It speaks of the bytes from the start of the unfinished piece on, which the caller keeps and
/// hands in again with those that have arrived since. Of a long piece the caller may let go of the
/// first [`settled`](Self::settled) bytes; it then says so with [`forget`](Self::forget).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitState {
    /// Bytes looked at.
    scanned: u32,
    /// Offset that is an end or not, by what comes; only while the carry says so.
    held: u32,
    /// The packed carry; in the top bit, whether bytes of the piece have been let go.
    carry: u32,
}

const FORGOTTEN: u32 = 1 << 31;

impl SplitState {
    /// Bytes at the front of the unfinished piece that no end can fall into any more.
    #[must_use]
    pub fn settled(&self) -> usize {
        let held = Carry::unpack(self.carry & !FORGOTTEN).held != 0;
        if held { self.held as usize } else { self.scanned as usize }
    }

    /// Says that the caller lets go of the first `bytes` bytes of the unfinished piece, at most
    /// [`settled`](Self::settled) (more are taken for that many). The text of the next call begins
    /// after them; the piece's end may then be offset 0.
    pub fn forget(&mut self, bytes: usize) {
        let bytes = bytes.min(self.settled()) as u32;
        self.scanned -= bytes;
        self.held = self.held.saturating_sub(bytes);
        if bytes != 0 {
            self.carry |= FORGOTTEN;
        }
    }
}

/// Cuts text by one grammar.
#[derive(Clone, Copy, Debug)]
pub struct Splitter {
    grammar: Grammar,
    cut_at_end: bool,
    level: Level,
}

/// Instruction sets that a splitter exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// AVX-512 F, BW, VL, VBMI, VBMI2: 64 bytes, of any characters.
    Avx512,
    /// AVX2 and BMI: 64 bytes of ASCII; other characters as the portable level.
    Avx2,
    /// General registers and tables.
    Portable,
}

impl Level {
    /// Every level, fastest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vbmi2")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("popcnt")
            }
            Self::Portable => true,
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    pub(crate) fn detect() -> Self {
        Self::ALL.into_iter().find(|level| level.is_available()).unwrap_or(Self::Portable)
    }
}

impl Splitter {
    /// A splitter for `grammar` by the fastest instruction set of this processor.
    ///
    /// White space at the end of a text is handled as the grammar's first user does: tiktoken's
    /// `cl100k_base` keeps it in one piece, newlines and all (`\s++$`); with single digits, as
    /// Qwen 2 has it, it is cut after its last newline, see [`cut_at_end`](Self::cut_at_end).
    #[must_use]
    pub fn new(grammar: Grammar) -> Self {
        let cut_at_end = !matches!(grammar, Grammar::Cl100k { digits: 3 });
        Self { grammar, cut_at_end, level: Level::detect() }
    }

    /// Whether cl100k cuts white space at the end of the text after its last newline, as the
    /// pattern of Hugging Face's files does (`\s*[\r\n]+` first). No other grammar asks.
    #[must_use]
    pub fn cut_at_end(self, cut: bool) -> Self {
        Self { cut_at_end: cut, ..self }
    }

    /// The same splitter by `level`, or `None` where this processor lacks it.
    #[must_use]
    pub fn at_level(self, level: Level) -> Option<Self> {
        level.is_available().then_some(Self { level, ..self })
    }

    /// Appends to `ends` the end offset of each piece of `text` that is decided; gives back the
    /// last of them, the bytes consumed, or 0.
    ///
    /// `text` begins where a piece begins. With `more`, text will follow, and only those ends are
    /// given that nothing can change; without, the last end is the text's length. Texts are at
    /// most 2 GiB long: of a longer one, that much is looked at, as with `more`.
    /// Does not allocate but to grow `ends`.
    pub fn split(&self, text: &[u8], more: bool, ends: &mut Vec<u32>) -> usize {
        self.resume(&mut SplitState::default(), text, more, ends)
    }

    /// Like [`split`](Self::split), going on from `state`, which was left by a call with `more` on
    /// the same text as far as it was there; afterwards `state` speaks of the text after the bytes
    /// consumed. Without `more`, `state` is reset.
    ///
    /// Each byte is looked at a bounded number of times however small the steps are.
    pub fn resume(
        &self,
        state: &mut SplitState,
        text: &[u8],
        more: bool,
        ends: &mut Vec<u32>,
    ) -> usize {
        let (text, more) = match text.get(..LONGEST) {
            Some(first) if text.len() > LONGEST => (first, true),
            _ => (text, more),
        };
        let before = ends.len();
        let forgotten = state.carry & FORGOTTEN != 0;
        let mut scan = Scan {
            at: (state.scanned as usize).min(text.len()),
            held: state.held,
            carry: Carry::unpack(state.carry & !FORGOTTEN),
            fresh: state.scanned == 0 && !forgotten,
        };
        let seen = if more { &text[..backend::whole(text).max(scan.at)] } else { text };
        self.scan(seen, !more, &mut scan, ends);
        if !more {
            *state = SplitState::default();
            if !text.is_empty() || forgotten {
                ends.push(text.len() as u32);
            }
            return text.len();
        }
        let consumed = if ends.len() > before { ends[ends.len() - 1] } else { 0 };
        let forgotten = forgotten && ends.len() == before;
        *state = SplitState {
            scanned: (scan.at as u32).saturating_sub(consumed),
            held: scan.held.saturating_sub(consumed),
            carry: scan.carry.pack() | if forgotten { FORGOTTEN } else { 0 },
        };
        consumed as usize
    }

    fn scan(&self, text: &[u8], last: bool, scan: &mut Scan, ends: &mut Vec<u32>) {
        let cut_at_end = self.cut_at_end;
        match self.grammar {
            Grammar::Whole => scan.at = text.len(),
            Grammar::R50k => self.run(R50k, text, last, scan, ends),
            Grammar::Cl100k { digits: 0 | 1 } | Grammar::Llama3 { digits: 0 | 1 } => {
                self.run(Cl100k::<1> { cut_at_end }, text, last, scan, ends);
            }
            Grammar::Cl100k { digits: 2 } | Grammar::Llama3 { digits: 2 } => {
                self.run(Cl100k::<2> { cut_at_end }, text, last, scan, ends);
            }
            Grammar::Cl100k { .. } | Grammar::Llama3 { .. } => {
                self.run(Cl100k::<3> { cut_at_end }, text, last, scan, ends);
            }
            Grammar::O200k => self.run(O200k, text, last, scan, ends),
        }
    }

    fn run<R: Rules>(
        &self,
        rules: R,
        text: &[u8],
        last: bool,
        scan: &mut Scan,
        ends: &mut Vec<u32>,
    ) {
        match self.level {
            // SAFETY: a splitter has a level only where that is available.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { x86::avx512::run(rules, text, last, scan, ends) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2::run(rules, text, last, scan, ends) },
            _ => portable::run(rules, text, last, scan, ends),
        }
    }
}
