//! Exact queries that are answered together: each vector is read once for many of them.

use super::Collection;
use super::error::{Damage, StoreError};
use super::query::{Answer, Effort, Only, Query};
use super::search::Gathered;
use super::settings::Raw;
use crate::kernels::Measure;
use crate::part::select::Select;
use crate::part::together::search_together;
use crate::part::{Hits, Moment, Part};
use crate::rows::Rows;
use crate::topk::TopK;

/// Whether a query can be answered together with others of the kind.
pub(super) fn is_plain(collection: &Collection, query: &Query<'_>) -> bool {
    query.effort == Effort::Exact
        && query.only.is_all()
        && query.as_of.is_none()
        && query.top_k > 0
        && collection.shape.measure() == Measure::Dot
}

/// What is compared, and what was found.
struct Together<'a> {
    collection: &'a Collection,
    queries: &'a [&'a Query<'a>],
    vectors: Rows<f32>,
    gathered: Vec<Gathered>,
    moment: Moment,
}

impl Collection {
    /// Answers plain exact queries, all as of one moment.
    ///
    /// # Errors
    /// As [`Self::search`], for the first query that is refused.
    pub(super) fn search_together(
        &self,
        queries: &[&Query<'_>],
    ) -> Result<Vec<Answer>, StoreError> {
        let settings = &self.shape.settings;
        if settings.raw == Raw::None {
            return Err(StoreError::NoRaw);
        }
        let mut vectors = Rows::new(settings.dim);
        for query in queries {
            let mut vector = query.vector.to_vec();
            settings.metric.admit(&mut vector, settings.dim)?;
            vectors.push(&vector);
        }
        let state = self.state();
        let begin = |_: &&Query<'_>| Gathered::refusing(&state.broken);
        let mut together = Together {
            collection: self,
            queries,
            vectors,
            gathered: queries.iter().map(begin).collect(),
            moment: state.now(),
        };
        // Level 0 is searched while it takes no writes; all else does not change.
        together.search(&state.active);
        let parts = state.immutable();
        drop(state);
        for part in &parts {
            together.search(part.as_ref());
        }
        let both = together.gathered.into_iter().zip(queries);
        Ok(both.map(|(gathered, query)| gathered.finish(query.top_k)).collect())
    }
}

impl Together<'_> {
    fn search(&mut self, part: &dyn Part) {
        if part.rows() == 0 {
            return;
        }
        let best = self.best(part);
        for (at, gathered) in self.gathered.iter_mut().enumerate() {
            let found = best.as_ref().map_err(Damage::clone).and_then(|best| {
                let hits = Hits::exact(&best[at], part.rows().into());
                gathered.take(part, &hits)
            });
            if let Err(damage) = found {
                gathered.refuse(damage);
            }
        }
    }

    /// The best rows of a part for each query.
    fn best(&self, part: &dyn Part) -> Result<Vec<TopK>, Damage> {
        let shape = &self.collection.shape;
        let select = Select::new(shape, part, &Only::default(), self.moment)?;
        let each = |query: &&Query<'_>| TopK::new(query.top_k, query.min_score);
        let mut best: Vec<TopK> = self.queries.iter().map(each).collect();
        search_together(shape, part, &select, &self.vectors, &mut best)?;
        Ok(best)
    }
}
