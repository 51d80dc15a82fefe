//! The table of classes, made from `regex-syntax` and held against it.

use std::fmt::Write as _;

use regex_syntax::hir::{Class, HirKind};

use crate::split::class;

/// Letter of a class in the table's rows, as `split/tables.rs` explains them.
fn classes() -> Vec<u8> {
    let mut table = vec![b'.'; 0x11_0000];
    for (pattern, letter) in [
        (r"[\p{Lu}\p{Lt}]", b'u'),
        (r"\p{Ll}", b'l'),
        (r"[\p{Lm}\p{Lo}]", b'o'),
        (r"\p{M}", b'm'),
        (r"\p{N}", b'n'),
        (r"\s", b's'),
        (r"[\r\n]", b'r'),
        (r"\x{17f}", b'f'),
    ] {
        let hir = regex_syntax::parse(pattern).expect("a class");
        match hir.into_kind() {
            HirKind::Class(Class::Unicode(ranges)) => {
                for range in ranges.iter() {
                    table[range.start() as usize..=range.end() as usize].fill(letter);
                }
            }
            HirKind::Literal(text) => {
                let text = std::str::from_utf8(&text.0).expect("a character");
                table[text.chars().next().expect("one") as usize] = letter;
            }
            other => panic!("{pattern}: {other:?}"),
        }
    }
    table
}

/// Bits of a letter.
fn bits(letter: u8) -> u8 {
    use class::*;
    match letter {
        b'u' => LETTER | UPPER,
        b'l' => LETTER | LOWER,
        b'f' => LETTER | LOWER | LONG_S,
        b'o' => LETTER | EITHER,
        b'm' => EITHER,
        b'n' => NUMBER,
        b's' => SPACE,
        b'r' => SPACE | NEWLINE,
        b'.' => 0,
        other => panic!("{other}"),
    }
}

/// Index of `item` in `list`, which it joins when it is new.
fn index_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn numbers(out: &mut String, list: &[usize]) {
    for line in list.chunks(16) {
        let line: Vec<_> = line.iter().map(|n| format!("{n:>3},")).collect();
        writeln!(out, "    {}", line.join(" ")).expect("a string takes it");
    }
}

fn source() -> String {
    let table = classes();
    let mut rows: Vec<&[u8]> = Vec::new();
    // Rows of one class only come first.
    for row in table[..0x1_0000].chunks(64).filter(|row| row.iter().all(|c| c == &row[0])) {
        index_of(&mut rows, row);
    }
    let uniform = rows.len();
    let row_of: Vec<usize> = table.chunks(64).map(|row| index_of(&mut rows, row)).collect();
    let (bmp, rest) = row_of.split_at(1024);
    let mut pages: Vec<&[usize]> = Vec::new();
    let mut index = vec![0; 256];
    for (at, page) in rest.chunks(64).enumerate() {
        // 0x10 to 0x10f, by their low eight bits.
        index[(at + 0x10) & 0xff] = index_of(&mut pages, page);
    }
    let mut out = String::from(HEAD);
    writeln!(out, "pub(super) static ROW_OF: [u8; 1024] = [").expect("a string takes it");
    numbers(&mut out, bmp);
    out += "];\n\n/// That many rows from the first on are of one class each.\n#[cfg(target_arch = \"x86_64\")]\n";
    writeln!(out, "pub(super) const UNIFORM: u8 = {uniform};").expect("a string takes it");
    out += "\n/// Page of a code point from U+10000 on, by its bits 12 to 19.\n#[rustfmt::skip]\n";
    out += "pub(super) static PAGE_INDEX: [u8; 256] = [\n";
    numbers(&mut out, &index);
    out +=
        "];\n\n/// Rows of the code points of a page, by their bits 6 to 11.\n#[rustfmt::skip]\n";
    writeln!(out, "pub(super) static PAGES: [[u16; 64]; {}] = [", pages.len()).expect("fits");
    for page in pages {
        out += "    [\n";
        numbers(&mut out, page);
        out += "    ],\n";
    }
    out += "];\n\n/// Class bits of 64 code points in a row.\n";
    writeln!(out, "pub(super) static ROWS: [[u8; 64]; {}] = rows(&[", rows.len()).expect("fits");
    for row in rows {
        let row = std::str::from_utf8(row).expect("letters");
        writeln!(out, "    b\"{row}\",").expect("a string takes it");
    }
    out + "]);\n"
}

const HEAD: &str = include_str!("tables_head.txt");

#[test]
fn every_code_point_has_the_class_that_regex_syntax_gives_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/split/tables.rs");
    let wanted = source();
    if std::env::var_os("PFS_BLESS").is_some() {
        std::fs::write(path, &wanted).unwrap();
        println!("wrote {path}; build again");
        return;
    }
    for (code, &letter) in (0..).zip(&classes()) {
        assert_eq!(class::of_code_point(code), bits(letter), "U+{code:04X}");
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert!(found == wanted, "split/tables.rs is out of date; run this test with PFS_BLESS=1");
}
