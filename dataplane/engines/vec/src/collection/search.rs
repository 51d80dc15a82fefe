//! Search over all levels, with one answer.

use super::error::{Damage, StoreError};
use super::query::{Answer, Effort, Found, LevelRead, Query};
use super::settings::Raw;
use super::{Collection, together};
use crate::part::{Hits, Part, Probe};
use crate::quantize::QueryTables;
use crate::record::raw::pad;
use crate::rows::Rows;

/// A query's vector, ready to be compared.
struct Prepared {
    padded: Rows<f32>,
    tables: QueryTables,
}

impl Collection {
    /// Finds the records that are nearest to a vector, in all levels.
    ///
    /// # Errors
    /// [`StoreError`] when the vector is not one that the collection could have,
    /// [`StoreError::NoRaw`] for an exact search without raw vectors, [`StoreError::Forgotten`]
    /// when versions of the time asked for may be missing. A damaged segment is no error: it is
    /// left out, and the answer names it.
    pub fn search(&self, query: &Query<'_>) -> Result<Answer, StoreError> {
        let mut vector = query.vector.to_vec();
        self.shape.settings.metric.admit(&mut vector, self.shape.settings.dim)?;
        if query.effort == Effort::Exact && self.shape.settings.raw == Raw::None {
            return Err(StoreError::NoRaw);
        }
        let (padded, tables) = (pad(&vector), self.shape.quantizer.query(&vector));
        self.search_prepared(query, &Prepared { padded, tables })
    }

    /// Answers queries, each as [`Self::search`] does. Exact ones without filters, by dot product or
    /// cosine, are compared with each vector as it is read, all as of one moment; the others are answered
    /// one after the other behind them, and writes between them are seen by the later ones.
    ///
    /// # Errors
    /// The first error that a query meets.
    pub fn search_all(&self, queries: &[Query<'_>]) -> Result<Vec<Answer>, StoreError> {
        let plain = |query: &&Query<'_>| together::is_plain(self, query);
        let some: Vec<&Query<'_>> = queries.iter().filter(plain).collect();
        let mut answers = match some.len() {
            0 | 1 => Vec::new(),
            _ => self.search_together(&some)?,
        }
        .into_iter();
        let each = |query: &Query<'_>| match plain(&query).then(|| answers.next()).flatten() {
            Some(answer) => Ok(answer),
            None => self.search(query),
        };
        queries.iter().map(each).collect()
    }

    fn search_prepared(
        &self,
        query: &Query<'_>,
        prepared: &Prepared,
    ) -> Result<Answer, StoreError> {
        let state = self.state();
        let mut gathered = Gathered::refusing(&state.broken);
        let moment = state.moment(query.as_of)?;
        if query.top_k == 0 {
            return Ok(gathered.answer);
        }
        let probe = Probe {
            padded: prepared.padded.row(0),
            tables: &prepared.tables,
            k: query.top_k,
            least: query.min_score,
            effort: query.effort,
            only: &query.only,
            moment,
        };
        // Level 0 is searched while it takes no writes; all else does not change.
        gathered.search(self, &state.active, &probe);
        let parts = state.immutable();
        drop(state);
        for part in &parts {
            gathered.search(self, part.as_ref(), &probe);
        }
        Ok(gathered.finish(query.top_k))
    }
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Gathered {
    answer: Answer,
    /// Rows of parts that something is expected of, and the sum of their shares.
    measured: (f64, f64),
}

impl Gathered {
    /// Nothing, and hits of `broken` segments are missing.
    pub(super) fn refusing(broken: &[Damage]) -> Self {
        Self { answer: Answer { refused: broken.to_vec(), ..Answer::default() }, ..Self::default() }
    }

    fn search(&mut self, collection: &Collection, part: &dyn Part, probe: &Probe<'_>) {
        if part.rows() == 0 {
            return;
        }
        let found = part.search(&collection.shape, probe);
        if let Err(damage) = found.and_then(|hits| self.take(part, &hits)) {
            self.refuse(damage);
        }
    }

    /// Adds what was found in a part.
    pub(super) fn take(&mut self, part: &dyn Part, hits: &Hits) -> Result<(), Damage> {
        self.answer.hits.extend(resolve(part, hits)?);
        self.count(part, hits);
        Ok(())
    }

    /// Notes that hits of a part are missing.
    pub(super) fn refuse(&mut self, damage: Damage) {
        self.answer.refused.push(damage);
    }

    fn count(&mut self, part: &dyn Part, hits: &Hits) {
        if let Some(expected) = hits.expected {
            self.measured.0 += f64::from(part.rows());
            self.measured.1 += f64::from(part.rows()) * f64::from(expected);
        }
        let levels = &mut self.answer.levels;
        let level = part.level();
        let at = levels.iter().position(|read| read.level == level).unwrap_or_else(|| {
            levels.push(LevelRead { level, ..LevelRead::default() });
            levels.len() - 1
        });
        let read = &mut levels[at];
        read.parts += 1;
        read.rows += u64::from(part.rows());
        read.estimated += hits.estimated;
        read.computed += hits.computed;
    }

    pub(super) fn finish(mut self, k: usize) -> Answer {
        let hits = &mut self.answer.hits;
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        hits.truncate(k);
        self.answer.levels.sort_unstable_by_key(|read| read.level);
        let (rows, shares) = self.measured;
        self.answer.expected = (rows > 0.0).then_some((shares / rows) as f32);
        self.answer
    }
}

/// What rows are known by.
fn resolve(part: &dyn Part, hits: &Hits) -> Result<Vec<Found>, Damage> {
    let found = |&(row, score): &(u32, f32)| {
        let modified = part.row(row)?.modified;
        Ok(Found { id: part.id(row)?.to_vec(), score, modified })
    };
    hits.rows.iter().map(found).collect()
}
