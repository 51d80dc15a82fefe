//! Which rows of a part a query may find.

use super::{Moment, Part};
use crate::collection::error::Damage;
use crate::collection::query::Only;
use crate::collection::shape::Shape;
use crate::index;
use crate::indexes::words::both;

/// Rows that a query may find.
#[derive(Debug)]
pub(crate) struct Select<'a> {
    part: &'a dyn Part,
    moment: Moment,
    /// Rows that the query's conditions allow, and a bit for each; `None` for all.
    allowed: Option<(Vec<u32>, Vec<u64>)>,
    /// Whether all rows may be found, so that none need be asked about.
    all: bool,
}

impl<'a> Select<'a> {
    /// For the rows of `part` that `only` means at `moment`.
    pub(crate) fn new(
        shape: &Shape,
        part: &'a dyn Part,
        only: &Only<'_>,
        moment: Moment,
    ) -> Result<Self, Damage> {
        let allowed = if only.is_all() { None } else { Some(allowed(shape, part, only)?) };
        let allowed = allowed.map(|rows| {
            let mut bits = vec![0_u64; part.rows().div_ceil(64) as usize];
            rows.iter().for_each(|row| bits[*row as usize / 64] |= 1 << (row % 64));
            (rows, bits)
        });
        let none_ended = part.marks().ended_rows() == 0 && moment.as_of.is_none();
        let all = allowed.is_none() && none_ended;
        Ok(Self { part, moment, allowed, all })
    }

    /// Rows that the conditions allow, ascending, ended ones among them; `None` for all.
    pub(crate) fn rows(&self) -> Option<&[u32]> {
        self.allowed.as_ref().map(|(rows, _)| rows.as_slice())
    }

    /// What a search of codes asks; `None` when all rows may be found.
    pub(crate) fn filter(&self) -> Option<&dyn index::Filter> {
        if self.all { None } else { Some(self) }
    }
}

impl index::Filter for Select<'_> {
    fn allows(&self, row: u32) -> bool {
        if self.all {
            return true;
        }
        if row >= self.part.rows() {
            // Only what was not built here says so.
            return false;
        }
        let bit = |bits: &[u64]| bits[row as usize / 64] >> (row % 64) & 1 == 1;
        if !self.allowed.as_ref().is_none_or(|(_, bits)| bit(bits)) {
            return false;
        }
        let modified = || Ok(self.part.row(row)?.modified);
        // A row that cannot be read is not found; reading its id would tell.
        super::is_seen(self.part.marks(), row, modified, self.moment).unwrap_or(false)
    }
}

/// Rows that all conditions mean, ascending.
fn allowed(shape: &Shape, part: &dyn Part, only: &Only<'_>) -> Result<Vec<u32>, Damage> {
    let mut rows: Option<Vec<u32>> = None;
    let mut and = |found: Vec<u32>| {
        rows = Some(match rows.take() {
            None => found,
            Some(before) => both(&before, &found),
        });
    };
    if let Some(ids) = only.ids {
        let mut found = Vec::new();
        for id in ids {
            for row in part.of_hash(shape.hash(id))? {
                if part.id(row)? == *id {
                    found.push(row);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        and(found);
    }
    if let Some(range) = &only.time {
        let mut found = part.of_time(range.clone())?;
        found.sort_unstable();
        and(found);
    }
    if let Some(words) = only.words {
        let mut look = |word: &str, prefix| part.of_word(word, prefix);
        and(words.rows(&mut look, &|| (0..part.rows()).collect())?);
    }
    Ok(rows.unwrap_or_default())
}
