//! One language's files through every form, each answer held against the live tree.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use pfs_cst::cold::{ColdFile, Freezer, Positions, Settings, Writer};
use pfs_cst::flat::{Flat, Flattener};
use pfs_cst::hot::HotTree;
use pfs_cst::languages::Grammar;
use pfs_cst::parse::{Limits, Parser};
use std::sync::Arc;
use tree_sitter::Tree;

/// Processor time of this process.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Into::into)
}

pub(super) fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = cpu();
    let result = std::hint::black_box(work());
    *sum += cpu().saturating_sub(start);
    result
}

/// Bytes that malloc has given out; tree-sitter and Rust both take theirs there.
fn allocated() -> usize {
    // SAFETY: it takes nothing and only reads malloc's counters.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Ways of freezing that are measured: name, settings.
pub const COLD: [(&str, Settings); 7] = [
    ("stored, 4,096, zstd-3", cold(4096, 3, Positions::Stored)),
    ("stored, 4,096, zstd-9", cold(4096, 9, Positions::Stored)),
    ("stored, 1,024, zstd-9", cold(1024, 9, Positions::Stored)),
    ("stored, 256, zstd-9", cold(256, 9, Positions::Stored)),
    ("source, 4,096, zstd-3", cold(4096, 3, Positions::Guessed)),
    ("source, 4,096, zstd-9", cold(4096, 9, Positions::Guessed)),
    ("source, 256, zstd-9", cold(256, 9, Positions::Guessed)),
];
/// Those that are held against what is asked: blocks of 4,096 and of 256 with positions stored, and of 4,096
/// with the source at hand.
pub const ASKED: [usize; 3] = [1, 3, 5];

const fn cold(block_nodes: usize, level: i32, positions: Positions) -> Settings {
    Settings { block_nodes, level, positions }
}

/// Sums over all files.
#[derive(Debug, Default)]
pub struct Totals {
    /// Files, their bytes and lines, nodes of their trees.
    pub files: usize,
    /// Bytes of source.
    pub source: usize,
    /// Lines.
    pub lines: usize,
    /// Nodes.
    pub nodes: usize,
    /// Bytes that malloc gave for live trees, and for hot ones.
    pub live_bytes: usize,
    /// See above.
    pub hot_bytes: usize,
    /// Bytes of records and index per way of freezing.
    pub cold_bytes: [usize; COLD.len()],
    /// Processor time of each step.
    pub parse: Duration,
    /// The walk over the live tree into columns.
    pub flatten: Duration,
    /// Columns to hot form.
    pub hot: Duration,
    /// Columns to records.
    pub cold: [Duration; COLD.len()],
    /// A walk over all nodes that reads kind, field, start and end: live cursor.
    pub live_walk: Duration,
    /// The same by the hot cursor.
    pub hot_walk: Duration,
    /// All nodes by the hot iterator: symbol, depth, start.
    pub preorder: Duration,
    /// Moves alone, by the live cursor and the hot one.
    pub live_moves: Duration,
    /// See above.
    pub hot_moves: Duration,
    /// Random nodes read, hot: fetched by number with kind and span.
    pub random: Duration,
    /// How many.
    pub randoms: usize,
    /// One node read from cold, per way.
    pub thaws: [Duration; COLD.len()],
    /// How many of each.
    pub thawed: usize,
    /// What a walk told, of all files: live and hot must agree.
    sums: [u64; 2],
}

/// Reads all nodes by a cursor's moves. A macro, since the two cursors share no trait.
macro_rules! walk {
    ($cursor:expr, $read:expr) => {{
        let mut cursor = $cursor;
        let mut sum = 0u64;
        'walk: loop {
            sum = sum.wrapping_mul(31).wrapping_add($read(&mut cursor));
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    break 'walk sum;
                }
            }
        }
    }};
}

fn mix(kind: u16, field: u16, start: usize, end: usize) -> u64 {
    u64::from(kind) | u64::from(field) << 16 | (start as u64) << 32 ^ (end as u64) << 20
}

fn live_walk(tree: &Tree) -> u64 {
    walk!(tree.walk(), |cursor: &mut tree_sitter::TreeCursor<'_>| {
        let node = cursor.node();
        let field = cursor.field_id().map_or(0, std::num::NonZero::get);
        mix(node.kind_id(), field, node.start_byte(), node.end_byte())
    })
}

fn hot_walk(tree: &HotTree) -> u64 {
    walk!(tree.walk(), |cursor: &mut pfs_cst::hot::Cursor<'_>| {
        let symbol = cursor.node().symbol();
        let span = cursor.byte_range();
        mix(symbol.kind(), symbol.field(), span.start, span.end)
    })
}

impl Totals {
    /// Takes one file.
    fn file(
        &mut self,
        source: &[u8],
        parser: &mut Parser,
        flattener: &mut Flattener<'_>,
        flat: &mut Flat,
    ) -> Result<HotTree, String> {
        let tell = |error: &dyn std::fmt::Display| error.to_string();
        let grammar = Arc::clone(parser.grammar());
        let parse = || parser.parse(source, None, Limits::default());
        let tree = timed(&mut self.parse, parse).map_err(|error| tell(&error))?;
        let flatten = || flattener.flatten_into(&tree, source, flat);
        timed(&mut self.flatten, flatten).map_err(|error| tell(&error))?;
        let before = allocated();
        let hot = timed(&mut self.hot, || HotTree::from_flat(&grammar, flat));
        self.hot_bytes += allocated() - before + size_of::<HotTree>();
        self.sums[0] ^= timed(&mut self.live_walk, || live_walk(&tree));
        self.sums[1] ^= timed(&mut self.hot_walk, || hot_walk(&hot));
        timed(&mut self.live_moves, || walk!(tree.walk(), |_: &mut _| 1));
        timed(&mut self.hot_moves, || walk!(hot.walk(), |_: &mut _| 1));
        timed(&mut self.preorder, || {
            hot.preorder().map(|visit| u64::from(visit.start) ^ visit.symbol.bits()).sum::<u64>()
        });
        self.random(&hot);
        check(&tree, &hot)?;
        let before = allocated();
        drop(tree);
        self.live_bytes += before - allocated();
        (self.files, self.source) = (self.files + 1, self.source + source.len());
        (self.lines, self.nodes) = (self.lines + flat.lines.len(), self.nodes + hot.len());
        Ok(hot)
    }

    fn random(&mut self, hot: &HotTree) {
        let mut index = 0x9e37_79b9usize;
        timed(&mut self.random, || {
            let mut sum = 0;
            for _ in 0..100 {
                index = index.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                if let Some(node) = hot.node((index >> 20) % hot.len()) {
                    sum ^= mix(node.kind_id(), 0, node.start_byte(), 0);
                }
            }
            sum
        });
        self.randoms += 100;
    }

    /// Freezes all files each way, and reads nodes back.
    fn freeze(
        &mut self,
        grammar: &Arc<Grammar>,
        sources: &[Vec<u8>],
        hots: &[HotTree],
    ) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("trees.cst");
        let (mut parser, mut flattener) =
            (Parser::new(grammar).map_err(|error| error.to_string())?, Flattener::new(grammar));
        let mut writers = Vec::new();
        for (_, settings) in COLD {
            let place = path.with_extension(writers.len().to_string());
            let writer = Writer::create(&place).map_err(|error| error.to_string())?;
            let freezer = Freezer::new(grammar, settings).map_err(|error| error.to_string())?;
            writers.push((place, writer, freezer));
        }
        let mut flat = Flat::default();
        for (number, source) in sources.iter().enumerate() {
            let tree = parser.parse(source, None, Limits::default()).map_err(|e| e.to_string())?;
            flattener.flatten_into(&tree, source, &mut flat).map_err(|error| error.to_string())?;
            for (way, (_, writer, freezer)) in writers.iter_mut().enumerate() {
                let name = number.to_string();
                let add = || writer.add(&name, freezer, &flat, source);
                timed(&mut self.cold[way], add).map_err(|error| error.to_string())?;
            }
        }
        for (way, (place, writer, _)) in writers.into_iter().enumerate() {
            self.cold_bytes[way] = writer.finish().map_err(|error| error.to_string())? as usize;
            let file = ColdFile::open(&place, |_| Some(Arc::clone(grammar)));
            let file = file.map_err(|error| error.to_string())?;
            self.thaw(way, &file, sources, hots)?;
        }
        Ok(())
    }

    fn thaw(
        &mut self,
        way: usize,
        file: &ColdFile,
        sources: &[Vec<u8>],
        hots: &[HotTree],
    ) -> Result<(), String> {
        let mut thawed = 0;
        for (number, (source, hot)) in sources.iter().zip(hots).enumerate().step_by(7) {
            let tree = file.tree(&number.to_string(), Some(source)).map_err(|e| e.to_string())?;
            let mut tree = tree.ok_or("a tree is not in its file")?;
            let whole = tree.thaw().map_err(|error| error.to_string())?;
            let again = HotTree::from_flat(hot.grammar(), &whole);
            if hot_walk(&again) != hot_walk(hot) {
                return Err(format!("{}: file {number} came back otherwise", COLD[way].0));
            }
            let indices: [usize; 8] =
                std::array::from_fn(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15) % hot.len());
            // The clock takes as long as a tenth of a node: it is read once for all.
            let nodes = timed(&mut self.thaws[way], || indices.map(|index| tree.node(index)));
            for (index, node) in indices.into_iter().zip(nodes) {
                let node = node.map_err(|error| error.to_string())?;
                let (node, expected) = (node.ok_or("a node is not in its tree")?, hot.node(index));
                let span = node.start as usize..node.end as usize;
                if expected.map(|it| (it.symbol(), it.byte_range())) != Some((node.symbol, span)) {
                    return Err(format!("{}: node {index} of file {number} differs", COLD[way].0));
                }
                thawed += 1;
            }
        }
        self.thawed = thawed;
        Ok(())
    }
}

/// Every node: kind, flags, field, span, children.
fn check(tree: &Tree, hot: &HotTree) -> Result<(), String> {
    let mut cursor = tree.walk();
    let mut index = 0;
    loop {
        let (live, node) = (cursor.node(), hot.node(index).ok_or("nodes are missing")?);
        let flags = |it: [bool; 5]| it.iter().fold(0u32, |bits, flag| bits << 1 | u32::from(*flag));
        let told = [
            node.is_named(),
            node.is_extra(),
            node.is_missing(),
            node.is_error(),
            node.has_error(),
        ];
        let has = [
            live.is_named(),
            live.is_extra(),
            live.is_missing(),
            live.is_error(),
            live.has_error(),
        ];
        let same = node.kind_id() == live.kind_id()
            && flags(told) == flags(has)
            && node.field_id() == cursor.field_id().map(std::num::NonZero::get)
            && node.byte_range() == live.byte_range()
            && node.descendant_count() == live.descendant_count()
            && node.start_position() == live.start_position()
            && node.depth() == cursor.depth() as usize;
        if !same {
            return Err(format!("node {index}: {live:?} is stored as {node:?}"));
        }
        index += 1;
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return if index == hot.len() { Ok(()) } else { Err("too many nodes".into()) };
            }
        }
    }
}

/// Measures `sources` in one thread.
///
/// # Errors
/// What went wrong, or which answer was.
pub fn measure(grammar: &Arc<Grammar>, sources: &[Vec<u8>]) -> Result<Totals, String> {
    let mut totals = Totals::default();
    let mut parser = Parser::new(grammar).map_err(|error| error.to_string())?;
    let (mut flattener, mut flat) = (Flattener::new(grammar), Flat::default());
    let mut hots = Vec::with_capacity(sources.len());
    for source in sources {
        hots.push(totals.file(source, &mut parser, &mut flattener, &mut flat)?);
    }
    if totals.sums[0] != totals.sums[1] {
        return Err("a walk over the hot trees tells other than one over the live trees".into());
    }
    totals.freeze(grammar, sources, &hots)?;
    Ok(totals)
}
