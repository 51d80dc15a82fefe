//! Random changes and upkeep, held against a model that keeps everything in maps.
//!
//! `PFS_VEC_CASES` says how many runs there are (24 when it does not).

use std::collections::BTreeMap;
use std::time::Duration;

use pfs_vec::{
    Batch, Collection, Direction, Effort, Metric, Only, Options, Put, Query, Raw, Settings,
    StoreError, Words,
};
use proptest::prelude::*;

/// Ids that changes are about: few, so that they meet.
const IDS: u8 = 12;
const DIM: usize = 4;

#[derive(Clone, Debug)]
enum Edit {
    Put { id: u8, vector: [i8; DIM], words: Vec<u8>, time: u64 },
    Delete(u8),
    Touch(u8),
    Associate(u8, u8, u8, i8),
    Dissociate(u8, u8, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Edit>),
    Transaction(Vec<Vec<Edit>>, bool),
    Checkpoint,
    Compact,
    Maintain,
    Reopen,
}

fn edit() -> impl Strategy<Value = Edit> {
    let id = 0..IDS;
    prop_oneof![
        6 => (id.clone(), any::<[i8; DIM]>(), prop::collection::vec(0..6_u8, 0..4), 1..50_u64)
            .prop_map(|(id, vector, words, time)| Edit::Put { id, vector, words, time }),
        2 => id.clone().prop_map(Edit::Delete),
        1 => id.clone().prop_map(Edit::Touch),
        2 => (id.clone(), id.clone(), 0..2_u8, any::<i8>())
            .prop_map(|(from, to, kind, weight)| Edit::Associate(from, to, kind, weight)),
        1 => (id.clone(), id, 0..2_u8).prop_map(|(from, to, kind)| Edit::Dissociate(from, to, kind)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let edits = || prop::collection::vec(edit(), 1..6);
    prop_oneof![
        12 => edits().prop_map(Step::Write),
        2 => (prop::collection::vec(edits(), 1..3), any::<bool>())
            .prop_map(|(parts, commits)| Step::Transaction(parts, commits)),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        2 => Just(Step::Maintain),
        2 => Just(Step::Reopen),
    ]
}

/// A version of a record.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    vector: [i8; DIM],
    text: String,
    time: u64,
    touches: u32,
    /// The write that made the id.
    born: u32,
}

#[derive(Clone, Debug, Default)]
struct Model {
    records: BTreeMap<u8, Version>,
    edges: BTreeMap<(u8, u8, u8), f32>,
    writes: u32,
}

fn text(words: &[u8]) -> String {
    words.iter().map(|word| format!("word{word} ")).collect()
}

impl Model {
    /// The changes as a collection is to see them; `false` when they are to be refused.
    fn apply(&mut self, edits: &[Edit]) -> bool {
        let before = self.clone();
        self.writes += 1;
        let mut touched = Vec::new();
        for edit in edits {
            match edit {
                Edit::Put { id, vector, words, time } => {
                    let born = self.records.get(id).map_or(self.writes, |old| old.born);
                    let (vector, text, time) = (*vector, text(words), *time);
                    let version = Version { vector, text, time, touches: 0, born };
                    self.records.insert(*id, version);
                    touched.retain(|touched| touched != id);
                }
                Edit::Delete(id) => {
                    self.records.remove(id);
                    self.edges.retain(|(from, to, _), _| from != id && to != id);
                }
                Edit::Touch(id) => {
                    if let Some(version) = self.records.get_mut(id)
                        && !touched.contains(id)
                    {
                        // However often a change says so, it counts one access.
                        version.touches += 1;
                        touched.push(*id);
                    }
                }
                Edit::Associate(from, to, kind, weight) => {
                    if !self.records.contains_key(from) || !self.records.contains_key(to) {
                        *self = before;
                        return false;
                    }
                    self.edges.insert((*from, *to, *kind), f32::from(*weight));
                }
                Edit::Dissociate(from, to, kind) => {
                    self.edges.remove(&(*from, *to, *kind));
                }
            }
        }
        true
    }
}

fn batch(collection: &Collection, edits: &[Edit]) -> Batch {
    let mut batch = collection.batch();
    for edit in edits {
        match edit {
            Edit::Put { id, vector, words, time } => {
                let vector = vector.map(f32::from);
                let (id, text) = ([*id], text(words));
                let put = Put { text: &text, time: Some(*time), ..Put::new(&id, &vector) };
                batch.put(&put).expect("is a record");
            }
            Edit::Delete(id) => batch.delete(&[*id]).expect("is an id"),
            Edit::Touch(id) => batch.touch(&[*id]).expect("is an id"),
            Edit::Associate(from, to, kind, weight) => batch
                .associate((&[*from], &[*to]), *kind, f32::from(*weight), 1.0)
                .expect("is an association"),
            Edit::Dissociate(from, to, kind) => {
                batch.dissociate((&[*from], &[*to]), *kind).expect("are ids");
            }
        }
    }
    batch
}

/// Minus the squared distance.
fn score(a: &[i8; DIM], b: &[i8; DIM]) -> f32 {
    a.iter().zip(b).map(|(a, b)| -(f32::from(*a) - f32::from(*b)).powi(2)).sum()
}

/// What a search is to find.
fn nearest(
    records: &BTreeMap<u8, Version>,
    query: &[i8; DIM],
    k: usize,
    least: f32,
    only: impl Fn(&Version) -> bool,
) -> Vec<(Vec<u8>, f32)> {
    let scored = records.iter().filter(|(_, version)| only(version));
    let mut all: Vec<(Vec<u8>, f32)> =
        scored.map(|(id, version)| (vec![*id], score(&version.vector, query))).collect();
    all.retain(|(_, score)| *score >= least);
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

fn search(collection: &Collection, query: &Query<'_>) -> Result<Vec<(Vec<u8>, f32)>, StoreError> {
    let answer = collection.search(query)?;
    assert_eq!(answer.refused, []);
    Ok(answer.hits.into_iter().map(|hit| (hit.id, hit.score)).collect())
}

/// Holds a collection against its model.
fn compare(collection: &Collection, model: &Model, probe: [i8; DIM]) {
    assert_eq!(collection.len(), model.records.len() as u64);
    assert_eq!(collection.stats().associations, model.edges.len() as u64);
    let mut born: BTreeMap<u32, u64> = BTreeMap::new();
    for id in 0..IDS {
        let got = collection.get(&[id]).expect("reads");
        assert_eq!(got.is_some(), model.records.contains_key(&id), "record {id}");
        if let (Some(got), Some(want)) = (got, model.records.get(&id)) {
            let vector: Vec<f32> = want.vector.map(f32::from).to_vec();
            assert_eq!((got.vector, got.text, got.time), (vector, want.text.clone(), want.time));
            assert_eq!(got.access_count, want.touches, "record {id}");
            assert!(got.created <= got.modified && got.modified <= got.accessed);
            // Ids of one write were made at one time, and others at others.
            assert_eq!(*born.entry(want.born).or_insert(got.created), got.created, "record {id}");
        }
        for (direction, own) in [(Direction::Out, 0), (Direction::In, 1)] {
            let ends = |of: &(u8, u8, u8)| if own == 0 { (of.0, of.1) } else { (of.1, of.0) };
            let mut want: Vec<(Vec<u8>, u8, f32)> = model
                .edges
                .iter()
                .filter(|(edge, _)| ends(edge).0 == id)
                .map(|(edge, weight)| (vec![ends(edge).1], edge.2, *weight))
                .collect();
            let got = collection.neighbours(&[id], direction, None).expect("reads");
            let other = |of: pfs_vec::Association| {
                (if own == 0 { of.target } else { of.source }, of.kind, of.weight)
            };
            let mut got: Vec<(Vec<u8>, u8, f32)> = got.into_iter().map(other).collect();
            want.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            got.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            assert_eq!(got, want, "record {id}");
        }
    }
    assert!(born.values().is_sorted(), "{born:?}");
    let vector = probe.map(f32::from);
    for (k, least) in [(0, f32::NEG_INFINITY), (3, f32::NEG_INFINITY), (99, -9000.0)] {
        let query = Query { min_score: least, effort: Effort::Exact, ..Query::new(&vector, k) };
        let want = nearest(&model.records, &probe, k, least, |_| true);
        assert_eq!(search(collection, &query).expect("searches"), want);
        // With so few records every one of them is a candidate.
        let query = Query { min_score: least, ..Query::new(&vector, k) };
        assert_eq!(search(collection, &query).expect("searches"), want);
    }
    let words = Words::any_of("word1 word4");
    let only = Only { words: Some(&words), time: Some(10..=40), ..Only::default() };
    let query = Query { only, ..Query::new(&vector, 5) };
    let want = nearest(&model.records, &probe, 5, f32::NEG_INFINITY, |version| {
        let has = |word: &str| version.text.split(' ').any(|own| own == word);
        (10..=40).contains(&version.time) && (has("word1") || has("word4"))
    });
    assert_eq!(search(collection, &query).expect("searches"), want);
    let mut times: Vec<(u64, Vec<u8>)> =
        model.records.iter().map(|(id, version)| (version.time, vec![*id])).collect();
    times.sort();
    assert_eq!(collection.in_time(0..=u64::MAX, 99).expect("reads"), times);
}

/// The records as they were at some times of writes.
type Past = Vec<(u64, BTreeMap<u8, Version>)>;

/// Queries as of a time must see what was then, or say that it is forgotten.
fn compare_past(collection: &Collection, past: &Past, probe: [i8; DIM], forgets: bool) {
    let vector = probe.map(f32::from);
    for (time, records) in past {
        let query = Query { as_of: Some(*time), ..Query::new(&vector, 99) };
        match search(collection, &query) {
            Ok(got) => assert_eq!(got, nearest(records, &probe, 99, f32::NEG_INFINITY, |_| true)),
            Err(StoreError::Forgotten { .. }) => assert!(forgets),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The time of the last write, if a record of it is there.
fn write_time(collection: &Collection, edits: &[Edit], records: &BTreeMap<u8, Version>) -> u64 {
    let put = edits.iter().find_map(|edit| match edit {
        Edit::Put { id, .. } if records.contains_key(id) => Some(*id),
        _ => None,
    });
    let record = put.and_then(|id| collection.get(&[id]).expect("reads"));
    record.map_or(0, |record| record.modified)
}

fn run(steps: &[Step], probe: [i8; DIM], history: Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        metric: Metric::L2,
        raw: Raw::F32,
        memory_rows: 16,
        fanout: 2,
        history,
        ..Settings::new(DIM)
    };
    let mut collection =
        Collection::create(folder.path(), &settings, Options::default()).expect("creates");
    let (mut model, mut past) = (Model::default(), Past::new());
    for step in steps {
        let mut edits: Vec<Edit> = Vec::new();
        match step {
            Step::Write(these) => {
                let done = collection.write(&mut batch(&collection, these));
                assert_eq!(done.is_ok(), model.apply(these), "{done:?}");
                if done.is_ok() {
                    edits.clone_from(these);
                }
            }
            Step::Transaction(parts, commits) => {
                let mut open = collection.begin().expect("begins");
                for part in parts {
                    open.add(&mut batch(&collection, part)).expect("adds");
                }
                if *commits {
                    let all = parts.concat();
                    let done = open.commit();
                    assert_eq!(done.is_ok(), model.apply(&all), "{done:?}");
                    if done.is_ok() {
                        edits = all;
                    }
                } else {
                    open.rollback().expect("rolls back");
                }
            }
            Step::Checkpoint => collection.checkpoint().expect("checkpoints"),
            Step::Compact => drop(collection.compact().expect("compacts")),
            Step::Maintain => drop(collection.maintain().expect("keeps up")),
            Step::Reopen => {
                drop(collection);
                collection = Collection::open(folder.path(), Options::default()).expect("opens");
            }
        }
        let time = write_time(&collection, &edits, &model.records);
        if time > 0 {
            past.push((time, model.records.clone()));
        }
        compare(&collection, &model, probe);
    }
    compare_past(&collection, &past, probe, history.is_zero());
    assert_eq!(collection.verify().damaged, []);
}

#[test]
fn a_collection_is_its_model() {
    let cases = std::env::var("PFS_VEC_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { cases: cases.unwrap_or(24), ..ProptestConfig::default() };
    let steps = prop::collection::vec(step(), 1..60);
    proptest!(config, |(steps in steps, probe: [i8; DIM], keeps: bool)| {
        run(&steps, probe, if keeps { Duration::from_secs(3600) } else { Duration::ZERO });
    });
}
