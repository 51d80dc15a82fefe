//! Pinned workers over lanes: small runs of every kind, with right answers.

use std::time::Duration;

use pfs_bench::pcores::{Mode, PcoresError, Settings, run};
use pfs_bench::report::Report;
use pfs_bench::team::Kind;
use pfs_dataplane::pin::allowed_cores;
use pfs_rings::{PageSize, PageWish};

fn settings() -> Settings {
    Settings {
        workers: vec![1],
        cores: Vec::new(),
        producers: 0,
        kind: Kind::Threads,
        programs: vec!["crc32c,fnv64,counteq:0".into(), "xor:255,add:7,counteq:0,crc32c".into()],
        modes: vec![Mode::Contiguous, Mode::Scattered],
        span_lens: vec![256],
        align: 64,
        dpf: 1,
        ring_slots: vec![64],
        bursts: vec![64],
        ranges: vec![64 << 10],
        places: Vec::new(),
        pages: PageWish::AtMost(PageSize::Base4K),
        rounds: 1,
        trial: Duration::from_millis(5),
        retries: 0,
    }
}

fn right(settings: &Settings) -> Report {
    let report = run(settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"));
    assert!(report.right, "{settings:?}: {}", report.markdown());
    for row in report.raw.as_array().expect("rows") {
        let samples = row["gb_per_s"]["samples"].as_array().expect("samples");
        assert!(samples.len() == settings.rounds && row["gb_per_s"]["median"].as_f64() > Some(0.0));
    }
    report
}

#[test]
fn threads_and_processes_answer_right() {
    for kind in [Kind::Threads, Kind::Processes] {
        let report = right(&Settings { kind, ..settings() });
        // Two programs over two kinds of spans, each by four contenders, scattered ones by two bounds of
        // their own, and five bounds.
        assert_eq!(report.raw.as_array().map(Vec::len), Some(2 * 2 * 4 + 2 * 2 + 5));
        assert!(report.grants.threads.iter().all(|thread| thread.verified));
        assert!(report.grants.memory.iter().any(|grant| grant.what.starts_with("a lane")));
        assert_eq!(report.plans.len(), 1);
        assert!(report.plots.iter().any(|plot| plot.id == "pcores-scaling"));
    }
}

#[test]
fn rings_smaller_than_a_list_and_lists_smaller_than_a_burst() {
    // A list of 16 spans through bursts of 64: no span is ever on loan twice.
    right(&Settings { ranges: vec![4096], ring_slots: vec![64, 4096], ..settings() });
    right(&Settings { bursts: vec![8, 32], dpf: 8, ..settings() });
}

#[test]
fn producers_on_cores_of_their_own() {
    if allowed_cores().expect("a mask").len() < 2 {
        println!("skipped: a producer and a worker need two cores");
        return;
    }
    for kind in [Kind::Threads, Kind::Processes] {
        right(&Settings { producers: 1, kind, ..settings() });
    }
}

#[test]
fn two_workers_have_parts_of_their_own() {
    if allowed_cores().expect("a mask").len() < 2 {
        println!("skipped: two workers need two cores");
        return;
    }
    let report = right(&Settings { workers: vec![1, 2], ..settings() });
    assert!(report.tables[0].rows.iter().any(|row| row[0] == "2" && row[9] != "–"));
    let places = vec![(0, 8192), (16384, 8192)];
    right(&Settings { workers: vec![2], places, ..settings() });
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() {
    let asked = |settings: &Settings| match run(settings) {
        Err(PcoresError::Asked(why)) => why,
        other => panic!("{other:?}"),
    };
    let many = allowed_cores().expect("a mask").len() + 1;
    assert!(asked(&Settings { workers: vec![many], ..settings() }).contains("ask for fewer"));
    assert!(asked(&Settings { ranges: vec![0], ..settings() }).contains("--range 0"));
    let failed = |settings: &Settings| run(settings).expect_err("no list").to_string();
    let small = Settings { dpf: 64, ranges: vec![64], ..settings() };
    assert!(failed(&Settings { align: 4096, ..small }).contains("no room for a message"));
    let token = Settings { programs: vec!["token:cl100k_base".into()], ..settings() };
    assert!(failed(&token).contains("has an engine"));
}
