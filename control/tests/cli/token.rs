//! `pfs tokenize`, `detokenize`, `vocab`, and runs that keep token ids.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pfs_dataplane::ops::ids::Columns;
use serde_json::Value;

use crate::common::{books, done, folder, pfs, run};

/// A text in many languages.
pub(crate) fn text() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/text/mixed.txt")
}

/// Runs `words` with `input` on standard input; what it wrote to standard output.
fn filter(words: &str, input: &[u8]) -> Vec<u8> {
    let mut command = pfs(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A command that fails early closes it.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("ends")
    });
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn text_comes_back_in_every_format_and_with_any_number_of_threads() {
    // More than a block, so that there is something to share out.
    let once = fs::read(text()).expect("reads");
    let whole: Vec<u8> = once.iter().copied().cycle().take(once.len() * 60).collect();
    let ids = filter("tokenize --vocab r50k_base --threads 1 --format u32", &whole);
    assert_eq!(filter("tokenize --vocab r50k_base --threads 4 --format u32 -", &whole), ids);
    let count = filter("tokenize --vocab r50k_base --count", &whole);
    assert_eq!(String::from_utf8_lossy(&count).trim(), (ids.len() / 4).to_string());
    assert_eq!(filter("detokenize --vocab r50k_base --format u32", &ids), whole);
    for format in ["ids", "json"] {
        let ids = filter(&format!("tokenize --vocab r50k_base --format {format}"), &once);
        let back = filter(&format!("detokenize --vocab r50k_base --format {format}"), &ids);
        assert_eq!(back, once, "{format}");
    }
    assert_eq!(filter("tokenize --format json", b""), b"[]\n");
    assert_eq!(filter("tokenize", b"hello world"), b"24912\n2375\n");
}

#[test]
fn files_are_written_whole_and_special_tokens_by_policy() {
    let folder = folder();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    fs::write(&input, "a<|endoftext|>b").expect("writes");
    let words = |policy: &str| {
        format!("tokenize --special {policy} -o {} {}", output.display(), input.display())
    };
    run(&words("allow")).ok();
    let ids = fs::read_to_string(&output).expect("reads");
    assert!(ids.lines().any(|line| line == "199999"), "{ids}");
    run(&words("text")).ok();
    assert!(!fs::read_to_string(&output).expect("reads").contains("199999"));
    fs::write(&output, "older").expect("writes");
    run(&words("deny")).fails(1, &["<|endoftext|>", "--special allow"]);
    assert_eq!(fs::read_to_string(&output).expect("reads"), "older");
}

#[test]
fn what_cannot_be_is_named() {
    let missing = ["o2k_base", "o200k_base", "cl100k_base", "r50k_base"];
    run("tokenize --vocab o2k_base").fails(1, &missing);
    run("vocab info o2k_base").fails(1, &missing);
    run("tokenize /nonexistent/x").fails(1, &["/nonexistent/x"]);
    run("tokenize --format xml").fails(2, &["ids, json, u32"]);
    run("vocab build /nonexistent/x -o y").fails(1, &["/nonexistent/x"]);
    let folder = folder();
    let path = folder.path().join("ids");
    fs::write(&path, "1 2 4000000000").expect("writes");
    run(&format!("detokenize {}", path.display())).fails(1, &["4000000000", "position 2"]);
    run(&format!("vocab info {}", path.display())).fails(1, &[]);
}

#[test]
fn vocabularies_are_listed_compiled_converted_and_built() {
    let list = run("vocab list").ok();
    assert!(list.contains("cl100k_base") && list.contains("100,256"), "{list}");
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let hash = |name: &str| run(&format!("vocab info --json {name}")).json()["hash"].clone();
    for (words, file) in [("compile", "a.v3"), ("convert --to tiktoken", "r50k_base.tiktoken")] {
        run(&format!("vocab {words} r50k_base -o {}", path(file))).ok();
        let ids = filter(&format!("tokenize --vocab {}", path(file)), b"one and the same");
        assert_eq!(ids, filter("tokenize --vocab r50k_base", b"one and the same"), "{file}");
    }
    assert_eq!(hash(&path("a.v3")), hash("r50k_base"));
    let built = path("mine.v3");
    run(&format!("vocab build --size 600 {} -o {built}", text().display())).ok();
    let info = run(&format!("vocab info --json {built}")).json();
    assert_eq!((&info["tokens"], &info["name"]), (&600.into(), &"mine".into()), "{info}");
    let whole = fs::read(text()).expect("reads");
    let ids = filter(&format!("tokenize --vocab {built} --format u32"), &whole);
    assert_eq!(filter(&format!("detokenize --vocab {built} --format u32"), &ids), whole);
}

#[test]
fn a_run_keeps_ids_where_it_is_told() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    run(&format!("tx {} --payload 1000 --to pcap:{}", text().display(), path("t.pcap"))).ok();
    let source = format!("--from pcap:{} --prog token:r50k_base,mode=flow", path("t.pcap"));
    let whole = fs::read(text()).expect("reads");
    let expected = filter("tokenize --vocab r50k_base --format u32", &whole);

    let plan = path("plan.json");
    run(&format!("run {source} --ids u32:{} --plan-out {plan}", path("ids"))).ok();
    assert_eq!(fs::read(path("ids")).expect("reads"), expected);
    let columns = Columns::open(Path::new(&path("ids"))).expect("sound");
    assert_eq!(columns.ids().len() * 4, expected.len());
    fs::remove_file(path("ids")).expect("is there");
    let report = run(&format!("run --json --plan {plan}")).json();
    assert_eq!(fs::read(path("ids")).expect("reads"), expected, "the plan's run again");
    assert!(books(&report) > 0);
    let counters = &report["results"][0]["engines"][0]["counters"];
    assert_eq!((&counters["streams"], &counters["texts"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(counters["tokens"], expected.len() / 4);

    let told = run(&format!("run {source} --ids json:-"));
    assert!(told.err.contains("books: offered"), "{told:?}");
    let ids: Vec<u64> = told
        .ok()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .flat_map(|line| line["ids"].as_array().expect("ids").clone())
        .map(|id| id.as_u64().expect("an id"))
        .collect();
    let back = expected.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
    assert!(ids.into_iter().eq(back));
}

#[test]
fn plans_with_ids_are_checked() {
    let make = "plan make --from memory:64,packets=9";
    run(&format!("{make} --prog crc32c --ids json:-")).fails(2, &["no program finds ids"]);
    run(&format!("{make} --prog token:r50k_base --ids xml:y"))
        .fails(2, &["u32, arrow, json, ring"]);
    run(&format!("{make} --prog token:r50k_base,mode=x"))
        .fails(2, &["column 17", "mode=packet, mode=flow"]);
    let folder = folder();
    let plan = folder.path().join("plan.json");
    let write = |program: &str, ids: &str| {
        let text = format!(
            r#"{{"schema_version": 1, "lanes": {{"mode": "run_to_completion"}},
            "sources": [{{"name": "m", "from": {{"memory": {{"content": {{"generated": {{}}}}, "packets": 9}}}}}}],
            "rules": [{{"name": "all", "program": "{program}", "ids": "x"}}],
            "sinks": {{"ids": [{ids}]}}}}"#
        );
        fs::write(&plan, text).expect("writes");
        done(pfs(&format!("plan check {}", plan.display())))
    };
    let sink = r#"{"name": "x", "to": {"json": {}}}"#;
    write("token:r50k_base", sink).ok();
    let told = write("token:nobase", sink);
    assert!(
        told.out.contains("`nobase` is no vocabulary") && told.out.contains("o200k_base"),
        "{told:?}"
    );
    assert_eq!(told.code, 1);
    assert!(write("token:r50k_base", "").out.contains("no id sink is called x"));
    let two = format!("{sink},{sink}");
    assert!(write("token:r50k_base", &two).out.contains("two id sinks are called x"));
    let ring = r#"{"name": "x", "to": {"ring": {"socket": "/tmp/x", "words": 1000}}}"#;
    assert!(write("token:r50k_base", ring).out.contains("1000 words are no power of two"));
    assert!(write("crc32c", sink).out.contains("has no token op"));
}
