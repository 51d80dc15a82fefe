use std::os::unix::fs::PermissionsExt;

use super::*;

fn sample() -> Vec<u8> {
    let mut writer = SectionWriter::new();
    writer.put("cells", &[1u64, 2, 3]);
    writer.put("empty", &[0u32; 0]);
    writer.put("blob", b"bytes");
    writer.finish().expect("good tags")
}

#[test]
fn what_is_put_comes_back_aligned() {
    let mut reader = SectionReader::from_bytes(&sample()).unwrap();
    let cells = reader.get::<u64>("cells").unwrap();
    assert_eq!(&*cells, &[1, 2, 3]);
    assert_eq!(cells.as_ptr() as usize % ALIGN, 0);
    assert!(reader.get::<u32>("empty").unwrap().is_empty());
    assert_eq!(&*reader.get::<u8>("blob").unwrap(), b"bytes");
    assert!(reader.has("blob") && !reader.has("blo") && !reader.has("no such long tag"));
    assert!(matches!(reader.get::<u8>("other"), Err(FormatError::NoSection { .. })));
    assert!(matches!(reader.get::<u32>("cells"), Err(FormatError::Section { .. })), "size");
    assert!(matches!(reader.get_one::<u64>("cells"), Err(FormatError::Section { .. })));
    drop(reader);
    assert_eq!(cells[2], 3, "the table keeps the file");
}

#[test]
fn a_file_is_the_same_mapped_and_private_and_replaces_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.v3");
    for residence in [Residence::Auto, Residence::Mapped, Residence::Private] {
        let mut writer = SectionWriter::new();
        writer.put("n", &[residence as u32]);
        writer.write_to(&path).unwrap();
        let mut reader = SectionReader::open(&path, residence).unwrap();
        assert_eq!(reader.get_one::<u32>("n").unwrap(), residence as u32);
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut reader = SectionReader::open(&path, Residence::Auto).unwrap();
    let table = reader.get::<u32>("n").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(table[0], 2, "a file that others may write is not mapped");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
    let missing = folder.path().join("no/such.v3");
    assert!(matches!(SectionWriter::new().write_to(&missing), Err(FormatError::Io { .. })));
}

#[test]
fn truncation_at_every_byte_and_every_flipped_bit_is_refused() {
    let good = sample();
    for len in 0..good.len() {
        assert!(SectionReader::from_bytes(&good[..len]).is_err(), "{len} bytes");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(SectionReader::from_bytes(&longer).is_err());
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(SectionReader::from_bytes(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn a_wrong_hash_version_or_byte_order_is_told_as_such() {
    let good = sample();
    let flipped = |at: usize, to: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + to.len()].copy_from_slice(to);
        SectionReader::from_bytes(&bad).unwrap_err()
    };
    assert!(matches!(flipped(good.len() - 1, &[1]), FormatError::Hash));
    assert!(matches!(flipped(12, &4u32.to_ne_bytes()), FormatError::Version { found: 4, .. }));
    let swapped = BYTE_ORDER.swap_bytes().to_ne_bytes();
    assert!(matches!(flipped(8, &swapped), FormatError::ByteOrder));
    assert!(matches!(flipped(24, &[255; 4]), FormatError::TooLarge { .. }));
    assert!(matches!(flipped(0, b"CRAY"), FormatError::Unrecognized { .. }));
}

#[test]
fn a_directory_that_lies_is_refused_though_its_hash_is_right() {
    let good = sample();
    let offset_of_first = 64 + 8;
    let bytes_of_first = 64 + 16;
    let lies: [(usize, u64); 5] = [
        (offset_of_first, u64::MAX),
        (offset_of_first, 0),
        (bytes_of_first, u64::MAX - 100),
        (bytes_of_first, 1 << 40),
        (64, u64::from_ne_bytes(*b"blob\0\0\0\0")),
    ];
    for (at, value) in lies {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        rehash(&mut bad);
        let error = SectionReader::from_bytes(&bad).unwrap_err();
        assert!(matches!(error, FormatError::Section { .. }), "{at} {value:#x}: {error}");
    }
}

#[test]
fn tags_that_cannot_be_told_apart_are_refused() {
    for tag in ["cells", "", "ninechars", "tab\t"] {
        let mut writer = SectionWriter::new();
        writer.put("cells", &[1u8]);
        writer.put(tag, &[2u8]);
        assert!(matches!(writer.finish(), Err(FormatError::Section { .. })), "{tag:?}");
    }
}
