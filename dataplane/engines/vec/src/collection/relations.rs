//! Associations: who is next to whom, and over whom.

use std::collections::{HashMap, VecDeque};

use super::Collection;
use super::error::{Damage, StoreError};
use super::state::State;
use crate::part::{Direction, Part};
use crate::record::Association;

/// Records that a search for paths reaches at most.
const MOST_REACHED: usize = 1 << 20;

impl Collection {
    /// Associations that begin or end at a record, of one type or all; the heaviest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn neighbours(
        &self,
        id: &[u8],
        direction: Direction,
        kind: Option<u8>,
    ) -> Result<Vec<Association>, StoreError> {
        let state = self.state();
        let mut found = self.associations(&state, id, direction, kind)?;
        found.sort_by(|a, b| {
            let ids = |of: &Association| (of.source.clone(), of.target.clone(), of.kind);
            b.weight.total_cmp(&a.weight).then_with(|| ids(a).cmp(&ids(b)))
        });
        Ok(found)
    }

    /// A shortest path along associations, of one type or all, from one record to another, over at
    /// most `depth` of them; both ends belong to it. `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::TooLong`] when more than a million records are
    /// reached before the end is.
    pub fn path(
        &self,
        from: &[u8],
        to: &[u8],
        kind: Option<u8>,
        depth: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let state = self.state();
        // Each record that was reached, with the one that it was reached from.
        let mut reached: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut waiting = VecDeque::from([(from.to_vec(), 0)]);
        reached.insert(from.to_vec(), Vec::new());
        while let Some((id, steps)) = waiting.pop_front() {
            if id == to {
                return Ok(Some(walk_back(&reached, id)));
            }
            if steps == depth {
                continue;
            }
            for next in self.associations(&state, &id, Direction::Out, kind)? {
                if !reached.contains_key(&next.target) {
                    reached.insert(next.target.clone(), id.clone());
                    waiting.push_back((next.target, steps + 1));
                }
            }
            if reached.len() > MOST_REACHED {
                let (what, len) = ("a search for a path", reached.len());
                return Err(StoreError::TooLong { what, len, most: MOST_REACHED });
            }
        }
        Ok(None)
    }

    fn associations(
        &self,
        state: &State,
        id: &[u8],
        direction: Direction,
        kind: Option<u8>,
    ) -> Result<Vec<Association>, Damage> {
        let (hash, mut found) = (self.shape.hash(id), Vec::new());
        if let Some(damage) = state.broken.first() {
            return Err(damage.clone());
        }
        for part in state.parts() {
            for at in part.edges_of(hash, direction)? {
                if part.edge_marks().is_current(at, state.lsn) {
                    found.extend(association(part, at, id, direction, kind)?);
                }
            }
        }
        Ok(found)
    }
}

/// The association at a place, if it is of this record and type.
fn association(
    part: &dyn Part,
    at: u32,
    id: &[u8],
    direction: Direction,
    kind: Option<u8>,
) -> Result<Option<Association>, Damage> {
    let (edge, (source, target)) = (part.edge(at)?, part.edge_ids(at)?);
    let own = match direction {
        Direction::Out => source,
        Direction::In => target,
    };
    if own != id || kind.is_some_and(|kind| u32::from(kind) != edge.kind) {
        return Ok(None);
    }
    Ok(Some(Association {
        source: source.to_vec(),
        target: target.to_vec(),
        kind: edge.kind as u8,
        weight: edge.weight,
        confidence: edge.confidence,
        created: edge.created,
        modified: edge.modified,
    }))
}

/// The way by which `id` was reached, from its begin.
fn walk_back(reached: &HashMap<Vec<u8>, Vec<u8>>, id: Vec<u8>) -> Vec<Vec<u8>> {
    let mut path = vec![id];
    while let Some(before) = path.last().and_then(|id| reached.get(id))
        && !before.is_empty()
    {
        path.push(before.clone());
    }
    path.reverse();
    path
}
