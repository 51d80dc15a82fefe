//! A vocabulary's source in a v3 file: what it says, beside the tables compiled from it.
//!
//! | section | elements | what |
//! |---|---|---|
//! | `src.meta` | 1 | [`Meta`] |
//! | `src.name` | `u8` | the name, UTF-8 |
//! | `src.ids` | `u32` | ids of the tokens, ascending |
//! | `src.ends` | `u32` | end of each token in `src.blob` |
//! | `src.blob` | `u8` | the tokens' bytes, one after the other |
//! | `src.mrgs` | `u32` | merges, left and right id by turns; none where ids are ranks |
//! | `src.sids`, `src.send`, `src.sblo` | | the same three for special tokens, whose text is UTF-8 |

use bytemuck::{Pod, Zeroable};

use super::FormatError;
use super::sections::{SectionReader, SectionWriter, Stored};
use crate::vocab::{Grammar, Mode, Ranks, Special, Unknown, VocabSource};

/// The fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Meta {
    /// [`VocabSource::content_hash`].
    hash: [u8; 32],
    /// Bit b of word w: byte 64 w + b occurs in a token.
    alphabet: [u64; 4],
    /// Bytes of the longest token.
    longest: u32,
    /// Id for unknown bytes, where `unknown` is 1.
    unknown_id: u32,
    /// 0 greedy, 1 BPE.
    mode: u8,
    /// 0: bytes are added; 1: `unknown_id`; 2: as Crayon.
    unknown: u8,
    /// [`Grammar::code`].
    grammar: u8,
    digits: u8,
    whole_piece_first: u8,
    /// 0: ids are ranks; 1: `src.mrgs`.
    ranks: u8,
    reserved: [u8; 2],
}

impl Meta {
    fn of(source: &VocabSource) -> Self {
        let (grammar, digits) = source.grammar.code();
        let (unknown, unknown_id) = match source.unknown {
            Unknown::AddBytes => (0, 0),
            Unknown::Id(id) => (1, id),
            Unknown::Crayon => (2, 0),
        };
        let mut alphabet = [0; 4];
        for byte in source.tokens.iter().flat_map(|(_, bytes)| bytes) {
            alphabet[usize::from(byte / 64)] |= 1u64 << (byte % 64);
        }
        Self {
            hash: source.content_hash(),
            alphabet,
            longest: source.tokens.iter().map(|(_, b)| b.len()).max().unwrap_or(0) as u32,
            unknown_id,
            mode: u8::from(source.mode == Mode::Bpe),
            unknown,
            grammar,
            digits,
            whole_piece_first: u8::from(source.whole_piece_first),
            ranks: u8::from(source.ranks != Ranks::ById),
            reserved: [0; 2],
        }
    }
}

impl Stored for VocabSource {
    fn write(&self, writer: &mut SectionWriter) {
        writer.put("src.meta", &[Meta::of(self)]);
        writer.put("src.name", self.name.as_bytes());
        let tokens = self.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
        put_texts(writer, ["src.ids", "src.ends", "src.blob"], tokens);
        let merges: Vec<u32> = match &self.ranks {
            Ranks::ById => vec![],
            Ranks::Merges(list) => list.iter().flat_map(|&(left, right)| [left, right]).collect(),
        };
        writer.put("src.mrgs", &merges);
        let specials = self.specials.iter().map(|s| (s.id, s.text.as_bytes()));
        put_texts(writer, ["src.sids", "src.send", "src.sblo"], specials);
    }

    fn read(reader: &mut SectionReader) -> Result<Self, FormatError> {
        let meta = reader.get_one::<Meta>("src.meta")?;
        let tokens = get_texts(reader, ["src.ids", "src.ends", "src.blob"])?;
        let mut specials = Vec::new();
        for (id, text) in get_texts(reader, ["src.sids", "src.send", "src.sblo"])? {
            let text = String::from_utf8(text)
                .map_err(|_| wrong("src.sblo", format!("special token {id} is not UTF-8")))?;
            specials.push(Special { id, text });
        }
        let name = String::from_utf8(reader.get::<u8>("src.name")?.to_vec())
            .map_err(|_| wrong("src.name", "not UTF-8"))?;
        let source = Self {
            name,
            mode: if meta.mode == 0 { Mode::Greedy } else { Mode::Bpe },
            tokens,
            ranks: ranks(reader, meta)?,
            whole_piece_first: meta.whole_piece_first != 0,
            grammar: Grammar::from_code((meta.grammar, meta.digits))
                .ok_or_else(|| wrong("src.meta", format!("split grammar {}", meta.grammar)))?,
            specials,
            unknown: match meta.unknown {
                0 => Unknown::AddBytes,
                1 => Unknown::Id(meta.unknown_id),
                _ => Unknown::Crayon,
            },
        };
        source.check().map_err(|source| FormatError::Source { format: "v3", source })?;
        // Every field of `meta` follows from the rest, the hash of the content among them.
        if Meta::of(&source) != meta {
            return Err(wrong("src.meta", "does not fit the tokens: another content hash"));
        }
        Ok(source)
    }
}

fn wrong(tag: &str, cause: impl Into<String>) -> FormatError {
    FormatError::Section { tag: tag.to_owned(), cause: cause.into() }
}

fn ranks(reader: &mut SectionReader, meta: Meta) -> Result<Ranks, FormatError> {
    let merges = reader.get::<u32>("src.mrgs")?;
    let (pairs, rest) = merges.as_chunks::<2>();
    match meta.ranks {
        0 if merges.is_empty() => Ok(Ranks::ById),
        1 if rest.is_empty() => {
            Ok(Ranks::Merges(pairs.iter().map(|&[left, right]| (left, right)).collect()))
        }
        _ => Err(wrong("src.mrgs", "not pairs of ids, or not expected")),
    }
}

fn put_texts<'a>(
    writer: &mut SectionWriter,
    [ids_tag, ends_tag, blob_tag]: [&'static str; 3],
    texts: impl Iterator<Item = (u32, &'a [u8])>,
) {
    let (mut ids, mut ends, mut blob) = (Vec::new(), Vec::new(), Vec::new());
    for (id, text) in texts {
        ids.push(id);
        blob.extend_from_slice(text);
        ends.push(blob.len() as u32);
    }
    writer.put(ids_tag, &ids);
    writer.put(ends_tag, &ends);
    writer.put(blob_tag, &blob);
}

fn get_texts(
    reader: &mut SectionReader,
    [ids_tag, ends_tag, blob_tag]: [&'static str; 3],
) -> Result<Vec<(u32, Vec<u8>)>, FormatError> {
    let ids = reader.get::<u32>(ids_tag)?;
    let ends = reader.get::<u32>(ends_tag)?;
    let blob = reader.get::<u8>(blob_tag)?;
    if ids.len() != ends.len() || ends.last().map_or(0, |&end| end as usize) != blob.len() {
        return Err(wrong(ends_tag, "does not have one end for each id, the last at the end"));
    }
    let mut start = 0;
    let mut texts = Vec::with_capacity(ids.len());
    for (&id, &end) in ids.iter().zip(ends.iter()) {
        let text = blob.get(start..end as usize).ok_or_else(|| wrong(ends_tag, "descends"))?;
        texts.push((id, text.to_vec()));
        start = end as usize;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::shipped;

    fn image(source: &VocabSource) -> Vec<u8> {
        let mut writer = SectionWriter::new();
        source.write(&mut writer);
        writer.finish().expect("good tags")
    }

    fn back(image: &[u8]) -> Result<VocabSource, FormatError> {
        VocabSource::read(&mut SectionReader::from_bytes(image)?)
    }

    fn small() -> VocabSource {
        VocabSource {
            name: "small".into(),
            mode: Mode::Bpe,
            tokens: (0..=255u8)
                .map(|b| (u32::from(b) * 2, vec![b]))
                .chain([(600, b"ab".to_vec())])
                .collect(),
            ranks: Ranks::Merges(vec![(194, 196)]),
            whole_piece_first: false,
            grammar: Grammar::Llama3 { digits: 1 },
            specials: vec![Special { id: 601, text: "<é>".into() }],
            unknown: Unknown::AddBytes,
        }
    }

    #[test]
    fn sources_come_back_as_they_were() {
        for name in ["cl100k_base", "p50k_edit"] {
            let source = shipped(name).unwrap();
            assert_eq!(back(&image(&source)).unwrap(), source);
        }
        assert_eq!(back(&image(&small())).unwrap(), small());
        let mut greedy = small();
        (greedy.mode, greedy.unknown) = (Mode::Greedy, Unknown::Id(1000));
        assert_eq!(back(&image(&greedy)).unwrap(), greedy);
    }

    #[test]
    fn content_that_contradicts_itself_is_refused_though_the_file_hash_is_right() {
        let good = small();
        let rewrite = |change: &dyn Fn(&mut Meta, &mut VocabSource)| {
            let (mut meta, mut source) = (Meta::of(&good), good.clone());
            change(&mut meta, &mut source);
            let mut writer = SectionWriter::new();
            writer.put("src.meta", &[meta]);
            writer.put("src.name", source.name.as_bytes());
            let tokens = source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice()));
            put_texts(&mut writer, ["src.ids", "src.ends", "src.blob"], tokens);
            writer.put("src.mrgs", &[194u32, 196]);
            put_texts(
                &mut writer,
                ["src.sids", "src.send", "src.sblo"],
                [(601, &b"<\xC3\xA9>"[..])].into_iter(),
            );
            back(&writer.finish().expect("good tags"))
        };
        assert_eq!(rewrite(&|_, _| {}).unwrap(), good);
        type Lie<'a> = &'a dyn Fn(&mut Meta, &mut VocabSource);
        let lies: [Lie<'_>; 9] = [
            &|m, _| m.hash[0] ^= 1,
            &|m, _| m.alphabet[0] ^= 1,
            &|m, _| m.longest += 1,
            &|m, _| m.digits = 9,
            &|m, _| m.mode = 2,
            &|m, _| m.ranks = 0,
            &|m, _| m.reserved[0] = 1,
            &|_, s| s.tokens[7].1 = vec![8],
            &|_, s| s.tokens[7].0 = 0,
        ];
        for (at, lie) in lies.iter().enumerate() {
            assert!(rewrite(lie).is_err(), "lie {at}");
        }
    }

    #[test]
    fn ends_that_descend_or_pass_the_blob_are_refused() {
        for ends in [[2u32, 1, 3], [1, 9, 3], [1, 2, 2], [1, 2, 4], [u32::MAX, 2, 3]] {
            let mut writer = SectionWriter::new();
            writer.put("a", &[1u32, 2, 3]);
            writer.put("b", &ends);
            writer.put("c", b"xyz");
            let file = writer.finish().unwrap();
            let mut reader = SectionReader::from_bytes(&file).unwrap();
            assert!(get_texts(&mut reader, ["a", "b", "c"]).is_err(), "{ends:?}");
        }
    }

    #[test]
    fn two_million_tokens_pass_through_every_format() {
        let tokens = (0..2_000_000u32).map(|id| (id, format!("{id:x}g").into_bytes())).collect();
        let source = crate::formats::crayon::greedy("big", tokens, Unknown::AddBytes);
        assert_eq!(back(&image(&source)).unwrap(), source);
    }
}
