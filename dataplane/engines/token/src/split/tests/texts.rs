//! Texts that are rich in what the grammars care about.

/// A generator of pseudo-random numbers (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % n
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Strings whose neighbourhood matters.
pub(super) const BITS: [&str; 96] = [
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\n",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "\t",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{a0}",
    "\u{1680}",
    "\u{2003}",
    "\u{2028}",
    "\u{2029}",
    "\u{3000}",
    "'",
    "'",
    "'s",
    "'S",
    "'t",
    "'re",
    "'RE",
    "'vE",
    "'ll",
    "'Ll",
    "'l",
    "'v",
    "'m",
    "'d",
    "'D",
    "'\u{17f}",
    "\u{17f}",
    "\u{212a}",
    "'\u{212a}",
    "a",
    "b",
    "e",
    "l",
    "r",
    "v",
    "s",
    "word",
    "A",
    "B",
    "Word",
    "WORD",
    "wordWord",
    "WOrd",
    "\u{e9}",
    "\u{c9}",
    "\u{1c5}",
    "\u{1c4}",
    "\u{1c6}",
    "\u{2b0}",
    "\u{aa}",
    "\u{4e2d}",
    "\u{6587}",
    "\u{3042}",
    "\u{301}",
    "\u{301}",
    "\u{903}",
    "\u{20dd}",
    "\u{915}",
    "\u{93f}",
    "\u{fe0f}",
    "0",
    "1",
    "23",
    "456",
    "7890",
    "\u{b2}",
    "\u{bd}",
    "\u{663}",
    "\u{2167}",
    "\u{1d7d8}",
    "!",
    "!",
    "!!",
    ".",
    ",",
    "(",
    ")",
    "/",
    "/",
    "//",
    "-",
    "_",
    "\u{2019}",
    "\u{1f600}",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{10ffff}",
];

/// Byte strings that are not UTF-8, or not yet.
pub(super) const BROKEN: [&[u8]; 16] = [
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xc2",
    b"\xe2\x82",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xf0",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80",
    b"\xf5",
    b"\xff",
    b"\xfe",
    b"\xc1\x81",
    b"\xe4\xb8",
];

/// About `len` bytes of valid text, made of few kinds of bits so that each meets itself often.
pub(super) fn valid(random: &mut Random, len: usize) -> String {
    let kinds: Vec<&str> = (0..1 + random.below(12)).map(|_| random.pick(&BITS)).collect();
    let mut text = String::new();
    while text.len() < len {
        let bit = random.pick(&kinds);
        let times = if random.below(8) == 0 { 1 + random.below(70) } else { 1 + random.below(3) };
        (0..times).for_each(|_| text.push_str(bit));
        if random.below(6) == 0 {
            text.push_str(random.pick(&BITS));
        }
    }
    text
}

/// The same with broken sequences in it.
pub(super) fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    let mut text = valid(random, len).into_bytes();
    for _ in 0..random.below(6) {
        let at = random.below(text.len());
        let broken: Vec<u8> = random.pick(&BROKEN).repeat(1 + random.below(3));
        if random.below(2) == 0 {
            text.splice(at..at, broken);
        } else {
            text[at] = random.below(256) as u8;
        }
    }
    text
}
