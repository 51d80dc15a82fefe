//! Up to 64 characters as bit masks, one per class.

/// One of `s d m t`: alone after an apostrophe, a contraction.
pub(super) const SDMT: u8 = 1;
/// `l`, of `'ll`.
pub(super) const EL: u8 = 1 << 1;
/// `v` or `r`, of `'ve` and `'re`.
pub(super) const VR: u8 = 1 << 2;
/// `e`, of `'ve` and `'re`.
pub(super) const EE: u8 = 1 << 3;
/// `'`.
pub(super) const APOSTROPHE: u8 = 1 << 4;
/// U+0020.
pub(super) const BLANK: u8 = 1 << 5;
/// `/`.
pub(super) const SLASH: u8 = 1 << 6;

/// What the grammars ask of single ASCII characters; case matters.
pub(super) static SIGNS: [u8; 128] = signs(false);
/// The same with case folded.
pub(super) static SIGNS_FOLDED: [u8; 128] = signs(true);

const fn signs(fold: bool) -> [u8; 128] {
    let mut table = [0; 128];
    let mut at = 0u8;
    while at < 128 {
        let letter = if fold { at.to_ascii_lowercase() } else { at };
        table[at as usize] = match letter {
            b's' | b'd' | b'm' | b't' => SDMT,
            b'l' => EL,
            b'v' | b'r' => VR,
            b'e' => EE,
            b'\'' => APOSTROPHE,
            b' ' => BLANK,
            b'/' => SLASH,
            _ => 0,
        };
        at += 1;
    }
    table
}

/// The characters of a block: bit `i` of a mask says whether character `i` is of its class.
/// Bits from `n` on are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planes {
    /// Characters in the block, 0 to 64.
    pub(super) n: u32,
    /// `\p{L}`.
    pub(super) letter: u64,
    /// `\p{N}`.
    pub(super) number: u64,
    /// `\s`.
    pub(super) space: u64,
    /// `[\r\n]`.
    pub(super) newline: u64,
    /// `[\p{Lu}\p{Lt}]`; only where the grammar asks for case.
    pub(super) upper: u64,
    /// `\p{Ll}`; only where the grammar asks for case.
    pub(super) lower: u64,
    /// `[\p{Lm}\p{Lo}\p{M}]`; only where the grammar asks for case.
    pub(super) either: u64,
    /// Letters of one-letter contractions.
    pub(super) sdmt: u64,
    /// `l`.
    pub(super) el: u64,
    /// `v`, `r`.
    pub(super) vr: u64,
    /// `e`.
    pub(super) ee: u64,
    /// `'`.
    pub(super) apostrophe: u64,
    /// U+0020.
    pub(super) blank: u64,
    /// `/`; only where the grammar asks for it.
    pub(super) slash: u64,
}

impl Planes {
    /// Contractions that begin at `at`, apostrophes each: those of two characters and those of
    /// three.
    #[inline(always)]
    pub(super) const fn contractions(&self, at: u64) -> (u64, u64) {
        let double = (self.el >> 1 & self.el >> 2) | (self.vr >> 1 & self.ee >> 2);
        (at & self.sdmt >> 1, at & double)
    }

    /// Mask of the characters that there are.
    #[inline(always)]
    pub(super) const fn valid(&self) -> u64 {
        low(self.n)
    }
}

/// The lowest `n` bits, `n` at most 64.
#[inline(always)]
pub(super) const fn low(n: u32) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}
