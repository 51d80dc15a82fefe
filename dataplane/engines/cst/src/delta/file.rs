//! An archive as a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use parking_lot::Mutex;

use super::chunk::ChunkNodes;
use super::group::{Group, Pack, Packed, Row};
use super::{Archive, Tree};
use crate::cold::{Beside, Bytes, ColdError, Known, bytes, end, grammar_row, index_of, known};
use crate::languages::{Grammar, SymbolTable};
use crate::varint::{Rest, push};

const MAGIC: &[u8; 8] = b"PFSCSD\r\n";
/// Version of the format that this build writes and reads.
const VERSION: u32 = 2;
/// Most bytes of a pack's columns that are taken for possible.
const RAW_MAX: u32 = 1 << 22;

impl Archive {
    /// Writes all to a file, which gets to `path` whole or not at all; gives its bytes.
    ///
    /// # Errors
    /// The disk is full or fails; then what was there is still there. Or a grammar is not at hand.
    pub fn save(&mut self, path: &Path) -> Result<u64, ColdError> {
        let mut file = Beside::create(path)?;
        file.write(MAGIC)?;
        for group in &mut self.groups {
            group.seal()?;
            for pack in &group.packs {
                file.write(pack.bytes.get())?;
            }
        }
        self.kept.get_mut().clear();
        let mut index = self.index()?;
        end(&mut index, VERSION, MAGIC);
        file.write(&index)?;
        file.finish()
    }

    pub(super) fn index(&self) -> Result<Vec<u8>, ColdError> {
        let mut index = Vec::new();
        push(&mut index, self.groups.len() as u64);
        for group in &self.groups {
            grammar_row(&mut index, group.ready()?.grammar(), &group.table)?;
            push(&mut index, group.packs.len() as u64);
            let upto = group.packs.iter().skip(1).map(|pack| pack.first);
            let upto = upto.chain([group.rows.len() as u32]);
            for (pack, upto) in group.packs.iter().zip(upto) {
                push(&mut index, u64::from(upto - pack.first));
                push(&mut index, u64::from(pack.raw_len));
                push(&mut index, pack.bytes.get().len() as u64);
                index.extend(pack.crc.to_le_bytes());
            }
            for row in &group.rows {
                push(&mut index, u64::from(row.nodes));
                index.extend(row.hash);
            }
        }
        push(&mut index, self.trees.len() as u64);
        for (name, tree) in &self.trees {
            bytes(&mut index, name.as_bytes());
            tree.write(&mut index);
        }
        Ok(index)
    }

    /// Maps the archive at `path`. `grammars` gives the grammar of a name; trees of one that is not at
    /// hand are refused when they are asked for.
    ///
    /// # Errors
    /// It cannot be read, or is not whole.
    pub fn open(
        path: &Path,
        sizes: ChunkNodes,
        level: i32,
        grammars: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        let fail = |source| ColdError::Io { doing: "open", path: path.into(), source };
        let file = File::open(path).map_err(fail)?;
        // SAFETY: `save` never changes a file that is in its place, it moves a new one there. Every pack
        // is checked before it is used; a file cut by others while mapped ends the process with SIGBUS,
        // as for every mapped file.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        Self::read(Bytes::Mapped(map), sizes, level, grammars)
    }

    /// Takes an archive's bytes.
    ///
    /// # Errors
    /// They are not whole.
    pub fn from_bytes(
        bytes: Vec<u8>,
        grammars: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        Self::read(Bytes::Given(bytes), ChunkNodes::default(), 3, grammars)
    }

    fn read(
        file: Bytes,
        sizes: ChunkNodes,
        level: i32,
        grammars: impl FnMut(&str) -> Option<Arc<Grammar>>,
    ) -> Result<Self, ColdError> {
        let file = Arc::new(file);
        let (index, upto) = index_of(file.get(), VERSION, MAGIC)?;
        let malformed = || ColdError::malformed("index of chunks");
        let mut rest = Rest(index);
        let mut parts = Parts { file: &file, at: MAGIC.len(), upto, level, grammars };
        let mut groups = Vec::new();
        for _ in 0..rest.number().ok_or_else(malformed)? {
            groups.push(parts.group(&mut rest)?);
        }
        let mut trees = BTreeMap::new();
        for _ in 0..rest.number().ok_or_else(malformed)? {
            let (name, tree) = Tree::read(&mut rest, &groups).ok_or_else(malformed)?;
            trees.insert(name, tree);
        }
        if !rest.0.is_empty() || parts.at != upto {
            return Err(malformed());
        }
        Ok(Self { groups, trees, sizes, level, kept: Mutex::default() })
    }
}

/// The parts of a file, read one behind the other.
struct Parts<'a, F> {
    file: &'a Arc<Bytes>,
    at: usize,
    upto: usize,
    level: i32,
    grammars: F,
}

impl<F: FnMut(&str) -> Option<Arc<Grammar>>> Parts<'_, F> {
    fn group(&mut self, rest: &mut Rest<'_>) -> Result<Group, ColdError> {
        let known = known(rest, &mut self.grammars)?;
        let table = SymbolTable::default();
        if let Known::Ready(ready) = &known {
            for (_, symbol) in ready.meanings().symbols() {
                table.intern(symbol, ready.grammar().implied_len(symbol));
            }
            let lens: usize = table.lens().iter().map(|len| usize::from(*len)).sum();
            if lens != ready.meanings().symbols().count() {
                return Err(ColdError::malformed("index of symbols"));
            }
        }
        let parts = self.packs(rest);
        let (rows, packs) = parts.ok_or_else(|| ColdError::malformed("index of packs"))?;
        Ok(Group::with(known, table, rows, packs, self.level))
    }

    fn packs(&mut self, rest: &mut Rest<'_>) -> Option<(Vec<Row>, Vec<Pack>)> {
        let (mut packs, mut rows, mut first) = (Vec::new(), Vec::new(), 0u32);
        let mut counts = Vec::new();
        for _ in 0..rest.number()? {
            let (chunks, raw_len) = (rest.number()?, rest.number()?);
            let (len, crc) = (rest.number()? as usize, rest.word()?);
            let end = self.at.checked_add(len).filter(|end| *end <= self.upto)?;
            let bytes = Packed::In(Arc::clone(self.file), self.at..end);
            packs.push(Pack {
                first,
                raw_len: Some(raw_len).filter(|it| *it <= RAW_MAX)?,
                crc,
                bytes,
            });
            counts.push(chunks);
            (self.at, first) = (end, first.checked_add(chunks)?);
        }
        for (pack, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                let (nodes, hash) = (rest.number()?, *rest.take(16)?.first_chunk()?);
                rows.push(Row { nodes, pack: pack as u32, hash });
            }
        }
        Some((rows, packs))
    }
}

impl Tree {
    fn write(&self, index: &mut Vec<u8>) {
        for number in [self.group as u64, u64::from(self.source_len), self.runs.len() as u64] {
            push(index, number);
        }
        let mut expected = 0i64;
        for (first, count) in &self.runs {
            let step = i64::from(*first) - expected;
            push(index, (step << 1 ^ step >> 63).cast_unsigned());
            push(index, u64::from(*count));
            expected = i64::from(first + count);
        }
        push(index, self.tail.len() as u64);
        let mut before = 0;
        for line in &self.tail {
            push(index, u64::from(line - before));
            before = *line;
        }
    }

    fn read(rest: &mut Rest<'_>, groups: &[Group]) -> Option<(Box<str>, Self)> {
        let name = std::str::from_utf8(rest.bytes()?).ok()?.into();
        let (group, source_len) = (rest.number()? as usize, rest.number()?);
        let chunks = groups.get(group)?.chunks() as i64;
        let (mut runs, mut tail) = (Vec::new(), Vec::new());
        let mut expected = 0i64;
        for _ in 0..rest.number()? {
            let coded = i64::from(rest.number()?);
            let first = expected + ((coded >> 1) ^ -(coded & 1));
            let count = i64::from(rest.number()?);
            expected = first + count;
            let fits = first >= 0 && count > 0 && expected <= chunks;
            runs.push(Some((first as u32, count as u32)).filter(|_| fits)?);
        }
        let mut line = 0u32;
        for _ in 0..rest.number()? {
            line = line.checked_add(rest.number()?)?;
            tail.push(line);
        }
        Some((name, Self { group, source_len, runs, tail }))
    }
}

/// Sets the checksums of index and packs to what their bytes need; whether they were found.
pub(crate) fn mend(bytes: &mut Vec<u8>) -> bool {
    let find = |name: &str| crate::languages::Registry::shared().get(name);
    if crate::cold::mend_index(bytes).is_none() {
        return false;
    }
    // Packs have theirs in the index: all of the index is written again.
    let Ok(archive) = Archive::from_bytes(bytes.clone(), find) else { return false };
    let mut archive = archive;
    for group in &mut archive.groups {
        for pack in &mut group.packs {
            pack.crc = crate::cold::crc(pack.bytes.get());
        }
    }
    let Ok(mut index) = archive.index() else { return false };
    let Ok((_, upto)) = index_of(bytes, VERSION, MAGIC) else { return false };
    end(&mut index, VERSION, MAGIC);
    bytes.truncate(upto);
    bytes.extend(index);
    true
}
