//! Sizes and lists of numbers, as they are written on the command line.

/// Bytes: `4096`, `256K`, `512M`, `1G`; powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text}: a number, or one with K, M, G"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

/// A place: `OFFSET:LENGTH`, both as [`bytes`].
pub(super) fn place(text: &str) -> Result<(u64, u64), String> {
    let (from, len) = text.split_once(':').ok_or_else(|| format!("{text}: OFFSET:LENGTH"))?;
    Ok((bytes(from)?, bytes(len)?))
}

/// Numbers: `1,2,8`, or `1..4` for all from 1 to 4, or `1..N` for all up to `most`.
pub(super) fn counts(text: &str, most: usize) -> Result<Vec<usize>, String> {
    let number = |text: &str| match text {
        "N" => Ok(most),
        _ => text.parse::<usize>().map_err(|_| format!("{text}: a number, or N")),
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            Some((first, last)) => all.extend(number(first)?..=number(last)?),
            None => all.push(number(part)?),
        }
    }
    if all.is_empty() { Err(format!("{text} names no number")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_places_and_counts() {
        assert_eq!(bytes("256K"), Ok(262_144));
        assert_eq!(place("1M:4096"), Ok((1 << 20, 4096)));
        assert_eq!(counts("1..N,8", 3), Ok(vec![1, 2, 3, 8]));
        for wrong in ["", "K", "-1", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert!(place("4096").is_err() && counts("2..1", 3).is_err() && counts("x", 3).is_err());
    }
}
