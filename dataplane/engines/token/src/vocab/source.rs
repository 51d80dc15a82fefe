//! The neutral form that every vocabulary file is read into and every compiler starts from.

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The longest token at each position, from left to right.
    Greedy,
    /// Byte-pair encoding inside the pieces that a split grammar cuts.
    Bpe,
}

/// Which pair of neighbours BPE joins first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranks {
    /// A pair joins when its bytes are a token; the lower id first (`.tiktoken`).
    ById,
    /// The listed pairs of ids join, in the order of the list, into the token of their bytes
    /// (`merges` of a Hugging Face `tokenizer.json`).
    Merges(Vec<(u32, u32)>),
}

/// The rule that cuts text into the pieces that BPE works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grammar {
    /// No cut: the whole text is one piece.
    Whole,
    /// GPT-2's: `r50k_base`, `p50k_base`.
    R50k,
    /// `cl100k_base`; digits in runs of up to `digits` (3, or 1 for Qwen 2).
    Cl100k {
        /// Longest run of digits in one piece, 1 to 3.
        digits: u8,
    },
    /// The pattern in the `tokenizer.json` of Llama 3 (`digits` 3) and Qwen 2 (1): as
    /// [`Grammar::Cl100k`], but without its `\s++$`: whitespace that ends the text is cut after
    /// its last line break.
    Llama3 {
        /// Longest run of digits in one piece, 1 to 3.
        digits: u8,
    },
    /// `o200k_base`.
    O200k,
}

/// What encoding does with a byte that no token covers (greedy mode only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// Give the 256 bytes tokens of their own after the listed ones, where they lack one.
    AddBytes,
    /// This id, once per byte; it stands for no text and decoding it is an error.
    Id(u32),
    /// Crayon's behaviour: id 1, once per byte, though id 1 is an ordinary token. Not lossless.
    Crayon,
}

/// A token that stands for a position and not for its text, such as `<|endoftext|>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Special {
    /// Its id, outside the ordinary ones or, as some files have it, among them.
    pub id: u32,
    /// How it is written in text, where the policy allows it to be recognized.
    pub text: String,
}

/// A vocabulary as its file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabSource {
    /// A name for messages and reports: `cl100k_base`, or the file's stem.
    pub name: String,
    /// How text becomes tokens.
    pub mode: Mode,
    /// Ordinary tokens as (id, bytes), by ascending id; ids may have gaps, bytes are distinct.
    pub tokens: Vec<(u32, Vec<u8>)>,
    /// Order of merges; not used in greedy mode.
    pub ranks: Ranks,
    /// A piece that is itself a token becomes that token without any merge
    /// (tiktoken always; Hugging Face with `ignore_merges`).
    pub whole_piece_first: bool,
    /// How text is cut before BPE; not used in greedy mode.
    pub grammar: Grammar,
    /// Special tokens, by ascending id.
    pub specials: Vec<Special>,
    /// What a byte without a token becomes; not used in BPE mode, where every byte must have one.
    pub unknown: Unknown,
}
