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
    /// For each code what its product counts for.
    pub scale: &'a [f32],
    /// For each code what is added.
    pub add: &'a [f32],
    /// [`TABLE_BYTES`] for each line: sixteen sums for the low half of byte 0, of byte 1, 2 and 3,
    /// then for their high halves.
    pub tables: &'a [u8],
    /// A looked-up sum times the first plus the second is the product.
    pub unit: (f32, f32),
    /// Scores must exceed this.
    pub floor: f32,
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

    /// Places with their scores, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.at[..self.len].iter().copied().zip(self.score[..self.len].iter().copied())
    }
}

impl CodeScan<'_> {
    /// Blocks that the lines make.
    pub(super) fn blocks(&self) -> usize {
        self.scale.len() / BLOCK
    }

    /// Lengths that a kernel can rely on.
    pub(super) fn check(&self, found: &Found) {
        let blocks = self.blocks();
        assert!(self.words > 0 && self.words <= 1024, "{} words a code", self.words);
        assert!(self.scale.len() == self.add.len() && self.scale.len() == blocks * BLOCK);
        assert_eq!(self.lines.len(), blocks * BLOCK * self.words, "lines of {blocks} blocks");
        assert_eq!(self.tables.len(), self.words * TABLE_BYTES, "tables of a query");
        let room = (blocks + 1) * BLOCK;
        assert!(found.at.len() >= room && found.score.len() >= room, "room for all codes");
    }

    /// Keeps a block's codes that exceed the floor.
    pub(super) fn keep(&self, block: usize, sums: &[i32; BLOCK], found: &mut Found) {
        for (k, &sum) in sums.iter().enumerate() {
            let at = block * BLOCK + k;
            let product = (sum as f32).mul_add(self.unit.0, self.unit.1);
            let score = self.scale[at].mul_add(product, self.add[at]);
            if score > self.floor {
                found.at[found.len] = at as u32;
                found.score[found.len] = score;
                found.len += 1;
            }
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
