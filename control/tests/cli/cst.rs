//! `pfs cst`: a collection of trees filled from files, shown, searched, damaged and told of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::common::{file, folder, pfs, run, with_full_disk};

const RUST: &str = "// Adds.\nfn add(a: u8) -> u8 {\n    a + 1\n}\n\nstruct Pair(u8, u8);\n";
const C: &str = "int main(void) {\n  return add(2);\n}\n";
const JSON: &str = "{\"a\": [1, 2]}\n";

/// A folder of sources, and the collection made of it, as they are named on the command line.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(words: &str) -> Self {
        let case = Self { folder: folder() };
        fs::create_dir(case.path("src")).expect("makes a folder");
        for (name, text) in [("a.rs", RUST), ("b.c", C), ("c.json", JSON), ("d.txt", "text")] {
            file(&case.path("src"), name, text);
        }
        let told = run(&format!("cst add {} {} {words}", case.trees(), case.source(""))).ok();
        assert!(told.contains("3 trees") && told.contains("1 files in no language"), "{told}");
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trees(&self) -> String {
        self.path("trees").display().to_string()
    }

    fn source(&self, name: &str) -> String {
        self.path("src").join(name).display().to_string()
    }

    /// The files of the collection that hold trees.
    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("trees")).expect("lists").map(|it| it.expect("is"));
        let files = entries.filter(|it| it.file_type().expect("has").is_file());
        files
            .map(|it| it.path())
            .filter(|it| it.file_name().is_some_and(|it| it != "LOCK"))
            .collect()
    }
}

/// Each line of an output as JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn what_is_added_is_listed_shown_and_exported() {
    let case = Case::new("");
    let (trees, a) = (case.trees(), case.source("a.rs"));
    let listed = lines(&run(&format!("cst ls {trees} --json")).ok());
    let languages: Vec<_> = listed.iter().map(|it| it["language"].as_str()).collect();
    assert_eq!(languages, [Some("rust"), Some("c"), Some("json")]);
    assert_eq!(listed[0]["lines"], 6);
    assert!(run(&format!("cst ls {trees} --lang c")).ok().contains("b.c"));
    let stats = run(&format!("cst stats {trees}")).json();
    assert_eq!((&stats["trees"], &stats["languages"]["c"]["trees"]), (&3.into(), &1.into()));
    let line = run(&format!("cst show {trees} {a} --format line")).ok();
    assert!(line.starts_with("(source_file (line_comment) (function_item name: (identifier)"));
    let sexp = run(&format!("cst show {trees} {a}")).ok();
    assert!(
        sexp.contains("\n  (function_item [1, 0] - [3, 1]\n    name: (identifier [1, 3] - [1, 6])"),
        "{sexp}"
    );
    let nodes = lines(&run(&format!("cst show {trees} {a} --format json")).ok());
    assert_eq!(nodes.len() as u64, listed[0]["nodes"].as_u64().expect("nodes"));
    for place in ["2:4", "13"] {
        let chain = run(&format!("cst show {trees} {a} --at {place}")).ok();
        let rows: Vec<&str> = chain.lines().collect();
        assert!(rows[1].starts_with("identifier") && rows[1].contains("12..15"), "{chain}");
        assert!(rows[3].starts_with("source_file"), "{chain}");
    }
    run(&format!("cst show {trees} {a} --at 99:1")).fails(1, &["99:1", "not in the tree"]);
    run(&format!("cst show {trees} {a} --at x")).fails(2, &["ROW:COLUMN"]);
    run(&format!("cst show {trees} nothing")).fails(1, &["no tree nothing", "pfs cst ls"]);
    let exported = case.path("all.jsonl");
    let told = run(&format!("cst export {trees} --output {}", exported.display())).ok();
    assert!(told.starts_with("3 trees written"), "{told}");
    let exported = lines(&fs::read_to_string(exported).expect("reads"));
    assert_eq!(exported[2]["tree"][0], serde_json::json!([0, "document", null, 0, 14]));
    let sexps = lines(&run(&format!("cst export {trees} --format sexp")).ok());
    assert_eq!(sexps[0]["tree"].as_str(), Some(line.trim_end()));
}

#[test]
fn queries_find_nodes_with_their_text() {
    let case = Case::new("--keep copy");
    let trees = case.trees();
    let query = file(case.folder.path(), "q.scm", "; Names.\n(function_item name: (_) @name)\n");
    let found = run(&format!("cst query {trees} {} --lang rust", query.display())).ok();
    assert_eq!(found, format!("{}:2:4\tname\tadd\n", case.source("a.rs")));
    let found = run(&format!("cst query {trees} --published tags --json")).ok();
    let found = lines(&found);
    let captures = found.iter().flat_map(|it| it["captures"].as_array().expect("captures"));
    let texts: Vec<_> = captures.map(|it| it["text"].as_str()).collect();
    assert!(texts.contains(&Some("add")) && texts.contains(&Some("main")), "{texts:?}");
    // What one language does not have leaves its trees out.
    let mixed = run(&format!("cst query {trees} -e (identifier)@i --count"));
    assert!(mixed.err.contains("json are left out") && mixed.code == 0, "{mixed:?}");
    assert_eq!(mixed.out, "5\n");
    let only =
        run(&format!("cst query {trees} -e (identifier)@i -c --only {}", case.source("b.c")));
    assert_eq!(only.ok(), "2\n");
    let wrong = run(&format!("cst query {trees} -e (function_item(nothing)) --lang rust"));
    wrong.fails(2, &["line 1, column 16", "rust has no node nothing"]);
    // The copy is what is read, not the file.
    fs::write(case.source("a.rs"), "changed").expect("writes");
    let found = run(&format!("cst query {trees} {} --lang rust", query.display())).ok();
    assert!(found.ends_with("\tadd\n"), "{found}");
}

#[test]
fn supertypes_are_found_in_trees_that_were_added_with_them() {
    let case = Case::new("--supertypes");
    let trees = case.trees();
    let query = format!("cst query {trees} -e (_expression/identifier)@i --lang rust --count");
    let with = run(&query).ok();
    assert!(with.trim().parse::<u64>().is_ok_and(|count| count > 0), "{with}");
    let verified = run(&format!("cst verify {trees} --source")).json();
    assert_eq!(verified["compared_with_a_live_parse"], 3);
    run(&format!("cst freeze {trees} --guessed --block-nodes 256")).ok();
    assert_eq!(run(&query).ok(), with);
    run(&format!("cst add {trees} {}", case.source("a.rs"))).ok();
    run(&query).fails(1, &["a.rs", "asks for supertypes", "--supertypes"]);
}

#[test]
fn a_source_that_changed_is_told_and_added_again() {
    let case = Case::new("");
    let (trees, a) = (case.trees(), case.source("a.rs"));
    fs::write(&a, "fn other() {}").expect("writes");
    let query = format!("cst query {trees} -e (function_item(identifier)@n) --lang rust");
    run(&query).fails(1, &["a.rs is not what", "add it again", "1 trees were not searched"]);
    run(&format!("cst verify {trees}")).fails(1, &["1 trees are not as they should be"]);
    run(&format!("cst add {trees} {a}")).ok();
    assert!(run(&query).ok().ends_with("\tother\n"));
    let verified = run(&format!("cst verify {trees} --source")).json();
    assert_eq!(verified["compared_with_a_live_parse"], 3);
    assert_eq!(run(&format!("cst stats {trees}")).json()["trees"], 3);
}

#[test]
fn trees_are_frozen_anew_as_asked() {
    let case = Case::new("--keep copy");
    let trees = case.trees();
    let before = run(&format!("cst export {trees}")).ok();
    for words in ["--guessed --block-nodes 256", "--level 1", ""] {
        run(&format!("cst freeze {trees} {words}")).ok();
        assert_eq!(run(&format!("cst export {trees}")).ok(), before, "{words}");
        let verified = run(&format!("cst verify {trees} --source")).json();
        assert_eq!(verified["compared_with_a_live_parse"], 3, "{words}");
    }
}

#[test]
fn what_cannot_be_added_is_told() {
    let case = Case::new("");
    let trees = case.trees();
    run(&format!("cst add {trees} {}", case.source("d.txt"))).fails(1, &["d.txt", "--lang"]);
    run(&format!("cst add {trees} {} --lang latin", case.source("d.txt")))
        .fails(2, &["latin", "rust"]);
    run(&format!("cst add {trees} {} --max-bytes 9", case.source("a.rs")))
        .fails(1, &["--max-bytes"]);
    run(&format!("cst add {trees} /nothing/there.rs")).fails(1, &["/nothing/there.rs"]);
    let deep = file(case.folder.path(), "deep.json", "[".repeat(1_000_000));
    run(&format!("cst add {trees} {} --parse-s 0.001", deep.display()))
        .fails(1, &["stopped at byte"]);
    run(&format!("cst add {trees} {}", deep.display())).ok();
    let count = format!("cst query {trees} -e (ERROR)@e -c --only {}", deep.display());
    assert_ne!(run(&count).ok(), "0\n");
    run(&format!("cst ls {}", case.source(""))).fails(1, &["src"]);
    run("cst ls /nothing").fails(1, &["/nothing holds no trees", "pfs cst add"]);
}

#[test]
fn one_writes_at_a_time() {
    let case = Case::new("");
    let lock = fs::File::open(case.path("trees").join("LOCK")).expect("opens");
    lock.lock().expect("locks");
    let add = format!("cst add {} {}", case.trees(), case.source("a.rs"));
    run(&add).fails(1, &["being written to by another"]);
    assert!(run(&format!("cst ls {}", case.trees())).ok().contains("a.rs"));
    drop(lock);
    run(&add).ok();
}

#[test]
fn damage_is_found() {
    let case = Case::new("--keep none");
    assert_eq!(run(&format!("cst verify {}", case.trees())).json()["clean"], true);
    for segment in case.segments() {
        let mut bytes = fs::read(&segment).expect("reads");
        bytes[60] ^= 1;
        fs::write(&segment, bytes).expect("writes");
    }
    let verified = run(&format!("cst verify {}", case.trees()));
    assert!(verified.out.contains("checksum"), "{verified:?}");
    verified.fails(1, &["not as they should be"]);
}

/// Many files, so that adding them takes a while.
fn many(folder: &Path) -> String {
    let from = folder.join("many");
    fs::create_dir(&from).expect("makes a folder");
    for number in 0..60 {
        file(&from, &format!("{number}.rs"), RUST.replace("add", &format!("f{number}")).repeat(60));
    }
    from.display().to_string()
}

#[test]
fn a_killed_add_leaves_old_trees_or_new_ones() {
    let case = Case::new("--keep copy");
    let (trees, many) = (case.trees(), many(case.folder.path()));
    for round in 0..6 {
        let mut add = pfs(&format!("cst add {trees} {many} --keep copy"));
        let mut child = add.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        thread::sleep(Duration::from_millis(round * 60));
        child.kill().expect("is there");
        child.wait().expect("ends");
        let verified = run(&format!("cst verify {trees} --source")).json();
        let there = verified["trees"].as_u64().expect("trees");
        assert!((3..=63).contains(&there), "{verified}");
    }
    run(&format!("cst add {trees} {many} --keep copy")).ok();
    assert_eq!(run(&format!("cst verify {trees} --source")).json()["trees"], 63);
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    with_full_disk(|disk| {
        let case = Case::new("");
        let trees = disk.join("trees");
        let add = format!("cst add {} {}", trees.display(), case.source(""));
        run(&add).fails(1, &["No space left on device", "make room"]);
    });
}

#[test]
fn every_form_is_measured() {
    let case = Case::new("");
    let told = run(&format!("cst bench {} --json", case.source(""))).ok();
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((told["files"].as_u64(), told["skipped"].as_u64()), (Some(3), Some(1)));
    let forms = told["forms"].as_array().expect("rows");
    let names: Vec<_> = forms.iter().map(|form| form["form"].as_str().expect("a name")).collect();
    let all = [
        "live", "hot", "columns", "chunks", "bytecode", "archive", "frozen", "sources", "segments",
    ];
    assert_eq!(names, all);
    for form in forms {
        let bytes = ["memory_bytes", "disk_bytes"].map(|key| form[key].as_u64().expect("a number"));
        assert!(bytes.iter().sum::<u64>() > 0, "{form}");
    }
    let some = run(&format!("cst bench {} --phases bytecode --files 2", case.source(""))).ok();
    assert!(some.contains("bytecode") && !some.contains("frozen"), "{some}");
    run("cst bench").fails(2, &["PATHS"]);
}
