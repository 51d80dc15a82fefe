//! GPT-2's byte alphabet: a printable character for each byte.

/// Characters from U+0000 up that stand for a byte: bytes that are printable in Latin-1 stand for
/// themselves, the other 68 for U+0100 and up.
const BYTES: [Option<u8>; 324] = {
    let mut bytes = [None; 324];
    let mut byte = 0;
    let mut next = 256;
    while byte < 256 {
        if printable(byte as u8) {
            bytes[byte] = Some(byte as u8);
        } else {
            bytes[next] = Some(byte as u8);
            next += 1;
        }
        byte += 1;
    }
    bytes
};

const fn printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes that the characters of `text` stand for; `None` when one stands for none.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        out.push((*BYTES.get(c as usize)?)?);
    }
    Some(out)
}

#[cfg(test)]
pub(super) fn text(bytes: &[u8]) -> String {
    let char_of = |byte| (0..).zip(BYTES).find(|(_, b)| *b == Some(byte)).expect("all bytes").0;
    bytes.iter().map(|&b| char::from_u32(char_of(b)).expect("below the surrogates")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_as_gpt2_has_it() {
        assert_eq!(bytes("Ġhi"), Some(b" hi".to_vec()));
        assert_eq!(bytes("Ċĉč"), Some(b"\n\t\r".to_vec()));
        assert_eq!(bytes("ĀŃ"), Some(vec![0, 0xAD]));
        assert_eq!(bytes("é"), Some(vec![0xE9]));
        assert_eq!(bytes("a b"), None, "a space stands for nothing");
        assert_eq!(bytes("世"), None);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&text(&all)), Some(all));
    }
}
