//! Operations of messages, made on collections: writes of a batch together, searches after what came
//! before them.

use std::sync::Arc;

use pfs_vec::frame::{Asker, Message, Operation, Status};
use pfs_vec::{BadVector, Batch, Effort, Only, Put, Query, StoreError};

use super::answers::Answers;
use super::collections::RunCollections;
use crate::counters::VecCounters;
use crate::ops::kv::digest_bytes;
use crate::transmitters::replies::Route;

/// Bytes of changes after which they are written, however many of a batch are still to come.
const BATCH_BYTES: usize = 4 << 20;

/// Changes to one collection that are to be written together.
#[derive(Debug)]
struct Pending {
    batch: Batch,
    /// Which outcomes tell of them.
    outcomes: Vec<usize>,
}

/// One worker's collections, and what is under way to them.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) collections: Arc<RunCollections>,
    pending: Vec<Pending>,
    pub(super) answers: Option<Box<Answers>>,
    vector: Vec<f32>,
    /// The last write to each collection in this batch, and the collection's place.
    writes: Vec<(usize, u64)>,
    /// Changes made, changes refused, sum of digests.
    pub(super) results: [u64; 3],
    pub(super) counters: VecCounters,
}

impl Work {
    pub(super) fn new(collections: Arc<RunCollections>, answers: Option<Box<Answers>>) -> Self {
        let pending = collections.all();
        let pending =
            pending.map(|held| Pending { batch: held.batch(), outcomes: Vec::new() }).collect();
        Self {
            pending,
            collections,
            answers,
            vector: Vec::new(),
            writes: Vec::new(),
            results: [0; 3],
            counters: VecCounters::default(),
        }
    }

    /// Takes the operations of a whole message; `all` says whether its sender wants all of them answered and
    /// not searches alone, `asker` who that is, where there is a way back.
    pub(super) fn message(&mut self, bytes: &[u8], all: bool, asker: Option<(Asker, Route)>) {
        let Ok(message) = Message::parse(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        self.counters.messages += 1;
        let name = digest_bytes(0, message.collection());
        let found = self.collections.find(message.collection());
        let is_way = asker.is_some();
        if let (Some(answers), Some((asker, route))) = (&mut self.answers, asker) {
            answers.ask(asker, route);
        }
        for (index, (operation, own)) in (0_u16..).zip(message.operations()) {
            self.results[2] = self.results[2].wrapping_add(digest_bytes(name, own));
            self.counters.take(&operation);
            let search = matches!(operation, Operation::Search { .. });
            let mut outcome = None;
            match &mut self.answers {
                Some(answers) if (all || search) && is_way => {
                    outcome = Some(answers.note((index, operation.kind()), !search));
                }
                Some(_) => self.counters.no_way_back += u64::from(all || search),
                None => self.counters.searches_refused += u64::from(search),
            }
            match found {
                Some(at) => self.operation(at, &operation, outcome),
                None => {
                    self.counters.unknown += 1;
                    self.refuse(outcome, Status::NoCollection, !search);
                }
            }
        }
    }

    fn operation(&mut self, at: usize, operation: &Operation<'_>, outcome: Option<usize>) {
        let batch = &mut self.pending[at].batch;
        let taken = match *operation {
            Operation::Search { .. } => return self.search(at, operation, outcome),
            Operation::Associate { ids, kind, weight, confidence } => {
                // Alone: were a record missing, all that is written with it would be refused.
                self.flush(at);
                let batch = &mut self.pending[at].batch;
                batch.associate(ids, kind, weight, confidence)
            }
            Operation::Dissociate { ids, kind } => batch.dissociate(ids, kind),
            Operation::Delete { id } => batch.delete(id),
            Operation::Touch { id } => batch.touch(id),
            Operation::Put { id, vector, text, metadata, time, strength, confidence } => {
                vector.read_into(&mut self.vector);
                let time = Some(time).filter(|time| *time > 0);
                let vector = self.vector.as_slice();
                batch.put(&Put { id, vector, text, metadata, time, strength, confidence })
            }
        };
        match taken {
            Ok(()) => self.pending[at].outcomes.extend(outcome),
            Err(error) => return self.refused(outcome, &error),
        }
        let alone = matches!(operation, Operation::Associate { .. });
        if alone || self.pending[at].batch.bytes() > BATCH_BYTES {
            self.flush(at);
        }
    }

    /// A change that the collection does not take.
    fn refused(&mut self, outcome: Option<usize>, error: &StoreError) {
        let counter = match error {
            StoreError::Vector(BadVector::Dimension { .. }) => &mut self.counters.wrong_dimension,
            StoreError::Vector(_) => &mut self.counters.bad_vectors,
            _ => &mut self.counters.refused,
        };
        *counter += 1;
        self.refuse(outcome, Status::Refused, true);
    }

    fn refuse(&mut self, outcome: Option<usize>, status: Status, is_write: bool) {
        self.results[1] += u64::from(is_write);
        if let (Some(answers), Some(at)) = (&mut self.answers, outcome) {
            answers.set(at, status);
        }
    }

    fn search(&mut self, at: usize, operation: &Operation<'_>, outcome: Option<usize>) {
        let Operation::Search { vector, most, recall, min_score, only } = *operation else {
            return;
        };
        // What came before is found.
        self.flush(at);
        let Some(outcome) = outcome else { return };
        vector.read_into(&mut self.vector);
        let effort = if recall < 1.0 { Effort::Recall(recall) } else { Effort::Exact };
        let ids: Option<Vec<&[u8]>> = only.ids.map(|ids| ids.iter().collect());
        let words = only.words.map(|words| words.words());
        let time = only.time.map(|(from, until)| from..=until);
        let only = Only { ids: ids.as_deref(), time, words: words.as_ref() };
        let query = Query { min_score, effort, only, ..Query::new(&self.vector, most.into()) };
        match self.collections.at(at).search(&query) {
            Ok(answer) => {
                self.counters.damaged += u64::from(!answer.refused.is_empty());
                if let Some(answers) = &mut self.answers {
                    answers.found(outcome, answer);
                }
            }
            Err(error) => {
                self.counters.searches_failed += 1;
                let status = match error {
                    StoreError::Vector(_) | StoreError::NoRaw => Status::Refused,
                    _ => Status::Failed,
                };
                self.refuse(Some(outcome), status, false);
            }
        }
    }

    /// Writes what waits for the collection at `at`.
    fn flush(&mut self, at: usize) {
        let pending = &mut self.pending[at];
        let count = pending.batch.len() as u64;
        if count == 0 {
            return;
        }
        match self.collections.at(at).write(&mut pending.batch) {
            Ok(written) => {
                self.results[0] += count;
                self.counters.added += u64::from(written.added);
                self.counters.replaced += u64::from(written.replaced);
                self.counters.deleted += u64::from(written.deleted);
                self.writes.retain(|(other, _)| *other != at);
                self.writes.push((at, written.lsn));
            }
            Err(error) => {
                let missing = matches!(error, StoreError::Unknown(_));
                if missing {
                    self.counters.missing += count;
                } else {
                    self.counters.failed += count;
                    tracing::error!(%error, changes = count, "writing to a collection");
                }
                self.results[1] += count;
                let status = if missing { Status::NotFound } else { Status::Failed };
                for outcome in pending.outcomes.drain(..) {
                    if let Some(answers) = &mut self.answers {
                        answers.set(outcome, status);
                    }
                }
            }
        }
        pending.batch.clear();
        pending.outcomes.clear();
    }

    /// Ends a batch: writes what waits, then answers.
    pub(super) fn end_batch(&mut self) {
        (0..self.pending.len()).for_each(|at| self.flush(at));
        if let Some(answers) = &mut self.answers {
            answers.send(&self.writes, &mut self.counters);
        }
        self.writes.clear();
    }

    /// Sends answers that waited for the disk.
    pub(super) fn release(&mut self) {
        if let Some(answers) = &mut self.answers {
            answers.release(&self.collections);
        }
    }

    /// Makes all writes durable, and answers as far as they are.
    pub(super) fn finish(&mut self) {
        for collection in self.collections.all() {
            if let Err(error) = collection.sync() {
                tracing::error!(%error, "making a collection durable");
                self.counters.unsynced += 1;
            }
        }
        self.collections.tell_errors();
        self.release();
        if let Some(answers) = &mut self.answers {
            self.counters.replies_dropped += answers.abandon();
            answers.sink.close();
        }
    }

    pub(super) fn count_replies(&mut self) {
        if let Some(answers) = &mut self.answers {
            let sink = answers.sink.take_counters();
            self.counters.replies_sent += sink.sent;
            self.counters.replies_dropped += sink.dropped;
            self.counters.replies_failed += sink.failed;
        }
    }
}

impl VecCounters {
    fn take(&mut self, operation: &Operation<'_>) {
        match operation {
            Operation::Put { .. } => self.puts += 1,
            Operation::Delete { .. } => self.deletes += 1,
            Operation::Touch { .. } => self.touches += 1,
            Operation::Associate { .. } | Operation::Dissociate { .. } => self.associations += 1,
            Operation::Search { .. } => self.searches += 1,
        }
    }
}
