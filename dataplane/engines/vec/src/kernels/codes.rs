//! Scans of 1-bit codes through tables of sums, sixteen codes at a time.
//!
//! A *line* is the same 32 bits of sixteen codes: 64 bytes. A *block* is all lines of sixteen
//! codes. For each four bits of a code a table has sixteen sums of the query's components, as
//! bytes; the sum of what a code's bits look up tells its product with the query. After André,
//! Kermarrec and Le Scouarnec, "Cache locality is not enough" (VLDB 2015), with tables of 64
//! entries where a permutation of 64 bytes is one instruction.

/// Codes in a block.
pub const BLOCK: usize = 16;
/// Bytes of tables for one line: for each half of a byte, for each of the four bytes of a word,
/// sixteen sums.
pub const TABLE_BYTES: usize = 128;

/// What a scan looks at.
#[derive(Clone, Copy, Debug)]
pub struct CodeScan<'a> {
    /// Lines of a block.
    pub words: usize,
    /// All lines of block 0, then those of block 1, …; sixteen words a line.
    pub lines: &'a [u32],
    /// For each code what its product counts for; empty where products are scores.
    pub scale: &'a [f32],
    /// For each code what is added; empty where products are scores.
    pub add: &'a [f32],
    /// [`TABLE_BYTES`] for each line: sixteen sums for the low half of byte 0, of byte 1, 2 and 3,
    /// then for their high halves.
    pub tables: &'a [u8],
    /// A looked-up sum times the first plus the second is the product.
    pub unit: (f32, f32),
    /// Scores must exceed this.
    pub floor: f32,
    /// What is scanned next: its lines are asked for while these are scanned.
    pub next: &'a [u32],
}

/// What a scan found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Places, counted from the scan's first code.
    pub at: Vec<u32>,
    /// Their scores.
    pub score: Vec<f32>,
    /// How many there are.
    pub len: usize,
}

impl Found {
    /// Room for the codes of `blocks` blocks.
    #[must_use]
    pub fn with_room(blocks: usize) -> Self {
        // A vector store writes whole blocks from the last place on.
        let room = (blocks + 1) * BLOCK;
        Self { at: vec![0; room], score: vec![0.0; room], len: 0 }
    }

    /// Keeps a place whose score exceeds the floor.
    #[inline]
    pub(crate) fn offer(&mut self, at: u32, score: f32, floor: f32) {
        if score > floor {
            self.at[self.len] = at;
            self.score[self.len] = score;
            self.len += 1;
        }
    }

    /// Places with their scores, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.at[..self.len].iter().copied().zip(self.score[..self.len].iter().copied())
    }
}

impl CodeScan<'_> {
    /// Blocks that the lines make.
    pub(super) fn blocks(&self) -> usize {
        self.lines.len() / (BLOCK * self.words)
    }

    /// Lengths that a kernel can rely on.
    pub(super) fn check(&self, found: &Found) {
        assert!(self.words > 0 && self.words <= 1024, "{} words a code", self.words);
        let blocks = self.blocks();
        let factors = if self.scale.is_empty() { 0 } else { blocks * BLOCK };
        assert!(self.scale.len() == factors && self.add.len() == factors, "factors of all codes");
        assert_eq!(self.lines.len(), blocks * BLOCK * self.words, "lines of {blocks} blocks");
        assert_eq!(self.tables.len(), self.words * TABLE_BYTES, "tables of a query");
        let room = (blocks + 1) * BLOCK;
        assert!(found.at.len() >= room && found.score.len() >= room, "room for all codes");
    }

    /// Keeps a block's codes that exceed the floor.
    pub(super) fn keep(&self, block: usize, sums: &[i32; BLOCK], found: &mut Found) {
        for (k, &sum) in sums.iter().enumerate() {
            let at = block * BLOCK + k;
            let mut score = (sum as f32).mul_add(self.unit.0, self.unit.1);
            if !self.scale.is_empty() {
                score = self.scale[at].mul_add(score, self.add[at]);
            }
            found.offer(at as u32, score, self.floor);
        }
    }
}

/// The scan, code by code.
///
/// # Safety
/// None beyond [`CodeScan::check`]; unsafe as all levels' functions are.
pub(super) unsafe fn scan_portable(scan: &CodeScan<'_>, found: &mut Found) {
    for block in 0..scan.blocks() {
        let mut sums = [0_i32; BLOCK];
        let lines = &scan.lines[block * BLOCK * scan.words..][..BLOCK * scan.words];
        for (line, tables) in lines.chunks_exact(BLOCK).zip(scan.tables.chunks_exact(TABLE_BYTES)) {
            for (sum, word) in sums.iter_mut().zip(line) {
                for (byte, value) in word.to_le_bytes().into_iter().enumerate() {
                    let (low, high) = (usize::from(value & 15), usize::from(value >> 4));
                    *sum += i32::from(tables[16 * byte + low]);
                    *sum += i32::from(tables[64 + 16 * byte + high]);
                }
            }
        }
        scan.keep(block, &sums, found);
    }
}

/// What makes of a sum of looked-up bytes the product with signs; before it, what makes a sum of
/// components a byte.
#[inline(always)]
pub(super) fn unit(query: &[f32]) -> (f32, (f32, f32)) {
    let (mut whole, mut most) = (0.0, f32::MIN_POSITIVE);
    for four in query.chunks_exact(4) {
        let spread: f32 = four.iter().map(|value| value.abs()).sum();
        whole += spread;
        most = spread.max(most);
    }
    let per_unit = 255.0 / most;
    // Twice the sum of the set components less the sum of all: the least sums make up the rest.
    (per_unit, (2.0 / per_unit, -whole))
}

/// Where the table of the four components from `4 * group` on begins.
#[inline(always)]
pub(crate) const fn table(group: usize) -> usize {
    TABLE_BYTES * (group / 8) + 64 * (group % 2) + 16 * (group % 8 / 2)
}

/// Sums of each four components by which bits are set, as bytes of one unit; returns what makes a
/// sum of them the product with signs.
///
/// # Safety
/// None beyond the lengths; unsafe as all levels' functions are.
pub(super) unsafe fn tables_portable(query: &[f32], tables: &mut [u8]) -> (f32, f32) {
    let (per_unit, unit) = unit(query);
    for (group, four) in query.chunks_exact(4).enumerate() {
        let least: f32 = four.iter().map(|value| value.min(0.0)).sum();
        let at = table(group);
        for (bits, entry) in tables[at..at + 16].iter_mut().enumerate() {
            let mut sum = -least;
            for (k, value) in four.iter().enumerate() {
                sum += if bits >> k & 1 == 1 { *value } else { 0.0 };
            }
            // Rounded; at least 0 and at most 255 but for rounding, which saturates.
            *entry = sum.mul_add(per_unit, 0.5) as u8;
        }
    }
    unit
}
