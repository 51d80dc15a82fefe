//! The words that come with this crate: those of several tokens that are common in text and code.

/// Words as in `data/words.zst`: each is a byte with its length, and its bytes.
#[derive(Debug)]
pub(crate) struct List(Vec<u8>);

/// The list, unpacked.
pub(crate) fn listed() -> List {
    let packed = include_bytes!("../../data/words.zst");
    // The file is part of the program; a test unpacks it.
    List(zstd::decode_all(&packed[..]).unwrap_or_default())
}

impl List {
    /// The words in the order of the file, the most common first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (&len, others) = rest.split_first()?;
            let (word, others) = others.split_at_checked(usize::from(len))?;
            rest = others;
            Some(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let list = listed();
        let bytes: usize = list.iter().map(|word| word.len() + 1).sum();
        assert_eq!(bytes, list.0.len());
        assert!(list.iter().count() > 10_000);
        assert!(list.iter().all(|word| (1..=super::super::WORD_BYTES).contains(&word.len())));
    }
}
