//! Collections through their public functions.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pfs_vec::{
    Collection, Direction, Effort, Maintenance, Metric, Only, Options, Put, Query, Raw, Settings,
    StoreError, Upkept, Words, kinds,
};

/// A pseudo-random vector.
fn noise(seed: u64, dim: usize) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(step).skip(4).take(dim).collect()
}

fn fill(collection: &Collection, ids: std::ops::Range<u64>) {
    let dim = collection.settings().dim;
    let ids: Vec<u64> = ids.collect();
    for chunk in ids.chunks(100) {
        let mut batch = collection.batch();
        for id in chunk {
            let vector = noise(*id, dim);
            let (name, text) = (format!("id-{id}"), format!("record number {id} of {}", id % 7));
            let put =
                Put { text: &text, time: Some(1000 + id), ..Put::new(name.as_bytes(), &vector) };
            batch.put(&put).expect("is a record");
        }
        collection.write(&mut batch).expect("writes");
    }
}

fn ids(collection: &Collection, query: &Query<'_>) -> Vec<String> {
    let answer = collection.search(query).expect("searches");
    assert_eq!(answer.refused, []);
    answer.hits.iter().map(|hit| String::from_utf8_lossy(&hit.id).into_owned()).collect()
}

fn create(folder: &Path, settings: &Settings) -> Collection {
    Collection::create(folder, settings, Options::default()).expect("creates")
}

#[test]
fn records_are_found_at_once_and_after_each_step_of_their_life() {
    for (metric, raw) in [
        (Metric::Cosine, Raw::Bf16),
        (Metric::Dot, Raw::F32),
        (Metric::L2, Raw::I8),
        (Metric::L2, Raw::None),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { metric, raw, memory_rows: 3000, ..Settings::new(48) };
        let mut collection = create(folder.path(), &settings);
        fill(&collection, 0..10_000);
        let vector = noise(1234, 48);
        let query = Query::new(&vector, 5);
        for step in 0..5 {
            match step {
                0 | 3 => {}
                1 => collection.checkpoint().expect("checkpoints"),
                2 => {
                    let done = collection.compact().expect("compacts").expect("is due");
                    assert_eq!((done.rows, done.kept, done.level), (10_000, 10_000, 1));
                    assert!(done.recall.is_none_or(|(recall, _)| recall > 0.95), "{done:?}");
                }
                _ => {
                    drop(collection);
                    collection =
                        Collection::open(folder.path(), Options::default()).expect("opens");
                }
            }
            assert_eq!(collection.len(), 10_000, "{:?}", collection.stats());
            let found = ids(&collection, &query);
            assert_eq!((found[0].as_str(), found.len()), ("id-1234", 5), "{raw:?} step {step}");
            let record = collection.get(b"id-77").expect("reads").expect("is there");
            assert_eq!((record.text.as_str(), record.time), ("record number 77 of 0", 1077));
            let near: f32 = record.vector.iter().zip(noise(77, 48)).map(|(a, b)| a * b).sum();
            assert!(near > 0.5, "{near}");
            let answer = collection.search(&query).expect("searches");
            assert!(answer.distances() > 0 && !answer.levels.is_empty());
            let none = Query { top_k: 0, ..query.clone() };
            assert_eq!(ids(&collection, &none), [""; 0]);
            let all = Query { top_k: 1 << 40, effort: Effort::Recall(1.0), ..query.clone() };
            assert_eq!(ids(&collection, &all).len(), 10_000);
        }
    }
}

#[test]
fn a_graph_finds_what_lists_do() {
    for raw in [Raw::Bf16, Raw::None] {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { raw, ..Settings::new(48) };
        let mut collection = create(folder.path(), &settings);
        fill(&collection, 0..5000);
        let done = collection.compact_into(2).expect("compacts").expect("is due");
        assert_eq!((done.level, done.kept), (2, 5000));
        assert!(done.recall.is_none_or(|(recall, _)| recall > 0.95), "{done:?}");
        // Graphs need vectors; without them there are lists on every level.
        assert_eq!(collection.stats().levels[0].lists == 0, raw == Raw::Bf16);
        assert_eq!(collection.compact_into(2).expect("compacts"), None);
        let mut batch = collection.batch();
        batch.delete(b"id-1234").expect("is an id");
        collection.write(&mut batch).expect("writes");
        for step in 0..2 {
            if step == 1 {
                drop(batch);
                drop(collection);
                collection = Collection::open(folder.path(), Options::default()).expect("opens");
                batch = collection.batch();
            }
            let mut first = 0;
            for id in 1200..1300 {
                let vector = noise(id, 48);
                let found = ids(&collection, &Query::new(&vector, 3));
                assert!(found.len() == 3 && !found.contains(&"id-1234".to_owned()));
                first += u32::from(found[0] == format!("id-{id}"));
            }
            assert!(first >= 95, "{first}");
            let vector = noise(7, 48);
            let only = Only { time: Some(1000..=2999), ..Only::default() };
            let found = ids(&collection, &Query { only, ..Query::new(&vector, 10) });
            assert!(found.len() == 10 && found[0] == "id-7");
            assert!(found.iter().all(|id| id[3..].parse::<u64>().expect("a number") < 2000));
        }
        assert_eq!(collection.verify().damaged, []);
    }
}

#[test]
fn readers_see_whole_batches_while_all_else_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { memory_rows: 64, fanout: 2, ..Settings::new(4) };
    let collection = std::sync::Arc::new(create(folder.path(), &settings));
    let _upkeep = Maintenance::start(&collection).expect("starts");
    let stop = AtomicBool::new(false);
    let put = |round: u32| {
        let mut batch = collection.batch();
        for id in 0..20_u8 {
            let (text, name, vector) = (round.to_string(), [id], [1.0, f32::from(id), 0.0, 1.0]);
            let put = Put { text: &text, ..Put::new(&name, &vector) };
            batch.put(&put).expect("is a record");
        }
        collection.write(&mut batch).expect("writes");
    };
    put(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (1..120).for_each(put);
            stop.store(true, Ordering::Relaxed);
        });
        let mut last = 0;
        while !stop.load(Ordering::Relaxed) {
            let query = Query { effort: Effort::Exact, ..Query::new(&[1.0; 4], 99) };
            let answer = collection.search(&query).expect("searches");
            assert_eq!(answer.hits.len(), 20, "neither twice nor missing");
            let modified = answer.hits[0].modified;
            assert!(answer.hits.iter().all(|hit| hit.modified == modified), "half a batch");
            assert!(modified >= last, "time goes back");
            last = modified;
        }
    });
    assert_eq!(collection.len(), 20);
}

#[test]
fn filters_hold_inside_the_search() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { memory_rows: 2000, ..Settings::new(32) };
    let collection = create(folder.path(), &settings);
    fill(&collection, 0..6000);
    for step in 0..2 {
        if step == 1 {
            collection.compact().expect("compacts");
        }
        let vector = noise(5, 32);
        let query = Query::new(&vector, 10);
        let words = Words::all_of("number 17");
        let found = |only: Only<'_>| ids(&collection, &Query { only, ..query.clone() });
        assert_eq!(found(Only { words: Some(&words), ..Only::default() }), ["id-17"]);
        let few: [&[u8]; 3] = [b"id-9", b"id-10", b"nobody"];
        let mut by_id = found(Only { ids: Some(&few), ..Only::default() });
        by_id.sort();
        assert_eq!(by_id, ["id-10", "id-9"]);
        let in_time = found(Only { time: Some(1100..=1104), ..Only::default() });
        assert_eq!(in_time.len(), 5);
        let none = Words::Word("absent".into());
        assert_eq!(found(Only { words: Some(&none), ..Only::default() }), [""; 0]);
        // Half of all: too many to go through one by one.
        let half = found(Only { time: Some(1000..=3999), ..Only::default() });
        assert!(half.len() == 10 && half[0] == "id-5");
        let fifth = Words::Any(vec![Words::Word("3".into())]);
        let sevenths = found(Only { words: Some(&fifth), ..Only::default() });
        let of = |id: &String| id[3..].parse::<u64>().expect("a number");
        assert!(sevenths.len() == 10 && sevenths.iter().all(|id| of(id) % 7 == 3 || of(id) == 3));
        assert_eq!(
            collection.in_time(1100..=1101, 9).expect("reads"),
            [(1100, b"id-100".to_vec()), (1101, b"id-101".to_vec())]
        );
        let prefix = Words::All(vec![Words::Prefix("numb".into()), Words::Word("42".into())]);
        assert_eq!(collection.with_words(&prefix, 9).expect("reads"), [b"id-42".to_vec()]);
    }
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let collection = create(folder.path(), &Settings::new(4));
    let mut batch = collection.batch();
    for (put, why) in [
        (Put::new(b"a", &[1.0, 2.0, 3.0]), "3 components"),
        (Put::new(b"a", &[1.0, f32::NAN, 3.0, 4.0]), "component 1"),
        (Put::new(b"a", &[0.0; 4]), "no direction"),
        (Put::new(b"", &[1.0; 4]), "0 bytes"),
        (Put::new(&[7; 65536], &[1.0; 4]), "65536 bytes"),
        (Put { strength: f32::INFINITY, ..Put::new(b"a", &[1.0; 4]) }, "strength"),
    ] {
        let error = batch.put(&put).expect_err("is wrong").to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(batch.is_empty());
    batch.associate((b"a", b"b"), kinds::CAUSAL, 1.0, 1.0).expect("may be");
    let refused = collection.write(&mut batch);
    assert!(matches!(refused, Err(StoreError::Unknown(id)) if id == "a"));
    assert_eq!(collection.stats().lsn, 0);
    let query = Query::new(&[1.0; 3], 1);
    assert!(matches!(collection.search(&query), Err(StoreError::Vector(_))));
    let locked = Collection::open(folder.path(), Options::default());
    assert!(matches!(locked, Err(StoreError::Locked { pid, .. }) if pid == std::process::id()));
    let again = Collection::create(folder.path(), &Settings::new(4), Options::default());
    assert!(matches!(again, Err(StoreError::Locked { .. })));
    drop((batch, collection));
    let again = Collection::create(folder.path(), &Settings::new(4), Options::default());
    assert!(matches!(again, Err(StoreError::Exists(_))));
    let nowhere = folder.path().join("nowhere");
    let missing = Collection::open(&nowhere, Options::default());
    assert!(matches!(missing, Err(StoreError::Missing(_))));
    for dim in [1, 4097] {
        let refused = Collection::create(&nowhere, &Settings::new(dim), Options::default());
        assert!(matches!(refused, Err(StoreError::Settings(_))));
    }
}

#[test]
fn associations_are_found_from_both_ends_and_go_with_their_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let collection = create(folder.path(), &Settings::new(8));
    fill(&collection, 0..6);
    let mut batch = collection.batch();
    let id = |n: u64| format!("id-{n}").into_bytes();
    for (from, to, kind) in [(0, 1, 1), (1, 2, 1), (2, 3, 1), (0, 4, 0), (4, 3, 0)] {
        batch.associate((&id(from), &id(to)), kind, 0.5, 0.9).expect("is one");
    }
    collection.write(&mut batch).expect("writes");
    let targets = |n: u64, direction, kind| {
        let found = collection.neighbours(&id(n), direction, kind).expect("reads");
        let other = |of: pfs_vec::Association| match direction {
            Direction::Out => of.target,
            Direction::In => of.source,
        };
        found.into_iter().map(other).collect::<Vec<_>>()
    };
    for step in 0..3 {
        assert_eq!(targets(0, Direction::Out, None), [id(1), id(4)], "step {step}");
        assert_eq!(targets(0, Direction::Out, Some(1)), [id(1)]);
        assert_eq!(targets(3, Direction::In, None), [id(2), id(4)]);
        let path = |kind, depth| collection.path(&id(0), &id(3), kind, depth).expect("reads");
        assert_eq!(path(None, 5), Some(vec![id(0), id(4), id(3)]));
        assert_eq!(path(Some(1), 5), Some(vec![id(0), id(1), id(2), id(3)]));
        assert_eq!((path(Some(1), 2), path(Some(9), 9)), (None, None));
        match step {
            0 => collection.checkpoint().expect("checkpoints"),
            _ => drop(collection.compact().expect("compacts")),
        }
    }
    batch.clear();
    batch.delete(&id(4)).expect("is an id");
    batch.dissociate((&id(1), &id(2)), 1).expect("are ids");
    collection.write(&mut batch).expect("writes");
    collection.compact().expect("compacts");
    assert_eq!(targets(0, Direction::Out, None), [id(1)]);
    assert_eq!(targets(3, Direction::In, None), [id(2)]);
    assert_eq!(collection.path(&id(0), &id(3), None, 9).expect("reads"), None);
    assert_eq!((collection.stats().associations, collection.len()), (2, 5));
}

#[test]
fn readers_share_a_collection_and_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let listing = || {
        let mut files = Vec::new();
        for folder in
            [folder.path().to_owned(), folder.path().join("log"), folder.path().join("segments")]
        {
            for entry in std::fs::read_dir(folder).expect("lists").flatten() {
                let path = entry.path();
                files.push((path.clone(), std::fs::read(path).unwrap_or_default()));
            }
        }
        files.sort();
        files
    };
    let nothing = Collection::open_to_read(folder.path());
    assert!(matches!(nothing, Err(StoreError::Missing(_))));
    let settings = Settings { memory_rows: 64, ..Settings::new(16) };
    let writer = Collection::create(folder.path(), &settings, Options::default()).expect("makes");
    fill(&writer, 0..100);
    writer.checkpoint().expect("makes segments");
    fill(&writer, 100..150);
    let vector = noise(120, 16);
    let expected = ids(&writer, &Query::new(&vector, 5));
    let left = writer.begin().expect("begins").id();
    drop(writer);
    // A torn end stays as it is, too.
    let log = listing()
        .into_iter()
        .map(|(path, _)| path)
        .rfind(|path| path.extension().is_some_and(|end| end == "wal"));
    let log = log.expect("a log");
    let torn = [std::fs::read(&log).expect("reads"), vec![1; 20]].concat();
    std::fs::write(&log, &torn).expect("writes");
    let before = listing();
    let readers: Vec<Collection> =
        (0..3).map(|_| Collection::open_to_read(folder.path()).expect("opens")).collect();
    for reader in &readers {
        assert_eq!(ids(reader, &Query::new(&vector, 5)), expected);
        assert_eq!(reader.len(), 150);
        let mut batch = reader.batch();
        batch.delete(b"id-1").expect("is an id");
        let refused = [
            reader.write(&mut batch).map(drop),
            reader.begin().map(drop),
            reader.sync(),
            reader.checkpoint(),
            reader.maintain().map(drop),
            reader.compact().map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        }
    }
    assert!(listing() == before, "readers changed something; {left} was open");
    drop(readers);
    let writer = Collection::open(folder.path(), Options::default()).expect("opens");
    assert_eq!(ids(&writer, &Query::new(&vector, 5)), expected);
}

#[test]
fn readers_beside_a_writer_see_the_moment_of_their_opening() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { memory_rows: 64, fanout: 2, ..Settings::new(16) };
    let writer = Collection::create(folder.path(), &settings, Options::default()).expect("makes");
    fill(&writer, 0..100);
    let reader = Collection::open_to_read(folder.path()).expect("opens beside the writer");
    let second = Collection::open(folder.path(), Options::default());
    assert!(matches!(second, Err(StoreError::Locked { pid, .. }) if pid == std::process::id()));
    // What a transaction has not committed is nobody's, and what comes later is not in there.
    let mut open = writer.begin().expect("begins");
    let mut batch = writer.batch();
    batch.put(&Put::new(b"open", &noise(9, 16))).expect("is one");
    open.add(&mut batch).expect("writes");
    let during = Collection::open_to_read(folder.path()).expect("opens");
    assert!(during.get(b"open").expect("reads").is_none());
    open.commit().expect("commits");
    let vectors: Vec<Vec<f32>> = (0..10).map(|at| noise(at * 11, 16)).collect();
    let found = |reader: &Collection| -> Vec<Vec<String>> {
        vectors.iter().map(|vector| ids(reader, &Query::new(vector, 5))).collect()
    };
    let before = found(&reader);
    batch.clear();
    (0..50_u64).for_each(|n| batch.delete(format!("id-{n}").as_bytes()).expect("is an id"));
    writer.write(&mut batch).expect("writes");
    fill(&writer, 100..200);
    // The files that the reader has mapped are no longer named, and gone.
    writer.checkpoint().expect("makes segments");
    writer.compact().expect("merges");
    assert_eq!((reader.len(), found(&reader)), (100, before));
    assert!(reader.get(b"id-3").expect("reads").is_some() && reader.verify().damaged.is_empty());
    let later = Collection::open_to_read(folder.path()).expect("opens");
    assert_eq!((later.len(), found(&later)), (151, found(&writer)));
    assert!(later.get(b"open").expect("reads").is_some());
}

#[test]
fn readers_open_while_files_are_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { memory_rows: 32, fanout: 2, ..Settings::new(8) };
    let options = Options { fsync: pfs_vec::wal::Fsync::Never, ..Options::default() };
    let writer = Collection::create(folder.path(), &settings, options).expect("makes");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let (mut opened, mut least) = (0, 0);
            while !is_done.load(Ordering::Relaxed) || opened == 0 {
                let reader = Collection::open_to_read(folder.path()).expect("opens");
                // Batches of ten are whole, and none is lost that was there before.
                assert!(
                    reader.len().is_multiple_of(10) && reader.len() >= least,
                    "{}",
                    reader.len()
                );
                (opened, least) = (opened + 1, reader.len());
                for at in (0..reader.len()).step_by(17) {
                    let record = reader.get(format!("id-{at}").as_bytes()).expect("reads");
                    assert!(record.is_some(), "{at} of {}", reader.len());
                }
            }
            opened
        });
        for at in 0..200 {
            fill(&writer, 10 * at..10 * at + 10);
            while writer.maintain().expect("is kept in order") != Upkept::Nothing {}
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(opening.join().expect("holds") > 0);
    });
}

#[test]
fn answers_say_which_share_of_the_exact_one_they_are_expected_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let collection = create(folder.path(), &Settings { fanout: 64, ..Settings::new(24) });
    let query = noise(77, 24);
    let expected = |effort: Effort| {
        let query = Query { effort, ..Query::new(&query, 10) };
        collection.search(&query).expect("searches").expected
    };
    fill(&collection, 0..6000);
    assert_eq!(expected(Effort::Recall(0.95)), None, "memory is not measured");
    collection.checkpoint().expect("makes a segment");
    for level in 0..3 {
        if level > 0 {
            collection.compact_into(level).expect("compacts");
        }
        let mut before = 0.0;
        for wanted in [0.5, 0.9, 0.95, 0.99] {
            let share = expected(Effort::Recall(wanted)).expect("was measured");
            assert!(share >= wanted && share >= before && share <= 1.0, "{level}: {share}");
            before = share;
        }
        assert_eq!(expected(Effort::Exact), Some(1.0));
        assert_eq!(expected(Effort::Probes { probes: 2, candidates: 20 }), None);
    }
    // Of what is in memory nothing is expected, so that it counts neither way.
    fill(&collection, 6000..6200);
    assert!(expected(Effort::Recall(0.95)).is_some_and(|share| share >= 0.95));
}

#[test]
fn exact_queries_together_are_answered_as_alone() {
    for (metric, raw) in
        [(Metric::Cosine, Raw::Bf16), (Metric::Dot, Raw::I8), (Metric::L2, Raw::F32)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { metric, raw, memory_rows: 300, ..Settings::new(20) };
        let collection =
            Collection::create(folder.path(), &settings, Options::default()).expect("makes");
        fill(&collection, 0..500);
        collection.checkpoint().expect("makes segments");
        fill(&collection, 450..700);
        let vectors: Vec<Vec<f32>> = (0..70).map(|at| noise(at * 9 + 1, 20)).collect();
        let id: &[&[u8]] = &[b"id-3", b"id-450"];
        let queries: Vec<Query<'_>> = vectors
            .iter()
            .enumerate()
            .map(|(at, vector)| {
                let query = Query { effort: Effort::Exact, ..Query::new(vector, at % 12) };
                match at % 10 {
                    7 => Query::new(vector, 3),
                    8 => Query { only: Only { ids: Some(id), ..Only::default() }, ..query },
                    9 => Query::range(vector, if metric == Metric::Cosine { 0.4 } else { 2.0 }),
                    _ => query,
                }
            })
            .collect();
        let together = collection.search_all(&queries).expect("searches");
        assert_eq!(together.len(), queries.len());
        for (query, together) in queries.iter().zip(together) {
            let alone = collection.search(query).expect("searches");
            assert_eq!(together.levels, alone.levels);
            assert_eq!(together.hits.len(), alone.hits.len());
            for (one, other) in together.hits.iter().zip(&alone.hits) {
                assert!((one.score - other.score).abs() < 1e-4, "{one:?} {other:?}");
            }
            let near = |hits: &[pfs_vec::Found]| {
                let mut ids: Vec<Vec<u8>> = hits.iter().map(|hit| hit.id.clone()).collect();
                ids.sort();
                ids
            };
            assert_eq!(near(&together.hits), near(&alone.hits));
        }
        let short = Query { effort: Effort::Exact, ..Query::new(&[1.0; 3], 1) };
        let refused = collection.search_all(&[queries[1].clone(), short]);
        assert!(matches!(refused, Err(StoreError::Vector(_))));
    }
}
