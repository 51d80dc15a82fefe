//! What is encoded: 64 KiB documents at a stride over a corpus, whole or cut into packets.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Bytes of a document.
const DOCUMENT: usize = 64 << 10;
/// Documents in a sample: 8 MiB.
const DOCUMENTS: usize = 128;
/// Bytes of a packet's payload.
pub const PACKET: usize = 1400;

/// How a sample is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// A document a call.
    Bulk,
    /// A packet a call.
    Packets,
}

impl Cut {
    /// Name in files and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Packets => "packets",
        }
    }
}

/// Writes the sample of `corpus` in `folder` and, with `.ends`, where its texts end; says where.
///
/// # Errors
/// When the corpus cannot be read or the sample not written.
pub fn prepare(folder: &Path, corpus: &str, cut: Cut) -> io::Result<PathBuf> {
    let text = fs::read_to_string(folder.join(format!("{corpus}.txt")))?;
    let documents = pieces(&text, DOCUMENT);
    let stride = (documents.len() / DOCUMENTS).max(1);
    let chosen = documents.into_iter().step_by(stride).take(DOCUMENTS);
    let texts: Vec<&str> = match cut {
        Cut::Bulk => chosen.collect(),
        Cut::Packets => chosen.flat_map(|document| pieces(document, PACKET)).collect(),
    };
    let ends = texts.iter().scan(0_usize, |end, text| {
        *end += text.len();
        Some(u32::try_from(*end).unwrap_or(u32::MAX))
    });
    let raw: Vec<u8> = ends.flat_map(u32::to_le_bytes).collect();
    let samples = folder.join("samples");
    fs::create_dir_all(&samples)?;
    let path = samples.join(format!("{corpus}.{}", cut.name()));
    fs::write(&path, texts.concat())?;
    fs::write(samples.join(format!("{corpus}.{}.ends", cut.name())), raw)?;
    Ok(path)
}

/// `text` in pieces of at most `size` bytes (at least 4), none of them cut inside a character.
fn pieces(text: &str, size: usize) -> Vec<&str> {
    let mut rest = text;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(size));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::trial::Sample;
    use super::*;

    #[test]
    fn a_sample_is_read_as_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let text = "naïve \u{4e16}\u{754c} ".repeat(9000);
        fs::write(folder.path().join("some.txt"), &text).unwrap();
        for (cut, longest) in [(Cut::Bulk, DOCUMENT), (Cut::Packets, PACKET)] {
            let sample = Sample::read(&prepare(folder.path(), "some", cut).unwrap()).unwrap();
            let texts = sample.texts().unwrap();
            assert_eq!(texts.concat(), text);
            assert!(texts.iter().all(|text| (1..=longest).contains(&text.len())));
            assert!(texts.iter().any(|text| text.len() > longest - 4));
        }
    }
}
