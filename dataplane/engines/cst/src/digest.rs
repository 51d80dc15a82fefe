//! Digests of trees and sources, the same in every process.

use crate::flat::Flat;
use crate::languages::Grammar;

/// A tree's digest: the first 8 bytes, little endian, of BLAKE3 over its grammar's name, then of every node
/// its symbol ([`Symbol::bits`](crate::languages::Symbol::bits)), then the words of the shape, starts,
/// lengths and margins, all little endian. Numbers of symbols, which differ from process to process, are
/// not in it; lines are not, which the source has.
pub fn tree(grammar: &Grammar, flat: &Flat) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(grammar.identity().name.as_bytes());
    let mut bytes = Vec::with_capacity(1 << 12);
    for ids in flat.symbols.chunks(1 << 9) {
        bytes.clear();
        ids.iter().for_each(|id| bytes.extend(grammar.symbol(*id).bits().to_le_bytes()));
        hasher.update(&bytes);
    }
    words(&mut hasher, &mut bytes, flat.parens.iter().map(|word| word.to_le_bytes()));
    words(&mut hasher, &mut bytes, flat.starts.iter().map(|start| start.to_le_bytes()));
    words(&mut hasher, &mut bytes, flat.lengths.iter().map(|length| length.to_le_bytes()));
    let margins = flat.margins.iter().flat_map(|it| [it.node, it.lead, it.tail]);
    words(&mut hasher, &mut bytes, margins.map(u32::to_le_bytes));
    hasher.finalize().as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

fn words<const N: usize>(
    hasher: &mut blake3::Hasher,
    bytes: &mut Vec<u8>,
    words: impl Iterator<Item = [u8; N]>,
) {
    bytes.clear();
    words.for_each(|word| bytes.extend(word));
    hasher.update(bytes);
}

/// What a source without a name is called: the first 16 bytes of its BLAKE3, in hexadecimal.
pub fn name(source: &[u8]) -> String {
    let mut name = blake3::hash(source).to_hex().to_string();
    name.truncate(32);
    name
}

/// CRC-32C of a source.
pub fn crc32c(source: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, source) as u32
}
