//! The footer of a segment file, and the regions that it names.
//!
//! A file is a head of 64 bytes (magic, version, id), regions at multiples of 64 bytes, the table of
//! checksums, and the footer: the last [`FOOTER`] bytes. The table has the CRC-32C of each
//! [`BLOCK_BYTES`] of everything before it.

use bytemuck::{Pod, Zeroable};

/// Bytes that one checksum is of.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Bytes of the footer.
pub(crate) const FOOTER: usize = size_of::<Footer>();
/// Bytes before the first region.
pub(crate) const HEAD: usize = 64;
pub(crate) const MAGIC: [u8; 8] = *b"PFSVSEG\0";
pub(crate) const VERSION: u32 = 1;
/// Steps of effort that a segment was measured at.
pub(crate) const STEPS: usize = 8;

/// The regions of a segment, in the order of their extents in the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Region {
    /// The fixed part of each record.
    Rows,
    /// Where each id ends; then ids.
    IdEnds,
    Ids,
    TextEnds,
    Texts,
    MetadataEnds,
    Metadata,
    /// Vectors as padded rows; then, of bytes, what each row's bytes count.
    Raw,
    RawUnits,
    /// Where each list lies in [`Region::ListData`].
    Lists,
    ListData,
    /// Rotated centres of lists; as bytes; what these count; half their squared lengths.
    Turned,
    CentreBytes,
    CentreUnits,
    CentreHalves,
    /// Hashes of ids, ascending, with their rows.
    IdKeys,
    IdRows,
    /// Times, ascending, with their rows.
    TimeKeys,
    TimeRows,
    /// Where each word ends, ascending; words; where each word's rows end; rows.
    WordEnds,
    Words,
    PostingEnds,
    Postings,
    /// The fixed part of each association; where its ids end; ids.
    Edges,
    EdgeIdEnds,
    EdgeIds,
    /// Hashes of sources, ascending, with their associations; the same of targets.
    OutKeys,
    OutRows,
    InKeys,
    InRows,
    /// Cells of a graph; lines and factors of the codes of the vertices where walks begin, and the
    /// numbers of these.
    Cells,
    StartLines,
    StartScale,
    StartAdd,
    Starts,
}

/// How many there are.
pub(crate) const REGIONS: usize = Region::Starts as usize + 1;

/// What regions are called in messages, in their order.
pub(crate) const NAMES: [&str; REGIONS] = [
    "rows",
    "ends of ids",
    "ids",
    "ends of texts",
    "texts",
    "ends of metadata",
    "metadata",
    "vectors",
    "units of vectors",
    "lists",
    "list data",
    "centres",
    "bytes of centres",
    "units of centres",
    "halves of centres",
    "hashes of ids",
    "rows of ids",
    "times",
    "rows of times",
    "ends of words",
    "words",
    "ends of postings",
    "postings",
    "associations",
    "ends of associated ids",
    "associated ids",
    "hashes of sources",
    "rows of sources",
    "hashes of targets",
    "rows of targets",
    "graph",
    "codes of starts",
    "scale of starts",
    "addend of starts",
    "starts",
];

/// Where a region lies in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Extent {
    pub(crate) at: u64,
    pub(crate) bytes: u64,
}

/// An effort, and the share of the exact answer that it found in a sample when the segment was
/// built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Step {
    /// Lists that were looked into; 0 for a step that does not exist.
    pub(crate) probes: u32,
    /// Candidates for each hit.
    pub(crate) factor: u32,
    pub(crate) recall: f32,
    pub(crate) zero: u32,
}

/// The end of a segment file: 1024 bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Footer {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) level: u32,
    pub(crate) id: u64,
    /// Versions of records, and of associations.
    pub(crate) rows: u32,
    pub(crate) edges: u32,
    /// Where regions end and the table of checksums begins.
    pub(crate) data: u64,
    pub(crate) dim: u32,
    /// What [`Region::Raw`] holds: 0 f32, 1 bf16, 2 bytes, 3 nothing.
    pub(crate) raw: u32,
    /// Bits beyond the first that list data have: 0, 4 or 8.
    pub(crate) extra: u32,
    pub(crate) lists: u32,
    pub(crate) words: u32,
    /// CRC-32C of the table of checksums.
    pub(crate) table: u32,
    /// Neighbours of a vertex of the graph, and vertices where walks begin; 0 without a graph.
    pub(crate) degree: u32,
    pub(crate) starts: u32,
    pub(crate) zero: [u64; 5],
    pub(crate) extents: [Extent; 48],
    pub(crate) steps: [Step; STEPS],
    pub(crate) zeros: [u32; 3],
    /// CRC-32C of the footer before it.
    pub(crate) crc: u32,
}

const _: () = assert!(FOOTER == 1024 && REGIONS <= 48);

impl Footer {
    /// The checksum of what is before it.
    pub(crate) fn checksum(&self) -> u32 {
        crc32c(&bytemuck::bytes_of(self)[..FOOTER - 4])
    }

    /// How many blocks have checksums.
    pub(crate) const fn blocks(&self) -> usize {
        (self.data as usize).div_ceil(BLOCK_BYTES)
    }

    /// Refuses a footer that a file of `len` bytes cannot have.
    pub(crate) fn check(&self, len: u64) -> Result<(), &'static str> {
        if self.magic != MAGIC {
            return Err("it does not end as a segment does");
        }
        if self.version != VERSION {
            return Err("it has another version");
        }
        if self.crc != self.checksum() {
            return Err("its footer is damaged");
        }
        let table = 4 * self.blocks() as u64;
        let whole = self.data.checked_add(table).and_then(|end| end.checked_add(FOOTER as u64));
        if self.data >= len || !self.data.is_multiple_of(64) || whole != Some(len) {
            return Err("its length is not what its footer says");
        }
        let fits = |extent: &Extent| {
            let end = extent.at.checked_add(extent.bytes);
            extent.at.is_multiple_of(64) && end.is_some_and(|end| end <= self.data)
        };
        if !self.extents.iter().all(fits) {
            return Err("a region lies outside of it");
        }
        self.check_counts()
    }

    /// Regions of fixed-size entries must have as many as the footer says.
    fn check_counts(&self) -> Result<(), &'static str> {
        let (rows, edges) = (u64::from(self.rows), u64::from(self.edges));
        let (lists, words) = (u64::from(self.lists), u64::from(self.words));
        let expected = [
            (Region::Rows, 64 * rows),
            (Region::IdEnds, 8 * rows),
            (Region::TextEnds, 8 * rows),
            (Region::MetadataEnds, 8 * rows),
            (Region::Lists, 16 * lists),
            (Region::CentreUnits, 4 * lists),
            (Region::CentreHalves, 4 * lists),
            (Region::IdKeys, 8 * rows),
            (Region::IdRows, 4 * rows),
            (Region::TimeKeys, 8 * rows),
            (Region::TimeRows, 4 * rows),
            (Region::WordEnds, 8 * words),
            (Region::PostingEnds, 8 * words),
            (Region::Edges, 48 * edges),
            (Region::EdgeIdEnds, 8 * edges),
            (Region::OutKeys, 8 * edges),
            (Region::OutRows, 4 * edges),
            (Region::InKeys, 8 * edges),
            (Region::InRows, 4 * edges),
        ];
        let holds =
            |(region, bytes): &(Region, u64)| self.extents[*region as usize].bytes == *bytes;
        if expected.iter().all(holds) { Ok(()) } else { Err("its footer contradicts itself") }
    }
}

/// CRC-32C (Castagnoli).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Bytes of a small file with all checksums made right, so that what they guard is met by a fuzzer.
pub(super) fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let at = bytes.len().checked_sub(FOOTER)?;
    let data = at.checked_sub(4)? / 64 * 64;
    let mut footer: Footer = bytemuck::pod_read_unaligned(&bytes[at..]);
    if data == 0 || data > BLOCK_BYTES {
        return None;
    }
    let table = crc32c(&bytes[..data]).to_le_bytes();
    (footer.magic, footer.version, footer.data) = (MAGIC, VERSION, data as u64);
    footer.table = crc32c(&table);
    footer.crc = footer.checksum();
    Some([&bytes[..data], &table, bytemuck::bytes_of(&footer)].concat())
}
