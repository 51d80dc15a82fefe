//! Bodies of fuzz targets: any bytes as a vocabulary file. Nothing may panic, and what is accepted
//! must keep the rules and pass through the writers unchanged.

use super::sections::{self, SectionReader, SectionWriter, Stored};
use super::{crayon, dat, hf, packed, tiktoken};
use crate::vocab::{Grammar, Mode, Unknown, VocabSource};

/// Any bytes as Crayon's `.dat`: an accepted one is written and read again alike.
pub fn vocab_dat(data: &[u8]) {
    let Ok(source) = dat::read(data, "fuzz", Unknown::AddBytes) else { return };
    assert_eq!(source.check(), Ok(()));
    let again = dat::write(&source).expect("tokens that a file held fit in one");
    assert_eq!(dat::read(&again, "fuzz", Unknown::AddBytes).expect("its own file"), source);
}

/// Any bytes as a v3 file, as they are and with the right hash, so that damage reaches the sections.
pub fn vocab_v3(data: &[u8]) {
    let mut bytes = data.to_vec();
    stored(&bytes);
    sections::rehash(&mut bytes);
    stored(&bytes);
}

fn stored(bytes: &[u8]) {
    let Ok(mut reader) = SectionReader::from_bytes(bytes) else { return };
    if let Ok(source) = VocabSource::read(&mut reader) {
        same_in_v3(&source);
    }
}

/// Any bytes as a `tokenizer.json`.
pub fn vocab_hf(data: &[u8]) {
    let Ok(source) = hf::read(data, "fuzz") else { return };
    assert_eq!(source.mode, Mode::Bpe);
    same_in_v3(&source);
}

/// Any bytes as a `.tiktoken`: an accepted one is written and read again alike.
pub fn vocab_tiktoken(data: &[u8]) {
    let Ok(source) = tiktoken::read(data, "fuzz", Grammar::Whole, vec![]) else { return };
    let again = tiktoken::write(&source).expect("ids that are ranks");
    let again = tiktoken::read(&again, "fuzz", Grammar::Whole, vec![]).expect("its own file");
    assert_eq!(again, source);
}

/// Any bytes as Crayon's JSON.
pub fn vocab_crayon(data: &[u8]) {
    let Ok(source) = crayon::read(data, "fuzz", Unknown::Crayon) else { return };
    assert_eq!(source.mode, Mode::Greedy);
    same_in_v3(&source);
}

/// Any bytes as a packed vocabulary.
pub fn vocab_packed(data: &[u8]) {
    let _ = packed::read(data);
}

fn same_in_v3(source: &VocabSource) {
    assert_eq!(source.check(), Ok(()));
    let mut writer = SectionWriter::new();
    source.write(&mut writer);
    let file = writer.finish().expect("tags of its own");
    let mut reader = SectionReader::from_bytes(&file).expect("its own file");
    assert_eq!(&VocabSource::read(&mut reader).expect("its own sections"), source);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A good file of each format, small.
    fn seeds() -> Vec<Vec<u8>> {
        let words = br#"{"vocab": {"b\n": 2, "a": 0, "ab": 1}, "size": 3}"#.to_vec();
        let source = crayon::read(&words, "seed", Unknown::AddBytes).expect("a good list");
        let mut writer = SectionWriter::new();
        source.write(&mut writer);
        let v3 = writer.finish().expect("good tags");
        vec![dat::write(&source).expect("greedy"), v3, words]
    }

    fn all(data: &[u8]) {
        vocab_dat(data);
        vocab_v3(data);
        vocab_hf(data);
        vocab_tiktoken(data);
        vocab_crayon(data);
        vocab_packed(data);
    }

    proptest! {
        #[test]
        fn damaged_files_are_refused_or_good(
            seed in 0..3usize,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let mut data = seeds().swap_remove(seed);
            for (at, byte) in edits {
                let at = at.index(data.len());
                data[at] = byte;
            }
            let len = if whole { data.len() } else { cut.index(data.len()) };
            all(&data[..len]);
        }

        #[test]
        fn any_bytes_are_refused_or_good(data in proptest::collection::vec(any::<u8>(), 0..512)) {
            all(&data);
        }
    }
}
