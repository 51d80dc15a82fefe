use std::collections::HashSet;

use super::*;
use crate::formats::sections::{SectionReader, SectionWriter, Stored};

fn table(words: &[(Vec<u8>, Vec<u32>)]) -> WordTable {
    let mut builder = Builder::default();
    for (word, ids) in words {
        builder.add(word, ids);
    }
    builder.build()
}

/// `n` distinct words of 1 to 15 bytes, some with NUL at the end.
fn words(n: usize) -> Vec<(Vec<u8>, Vec<u32>)> {
    let mut state = 7u64;
    let mut seen = HashSet::new();
    while seen.len() < n {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = 1 + (state >> 40) as usize % WORD_BYTES;
        let letters = state.to_le_bytes().into_iter().chain((state ^ state << 7).to_le_bytes());
        seen.insert(letters.take(len).map(|b| b % 5).collect::<Vec<u8>>());
    }
    let ids = |at: usize| (0..=at % WORD_IDS).map(|i| (at * 31 + i) as u32 & ID_MASK).collect();
    seen.into_iter().enumerate().map(|(at, word)| (word, ids(at))).collect()
}

#[test]
fn every_word_is_found_and_nothing_else() {
    let all = words(20_000);
    let (known, unknown) = all.split_at(12_000);
    let table = table(known);
    assert_eq!(table.len(), known.len());
    for (word, ids) in known {
        let (found, count) = table.get(word).unwrap();
        assert_eq!(&found[..count], ids, "{word:?}");
    }
    for (word, _) in unknown {
        assert_eq!(table.get(word), None, "{word:?}");
    }
    assert_eq!(table.get(&[b'x'; 16]), None);
    assert_eq!(table.get(b""), None);
}

#[test]
fn words_that_differ_in_trailing_nul_only_are_distinct() {
    let list = [(b"a".to_vec(), vec![1]), (b"a\0".to_vec(), vec![2]), (b"\0".to_vec(), vec![3])];
    let table = table(&list);
    assert_eq!(table.get(b"a").unwrap().0[0], 1);
    assert_eq!(table.get(b"a\0").unwrap().0[0], 2);
    assert_eq!(table.get(b"a\0\0"), None);
}

#[test]
fn a_table_comes_back_from_its_file_and_a_damaged_cell_is_refused() {
    let list = words(500);
    let table = table(&list);
    let mut writer = SectionWriter::new();
    table.write(&mut writer);
    let file = writer.finish().unwrap();
    let back = WordTable::read(&mut SectionReader::from_bytes(&file).unwrap()).unwrap();
    assert_eq!(back.len(), list.len());
    assert!(list.iter().all(|(word, ids)| {
        back.get(word).is_some_and(|(found, count)| found[..count] == ids[..])
    }));
    let mut cells = table.cells.to_vec();
    let at = cells.iter().position(|cell| *cell != Cell::FREE).unwrap();
    cells[at].key.low ^= 1;
    let damaged = WordTable { cells: cells.into(), ..table };
    let mut writer = SectionWriter::new();
    damaged.write(&mut writer);
    let file = writer.finish().unwrap();
    let read = WordTable::read(&mut SectionReader::from_bytes(&file).unwrap());
    assert!(matches!(read, Err(FormatError::Cell { .. } | FormatError::Section { .. })));
}

use crate::formats::FormatError;
