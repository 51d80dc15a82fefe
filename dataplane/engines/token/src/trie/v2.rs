//! Crayon's `.dat` version 2: three arrays, children at `BASE + byte`.
//!
//! Layout after XERV Crayon 2.0.3 to 5.7.16: from cell `s`, byte `c` leads to cell `BASE[s] + c` if
//! `CHECK` of that cell is `s`; `VALUES` has the id of the token that ends in a cell, or −1. The root is
//! cell 0. Free cells have base 1, check −1, value −1; the arrays end with the last cell in use.

use super::build::Nodes;
use super::{TrieError, build};

/// The three arrays of a `.dat` file, of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2Arrays {
    /// What is added to a byte to find the child; 1 or more.
    pub base: Vec<i32>,
    /// The parent of a cell; −1 for a free one, 0 for the root.
    pub check: Vec<i32>,
    /// The id of the token that ends here; −1 for none.
    pub values: Vec<i32>,
}

/// The arrays for `tokens` as (id, bytes), of tokens with equal bytes the last.
///
/// Deterministic, first fit with a moving start: time is about linear in the number of prefixes.
///
/// # Errors
/// As [`super::Trie::build`], and for an id above `i32::MAX`.
pub fn arrays<'a>(
    tokens: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> Result<V2Arrays, TrieError> {
    let tokens = build::sorted(tokens)?;
    if let Some(token) = tokens.iter().find(|token| i32::try_from(token.id).is_err()) {
        return Err(TrieError::IdTooLarge { id: token.id });
    }
    let nodes = Nodes::of(&tokens)?;
    let mut layout = Layout::default();
    layout.grow(1);
    layout.taken[0] = true;
    layout.arrays.check[0] = 0;
    let mut at = vec![0usize; nodes.len()];
    for node in nodes.breadth_first() {
        let cell = at[node];
        let id = nodes.id[node];
        // Values are ids below 2^31, or all ones, which is the −1 of this format.
        layout.arrays.values[cell] = id.cast_signed();
        let children = nodes.children(node);
        if children.is_empty() {
            continue;
        }
        let labels: Vec<u8> = children.iter().map(|&child| nodes.label[child as usize]).collect();
        let base = layout.fit(&labels);
        layout.arrays.base[cell] = base as i32;
        for (&child, &label) in children.iter().zip(&labels) {
            let index = base + usize::from(label);
            layout.take(index, cell);
            at[child as usize] = index;
        }
    }
    Ok(layout.trimmed())
}

struct Layout {
    arrays: V2Arrays,
    taken: Vec<bool>,
    /// All cells before it are taken, or have failed often enough to be given up.
    start: usize,
}

impl Default for Layout {
    fn default() -> Self {
        let arrays = V2Arrays { base: vec![], check: vec![], values: vec![] };
        Self { arrays, taken: vec![], start: 1 }
    }
}

/// Cells that are passed over for a node before the start of the search moves on.
const PATIENCE: usize = 64;

impl Layout {
    fn grow(&mut self, len: usize) {
        if self.taken.len() < len {
            let len = len.next_power_of_two().max(1024);
            self.arrays.base.resize(len, 1);
            self.arrays.check.resize(len, -1);
            self.arrays.values.resize(len, -1);
            self.taken.resize(len, false);
        }
    }

    /// The first base from the start on with which the cells of all `labels`, ascending, are free.
    fn fit(&mut self, labels: &[u8]) -> usize {
        let first = usize::from(labels[0]);
        while self.taken.get(self.start).copied().unwrap_or(false) {
            self.start += 1;
        }
        let mut free_seen = 0;
        let mut cell = self.start.max(first + 1);
        loop {
            self.grow(cell + 256);
            if !self.taken[cell] {
                let base = cell - first;
                if labels[1..].iter().all(|&label| !self.taken[base + usize::from(label)]) {
                    return base;
                }
                free_seen += 1;
                if free_seen == PATIENCE {
                    self.start = self.start.max(cell.saturating_sub(4 * 256));
                }
            }
            cell += 1;
        }
    }

    fn take(&mut self, index: usize, parent: usize) {
        self.taken[index] = true;
        self.arrays.check[index] = parent as i32;
    }

    fn trimmed(mut self) -> V2Arrays {
        let len = self.taken.iter().rposition(|&taken| taken).map_or(1, |last| last + 1);
        self.arrays.base.truncate(len);
        self.arrays.check.truncate(len);
        self.arrays.values.truncate(len);
        self.arrays
    }
}

impl Nodes {
    /// The nodes, parents before children and these together.
    fn breadth_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        order.push(0);
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            order.extend(self.children(node).iter().map(|&child| child as usize));
            next += 1;
        }
        order
    }
}
