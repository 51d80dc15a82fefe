//! Passing over nodes of a block: what they do to the place of those behind them, and nothing else.
//!
//! A node from a cold tree costs the nodes before it in its block. Which is a leaf, has a length of its
//! own, or ends others changes from node to node, so that a branch on it is wrong as often as not:
//! here every byte is a row of a table, and all rows do the same.

use super::code::{exits_of, is_measured, take_exits};
use super::columns::Meaning;
use super::reading::{Lines, Reading};
use super::unit::{CODES, LENGTHS};
use crate::languages::Habits;
use crate::varint::Rest;

/// What a byte of the column of codes does to those that pass over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    /// Low half: bytes of a leaf whose length is not stored. High half: what depth grows by.
    sums: i64,
    flags: u8,
}

impl Pass {
    const EXIT: u8 = 1;
    /// Twice [`Self::EXIT`], as no other two are: see [`Passing::pass`].
    const INNER: u8 = 2;
    const LEAF: u8 = 8;
    /// Something that stands elsewhere goes with it, or it means nothing.
    const STOP: u8 = 64;

    /// Of a byte that nobody passes over by its row.
    pub(super) const UNUSUAL: Self = Self { sums: 0, flags: Self::STOP };

    /// Of `code`, which stands for a node of this meaning if for any.
    pub(super) fn of(code: u8, meaning: Option<Meaning>) -> Self {
        let deeper = |by: i64| by << 32;
        if let Some(exits) = exits_of(code) {
            return Self { sums: deeper(-i64::from(exits)), flags: Self::EXIT };
        }
        let Some(Meaning { symbol, implied }) = meaning else { return Self::UNUSUAL };
        match (symbol.is_leaf(), symbol.is_measured(), u16::try_from(implied)) {
            (true, true, _) => Self { sums: 0, flags: Self::LEAF },
            (true, false, Ok(implied)) => Self { sums: implied.into(), flags: Self::LEAF },
            (false, false, _) => Self { sums: deeper(1), flags: Self::INNER },
            _ => Self::UNUSUAL,
        }
    }
}

impl Reading<'_> {
    /// Passes over `count` nodes, fewer than a block's most; none when the bytes mean nothing.
    pub(super) fn skip(&mut self, mut count: u32) -> Option<()> {
        // Guesses from the source need the place of every leaf, and so do line starts.
        let by_rows = self.source.is_none() && matches!(self.lines, Lines::Skip);
        while count > 0 {
            if by_rows {
                count -= self.pass(count)?;
            }
            if count > 0 {
                self.next()?;
                count -= 1;
            }
        }
        Some(())
    }

    /// Passes over `most` nodes, or up to one that needs more than its row; how many these were.
    fn pass(&mut self, most: u32) -> Option<u32> {
        let (mut codes, mut passing) = (self.columns[CODES].0, Passing::new(self));
        let (mut nodes, mut measured) = (0, 0);
        while nodes < most {
            // A byte is a node at most.
            let some = codes.get(..(most - nodes) as usize).unwrap_or(codes);
            let passed = passing.pass(some, &self.meanings.passes, self.habits);
            nodes += passed as u32 - count(&some[..passed], |code| exits_of(code).is_some());
            measured += count(&some[..passed], is_measured);
            codes = &codes[passed..];
            if passed < some.len() || codes.is_empty() {
                break;
            }
        }
        let mut codes = Rest(codes);
        if passing.flags & Pass::INNER == 0 {
            passing.exit(take_exits(&mut codes));
        }
        self.columns[CODES] = codes;
        passing.end(measured, self)?;
        Some(nodes)
    }
}

/// The place behind the bytes that were passed.
struct Passing {
    /// [`Pass::sums`], and the depth before.
    sums: i64,
    /// Code of the leaf before.
    before: u8,
    indent: i64,
    /// Bytes of gaps.
    gaps: u64,
    /// Of the last byte. Where nothing was passed no node can end either, as behind an inner one.
    flags: u8,
    /// Below 0 once depth or indent was.
    wrong: i64,
    /// Not 0 once nodes ended behind an inner one.
    ended: u8,
}

impl Passing {
    fn new(reading: &Reading<'_>) -> Self {
        let Reading { before, indent, depth, .. } = *reading;
        let (sums, indent, flags) = (i64::from(depth) << 32, indent.into(), Pass::INNER);
        Self { sums, before, indent, gaps: 0, flags, wrong: 0, ended: 0 }
    }

    /// Passes over `codes` up to one that needs more than its row; how many these are.
    #[inline]
    fn pass(&mut self, codes: &[u8], passes: &[Pass; 256], habits: &Habits) -> usize {
        let Self { mut sums, mut before, mut indent, mut gaps, .. } = *self;
        let Self { mut flags, mut wrong, mut ended, .. } = *self;
        let mut passed = codes.len();
        for (at, code) in codes.iter().enumerate() {
            let row = &passes[usize::from(*code)];
            if row.flags & Pass::STOP != 0 {
                passed = at;
                break;
            }
            // The one that comes may be no exit if the one before was an inner node.
            ended |= (flags / 2) & row.flags;
            flags = row.flags;
            sums += row.sums;
            wrong |= sums;
            let token = habits.gap(before, *code);
            let token = if flags & Pass::LEAF == 0 { 0 } else { token };
            before = if flags & Pass::LEAF == 0 { before } else { *code };
            if token & 1 == 0 {
                gaps = gaps.wrapping_add((token / 2).into());
            } else {
                // Once a line.
                indent += i64::from(token >> 3) ^ -i64::from(token >> 2 & 1);
                // Below 0 it is wrong, and all that comes of it.
                gaps = gaps.wrapping_add((indent + 1).cast_unsigned());
                wrong |= indent;
            }
        }
        *self = Self { sums, before, indent, gaps, flags, wrong, ended };
        passed
    }

    fn exit(&mut self, exits: u32) {
        self.sums -= i64::from(exits) << 32;
    }

    /// Has `reading` go on here; none where that is no place.
    fn end(self, measured: u32, reading: &mut Reading<'_>) -> Option<()> {
        if self.ended != 0 || self.wrong < 0 {
            return None;
        }
        let mut bytes = self.gaps.checked_add(u64::from(self.sums as u32))?;
        for _ in 0..measured {
            bytes += u64::from(reading.columns[LENGTHS].number()?);
        }
        reading.before = self.before;
        reading.indent = u32::try_from(self.indent).ok()?;
        reading.depth = u32::try_from(self.sums >> 32).ok()?;
        reading.end = u32::try_from(bytes.checked_add(reading.end.into())?).ok()?;
        Some(())
    }
}

/// How many of `codes` are such. In chunks whose count fits a byte, so that it is done on many at once.
fn count(codes: &[u8], is: impl Fn(u8) -> bool) -> u32 {
    let of = |chunk: &[u8]| chunk.iter().map(|code| u8::from(is(*code))).sum::<u8>();
    codes.chunks(128).map(|chunk| u32::from(of(chunk))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::reading::{Meanings, Place};
    use crate::cold::record::raw_blocks;
    use crate::flat::Flattener;
    use crate::languages::{Grammar, Registry};
    use crate::parse::{Limits, Parser};

    /// Where a reading is.
    type Told = (u32, u32, u32, u8, [usize; super::super::COLUMNS]);

    fn place(reading: &Reading<'_>) -> Told {
        let left = reading.columns().map(|column| column.0.len());
        (reading.end, reading.depth, reading.indent, reading.before, left)
    }

    /// Passes over `count` nodes of a block both ways, which must agree; whether they mean anything.
    fn agree(
        (grammar, meanings): (&Grammar, &Meanings),
        bytes: &[u8],
        (count, depth): (u32, u32),
    ) -> bool {
        let place_of = Place { base: 0, depth, first: 0 };
        let at = (place_of, Lines::Skip);
        let Some(mut passing) = Reading::new((grammar, meanings), None, bytes, at) else {
            return false;
        };
        let at = (place_of, Lines::Skip);
        let mut reading = Reading::new((grammar, meanings), None, bytes, at).unwrap();
        let passed = passing.skip(count).map(|()| place(&passing));
        let read = (0..count).try_for_each(|_| reading.next().map(drop));
        assert_eq!(passed, read.map(|()| place(&reading)), "{count} nodes");
        passed.is_some()
    }

    #[test]
    fn passing_over_nodes_is_reading_them() {
        let grammar = Registry::shared().get("rust").unwrap();
        let (mut parser, mut flattener) =
            (Parser::new(&grammar).unwrap(), Flattener::new(&grammar));
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |most: usize| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (random >> 33) as usize % most
        };
        let sources = [
            include_bytes!("pass.rs").to_vec(),
            include_bytes!("record.rs").to_vec(),
            b"fn a() { f\n\n\n   (1,\r\n 2);\n  #![x]  \n }".to_vec(),
            b"}} ) \n[ \"a\n  b".to_vec(),
        ];
        let [mut sound, mut refused] = [0; 2];
        for source in sources {
            let tree = parser.parse(&source, None, Limits::default()).unwrap();
            let flat = flattener.flatten(&tree, &source).unwrap();
            let symbols = [false, true].map(|class| grammar.symbols().symbols(class));
            let meanings = Meanings::new(&grammar, symbols);
            for (number, mut block) in raw_blocks(&grammar, &flat, None).into_iter().enumerate() {
                let nodes = (flat.len() - number * 4096).min(4096);
                for _ in 0..200 {
                    let count = 1 + below(nodes + 2);
                    let whole = count <= nodes;
                    assert_eq!(agree((&grammar, &meanings), &block, (count as u32, 1000)), whole);
                    let at = below(block.len());
                    let before = std::mem::replace(&mut block[at], below(256) as u8);
                    let few = below(20) as u32;
                    let kept = agree((&grammar, &meanings), &block, (count as u32, few));
                    (sound, refused) = (sound + u32::from(kept), refused + u32::from(!kept));
                    block[at] = before;
                }
            }
        }
        assert!(sound > 50 && refused > 50, "{sound} {refused}");
    }
}
