//! `pfs vec`: a collection made, filled from files, searched, damaged and told of.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{capture, done, file, folder, pfs, run, until};

const DIM: usize = 16;

/// Vectors of whole numbers that are all different.
fn vectors(rows: usize) -> Vec<Vec<f32>> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as f32 - 127.5
    };
    (0..rows).map(|_| (0..DIM).map(|_| next()).collect()).collect()
}

/// A `.npy` file as NumPy writes it, whose head tells of `rows` vectors.
fn npy(rows: usize, vectors: &[Vec<f32>]) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {DIM}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{text:117}\n").bytes());
    bytes.extend(vectors.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// A new collection in `folder`, and how it is named on the command line.
fn create(folder: &Path, words: &str) -> String {
    let at = folder.join("collection").display().to_string();
    assert_eq!(run(&format!("vec create {at} --dim {DIM} {words}")).ok(), "");
    at
}

/// Each line of an output as JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["id"].as_str().expect("an id")).collect()
}

#[test]
fn what_is_imported_finds_itself_before_and_after_a_compaction() {
    let folder = folder();
    let at = create(folder.path(), "--metric l2 --raw f32");
    let all = vectors(300);
    let given = file(folder.path(), "all.npy", npy(300, &all));
    let import = format!("vec import {at} {} --ids row", given.display());
    assert_eq!(run(&import).ok(), "300 written\n");
    let queries = file(folder.path(), "queries.npy", npy(20, &all[..20]));
    let search = format!("vec search {at} --file {} -k 2", queries.display());
    for level in [0, 1] {
        for effort in ["", "--recall exact"] {
            let answers = lines(&run(&format!("{search} {effort}")).ok());
            assert_eq!(answers.len(), 20);
            for (row, answer) in answers.iter().enumerate() {
                assert_eq!(answer["query"], row);
                assert_eq!(ids(answer)[0], format!("row{row}"), "{answer}");
                assert_eq!(answer["hits"][0]["score"].as_f64(), Some(0.0), "{answer}");
                assert_eq!(answer["levels"][0]["level"], level, "{answer}");
            }
        }
        let like = run(&format!("vec search {at} --like row7 -k 3 --recall exact")).json();
        assert!(ids(&like).len() == 3 && !ids(&like).contains(&"row7"), "{like}");
        let merged = run(&format!("vec compact {at}")).json();
        assert_eq!(merged["kept"].as_u64(), (level == 0).then_some(300), "{merged}");
    }
    // The same again replaces.
    assert_eq!(run(&import).ok(), "300 written\n");
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 300);
    let out = folder.path().join("out.npy");
    let told = run(&format!("vec export {at} --format npy -o {}", out.display())).ok();
    assert!(told.contains("300 written to"), "{told}");
    assert_eq!(fs::read(&out).expect("reads"), fs::read(&given).expect("reads"));
}

#[test]
fn fvecs_and_bvecs_hold_the_same_vectors() {
    let folder = folder();
    let at = create(folder.path(), "--metric dot --raw i8");
    let (mut floats, mut bytes) = (Vec::new(), Vec::new());
    for row in 1..=9_u8 {
        for file in [&mut floats, &mut bytes] {
            file.extend((DIM as u32).to_le_bytes());
        }
        bytes.extend([row; DIM]);
        floats.extend(f32::from(row).to_le_bytes().repeat(DIM));
    }
    for (name, content) in [("a.fvecs", floats), ("b.bvecs", bytes)] {
        let given = file(folder.path(), name, content);
        let import = format!("vec import {at} {} --ids {name}:", given.display());
        assert_eq!(run(&import).ok(), "9 written\n");
    }
    let ones = format!("[{}]", vec!["1"; DIM].join(","));
    let found = run(&format!("vec search {at} --vector {ones} -k 3")).json();
    assert_eq!(ids(&found), ["a.fvecs:8", "b.bvecs:8", "a.fvecs:7"]);
    let bound = run(&format!("vec search {at} --vector {ones} -k 30 --min-score 120")).json();
    assert_eq!(ids(&bound).len(), 4, "{bound}");
}

#[test]
fn records_are_written_filtered_and_deleted_one_by_one() {
    let folder = folder();
    let at = create(folder.path(), "");
    let vector = |last: i32| format!("[{}{last}]", "1,".repeat(DIM - 1));
    let add = |id: &str, words: &str| run(&format!("vec add {at} {id} {words}")).ok();
    let near = vector(2);
    assert_eq!(add("a", &format!("--vector {near} --text Fox --time 10 --meta m")), "added\n");
    assert_eq!(add("b", &format!("--vector {near} --text Foxes --time 20 --to a")), "added\n");
    let words = format!("--vector {near} --text Hound --time 30 --to b --kind 1 --weight 2.5");
    assert_eq!(add("c", &words), "added\n");
    assert_eq!(add("c", &words), "replaced\n");
    let only = file(folder.path(), "only", "b\nnobody\n\nc\n").display().to_string();
    for (filter, want) in [
        ("--words fox".to_owned(), &["a"][..]),
        ("--any-words FOX,hound".to_owned(), &["a", "c"]),
        ("--from 20".to_owned(), &["b", "c"]),
        ("--from 20 --until 29".to_owned(), &["b"]),
        (format!("--ids-file {only}"), &["b", "c"]),
        (format!("--ids-file {only} --until 10"), &[]),
        ("-k 0".to_owned(), &[]),
    ] {
        let found = run(&format!("vec search {at} --vector {near} {filter}")).json();
        assert_eq!(ids(&found), want, "{filter}");
    }
    let record = run(&format!("vec get {at} a")).json();
    assert_eq!((&record["text"], &record["meta"]), (&"Fox".into(), &"m".into()));
    let next = lines(&run(&format!("vec neighbours {at} c --depth 2")).ok());
    let told: Vec<_> = next.iter().map(|step| (&step["depth"], &step["target"])).collect();
    assert_eq!(told, [(&1.into(), &"b".into()), (&2.into(), &"a".into())]);
    assert_eq!(next[0]["weight"], 2.5);
    assert_eq!(lines(&run(&format!("vec neighbours {at} a --incoming")).ok())[0]["source"], "b");
    assert_eq!(run(&format!("vec neighbours {at} c --kind 7")).ok(), "");
    assert_eq!(run(&format!("vec del {at} b nobody")).ok(), "1 deleted\n");
    assert_eq!(run(&format!("vec neighbours {at} c --depth 2")).ok(), "");
    run(&format!("vec get {at} b")).fails(1, &["there is no record b"]);
    run(&format!("vec neighbours {at} b")).fails(1, &["there is no record b"]);
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 2);
}

#[test]
fn what_is_exported_as_lines_makes_the_same_collection_elsewhere() {
    let folder = folder();
    let at = create(folder.path(), "");
    let vector = Value::from(vectors(1)[0].clone());
    let records = [
        format!(r#"{{"id":"a","vector":{vector},"text":"ä \"b\"","meta":"m","time":5}}"#),
        format!(r#"  {{"id_hex":"00ff","vector":{vector},"meta_hex":"80","confidence":0.1}}"#),
        String::new(),
        r#"{"source":"a","target_hex":"00ff","kind":4,"weight":0.3}"#.to_owned(),
    ];
    let given = file(folder.path(), "in.jsonl", records.join("\r\n"));
    assert_eq!(run(&format!("vec import {at} {}", given.display())).ok(), "3 written\n");
    let first = run(&format!("vec export {at}")).ok();
    let there = folder.path().join("there").display().to_string();
    run(&format!("vec create {there} --dim {DIM}")).ok();
    let exported = file(folder.path(), "out", &first);
    let import = format!("vec import {there} {} --format jsonl", exported.display());
    assert_eq!(run(&import).ok(), "3 written\n");
    assert_eq!(run(&format!("vec export {there}")).ok(), first);
    assert_eq!(lines(&first).len(), 3);
    assert!(first.contains(r#""id_hex":"00ff""#) && first.contains(r#""weight":0.3"#), "{first}");
}

#[test]
fn damage_is_found_and_told() {
    let folder = folder();
    let at = create(folder.path(), "");
    let given = file(folder.path(), "all.npy", npy(50, &vectors(50)));
    run(&format!("vec import {at} {}", given.display())).ok();
    assert_eq!(run(&format!("vec verify {at}")).json()["clean"], true);
    let segments = fs::read_dir(Path::new(&at).join("segments")).expect("lists");
    let segment = segments.map(|entry| entry.expect("an entry").path()).next().expect("one");
    let whole = fs::read(&segment).expect("reads");
    let flipped = |byte: usize| {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1;
        fs::write(&segment, &bytes).expect("writes");
    };
    // A row; then the footer, without which the segment is not opened.
    for byte in [64, whole.len() - 1000] {
        flipped(byte);
        let told = run(&format!("vec verify {at}")).fails(1, &["is damaged", "backup"]);
        let told: Value = serde_json::from_str(&told.out).expect("JSON");
        assert_eq!(
            (&told["clean"], told["damaged"].as_array().map(Vec::len)),
            (&false.into(), Some(1))
        );
        let search = format!("vec search {at} --file {}", given.display());
        let told = run(&search).fails(1, &["hits may be missing", "pfs vec verify"]);
        let first = lines(&told.out).remove(0);
        assert_eq!((ids(&first).len(), first["refused"].as_array().map(Vec::len)), (0, Some(1)));
        let out = folder.path().join("out");
        run(&format!("vec export {at} -o {}", out.display())).fails(1, &["is damaged"]);
        assert!(!out.exists());
        run(&format!("vec get {at} 1")).fails(1, &["is damaged"]);
    }
    fs::write(&segment, &whole).expect("writes");
    assert_eq!(run(&format!("vec verify {at}")).json()["clean"], true);
}

#[test]
fn a_second_process_is_refused_and_told_of_the_first() {
    let folder = folder();
    let at = create(folder.path(), "");
    let mut command = pfs(&format!("vec import {at} - --format jsonl"));
    let mut first = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    let (lock, pid) = (Path::new(&at).join("lock"), first.id().to_string());
    until("the lock", || fs::read_to_string(&lock).is_ok_and(|held| held.trim() == pid));
    run(&format!("vec del {at} a")).fails(1, &[&format!("is written by process {pid}")]);
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 0, "reading goes on");
    let line = format!(r#"{{"id":"a","vector":{}}}"#, Value::from(vectors(1)[0].clone()));
    first.stdin.take().expect("piped").write_all(line.as_bytes()).expect("it reads");
    assert!(first.wait().expect("ends").success());
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 1);
}

#[test]
fn files_that_are_none_are_refused_where_they_go_wrong() {
    let folder = folder();
    let at = create(folder.path(), "");
    let all = vectors(5);
    let mut no_number = all.clone();
    no_number[3][2] = f32::NAN;
    let mut no_direction = all.clone();
    no_direction[1].fill(0.0);
    let whole = npy(5, &all);
    let good = format!(r#"{{"id":"a","vector":{}}}"#, Value::from(all[0].clone()));
    for (name, content, words) in [
        ("cut.npy", whole[..whole.len() - 1].to_vec(), &["vector 4", "4 were written"][..]),
        ("head.npy", whole[..100].to_vec(), &["ends within it", "0 were written"]),
        ("more.npy", npy(4, &all), &["behind the 4 vectors", "4 were written"]),
        ("lies.npy", npy(usize::MAX, &all), &["vector 5", "5 were written"]),
        ("nan.npy", npy(5, &no_number), &["vector 3: component 2 is NaN", "3 were written"]),
        ("zero.npy", npy(5, &no_direction), &["vector 1", "no direction", "1 were written"]),
        ("a.fvecs", [3_u8, 0, 0, 0].repeat(4), &["vector 0: the vector has 3", "0 were written"]),
        ("b.bvecs", vec![0xff; 40], &["vector 0 has -1 components"]),
        ("a.jsonl", format!("{good}\n{{").into_bytes(), &["line 2: EOF", "1 were written"]),
        ("b.jsonl", br#"{"id":"a"}"#.to_vec(), &["line 1: it has no vector"]),
        ("c.jsonl", br#"{"id":"a","vector":[1,null]}"#.to_vec(), &["line 1: invalid type"]),
        ("d.jsonl", br#"{"id":"a","vector":[1e39,1]}"#.to_vec(), &["line 1: number out of range"]),
        ("2.jsonl", br#"{"id":"a","vector":[1,1]}"#.to_vec(), &["line 1: the vector has 2"]),
        ("e.jsonl", br#"{"id":"a","source":"b","target":"c"}"#.to_vec(), &["and an association"]),
        ("f.jsonl", br#"{"source":"q","target":"r"}"#.to_vec(), &["there is no record \"q\""]),
        ("g.jsonl", br#"{"id":"","vector":[1,2]}"#.to_vec(), &["an id of 0 bytes"]),
        ("h.jsonl", br#"{"id":"a","vektor":[1,2]}"#.to_vec(), &["unknown field"]),
    ] {
        let given = file(folder.path(), name, content);
        run(&format!("vec import {at} {}", given.display())).fails(1, words);
    }
    run(&format!("vec import {at} {}", folder.path().join("x").display())).fails(2, &["--format"]);
    run(&format!("vec import {at} /nowhere.npy")).fails(1, &["reading /nowhere.npy"]);
    assert_eq!(run(&format!("vec verify {at}")).json()["clean"], true);
}

#[test]
fn what_makes_no_sense_is_usage_and_what_fails_is_failure() {
    let folder = folder();
    let at = folder.path().join("collection").display().to_string();
    run(&format!("vec search {at} --vector [1,2]")).fails(1, &["no collection", "vec create"]);
    run(&format!("vec create {at} --dim 1")).fails(2, &["2 to 4096 components"]);
    run(&format!("vec create {at} --dim 4 --metric cos")).fails(2, &["cosine, dot, l2"]);
    assert!(!Path::new(&at).exists(), "nothing is left behind");
    create(folder.path(), "--raw none");
    run(&format!("vec create {at} --dim 4")).fails(1, &["holds a collection already"]);
    let ones = format!("[{}]", vec!["1"; DIM].join(","));
    for (words, why) in [
        ("--vector [1,2]".to_owned(), "the vector has 2 components, the collection's have 16"),
        ("--vector [1,2".to_owned(), "no JSON array of numbers"),
        (String::new(), "no JSON array of numbers"),
        (format!("--vector {}", ones.replacen('1', "1e39", 1)), "number out of range"),
        (format!("--vector {}", ones.replace('1', "0")), "no direction"),
        (format!("--vector {ones} --recall exact"), "keeps no raw vectors"),
        (format!("--vector {ones} --recall 1.1"), "from 0 to 1, or exact"),
        (format!("--vector {ones} --min-score NaN"), "--min-score is no number"),
        (format!("--vector {ones} --like a"), "cannot be used with"),
        ("--file queries.txt".to_owned(), "none of .npy, .fvecs and .bvecs"),
    ] {
        run(&format!("vec search {at} {words}")).fails(2, &[why]);
    }
    run(&format!("vec search {at} --like a")).fails(1, &["there is no record a"]);
    run(&format!("vec search {at} --vector {ones} --as-of 1 --ids-file /nowhere"))
        .fails(1, &["reading /nowhere"]);
    run(&format!("vec add {at} a --vector {ones} --to b")).fails(1, &["there is no record \"b\""]);
    run(&format!("vec add {at} a --vector {ones} --kind 3")).fails(2, &["--to"]);
    let mut command = pfs(&format!("vec add {at} a"));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(ones.as_bytes()).expect("it reads");
    assert!(child.wait().expect("ends").success());
    assert_eq!(done(pfs(&format!("vec stats {at}"))).json()["records"], 1);
}

#[test]
fn arrow_files_bring_ids_texts_and_vectors() {
    let folder = folder();
    let given = capture("vectors/glosses.arrow");
    let at = folder.path().join("collection").display().to_string();
    run(&format!("vec create {at} --dim 384")).ok();
    let import = format!("vec import {at} {given}");
    assert_eq!(run(&import).ok(), "3,400 written\n");
    let found = run(&format!("vec get {at} g7")).json();
    let text = found["text"].as_str().expect("a text").to_owned();
    assert!(text.len() >= 20 && found["vector"].as_array().is_some_and(|v| v.len() == 384));
    let near = run(&format!("vec search {at} --like g7 -k 3")).json();
    assert_eq!(ids(&near).len(), 3, "{near}");
    // The text's vector under another role's name, and without ids.
    let other = format!("{import} --column id=none --column text=id --ids row");
    assert_eq!(run(&other).ok(), "3,400 written\n");
    let found = run(&format!("vec get {at} row7")).json();
    assert_eq!(found["text"], "g7");
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 6800);
    run(&format!("{import} --column vector=words"))
        .fails(1, &["column words", "none of that name"]);
    run(&format!("{import} --column vector=text"))
        .fails(1, &["column text: row 0", "0 were written"]);
    run(&format!("{import} --column weight=x")).fails(2, &["a role is vector, id"]);
    let whole = fs::read(&given).expect("reads");
    for (name, bytes) in [
        ("cut.arrow", whole[..whole.len() - 1].to_vec()),
        ("short.arrow", whole[..9].to_vec()),
        ("long.arrow", [&whole[..whole.len() - 10], &[0xff, 0xff, 0xff, 0x7f], b"ARROW1"].concat()),
        ("text.arrow", b"no such file at all".to_vec()),
    ] {
        let bad = file(folder.path(), name, bytes);
        let refused = run(&format!("vec import {at} {}", bad.display()));
        refused.fails(1, &["is no Arrow IPC file", "0 were written"]);
    }
}

#[test]
fn any_number_of_processes_read_a_collection() {
    let folder = folder();
    let at = create(folder.path(), "");
    let all = file(folder.path(), "all.npy", npy(50, &vectors(50)));
    run(&format!("vec import {at} {}", all.display())).ok();
    let held = pfs_vec::Collection::open_to_read(Path::new(&at)).expect("opens");
    assert_eq!(run(&format!("vec del {at} 3")).ok(), "1 deleted\n");
    assert!(held.len() == 50, "it sees what was there when it was opened");
    // Beside a writer all that only reads runs, and a second writer is refused.
    let options = pfs_vec::Options::default();
    let writer = pfs_vec::Collection::open(Path::new(&at), options).expect("opens");
    assert_eq!(ids(&run(&format!("vec search {at} --like 4 -k 1")).json()).len(), 1);
    assert_eq!(run(&format!("vec stats {at}")).json()["records"], 49);
    run(&format!("vec del {at} 4")).fails(1, &["is written by process"]);
    drop(writer);
    assert_eq!(run(&format!("vec del {at} 4")).ok(), "1 deleted\n");
}
