//! The page's words; what its script draws is looked at in a browser by `bench/tests/browser.rs`.

use std::fs;

use super::*;
use crate::report::{Axis, Point, Series, Shape, Table, Target};

fn report() -> Report {
    let point = Point { note: "<b>".to_owned(), ..Point::exact(1.0, 2.5) };
    let plot = Plot {
        id: "p".to_owned(),
        title: "A & B".to_owned(),
        x: Axis::linear("cores", ""),
        y: Axis::logarithmic("rate", "GB/s"),
        shape: Shape::Lines,
        series: vec![Series { name: "</script>".to_owned(), points: vec![point] }],
        ..Plot::default()
    };
    let mut table = Table::new("Rates of `crc32c`:", &["op", "GB/s"]);
    table.row(vec!["crc32c".into(), "25.0".into()]);
    let target = Target::at_least("crc32c", "≥ 20".into(), "25".into(), 25.0, 20.0);
    Report { plots: vec![plot], tables: vec![table], targets: vec![target], ..Report::new("op") }
}

#[test]
fn no_text_of_a_report_becomes_markup() {
    let page = page(&[report()]);
    assert!(page.contains("A &amp; B") && page.contains("&lt;/script&gt;"));
    // One block of data and one of script, whatever a name holds.
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains(r"\u003c/script>") && page.contains(r"\u003cb>"));
    assert!(page.contains("Rates of <code>crc32c</code>:"));
}

#[test]
fn a_page_needs_nothing_beside_it() {
    let page = page(&[report()]);
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside}");
    }
}

#[test]
fn every_point_is_in_a_table_too() {
    let report = report();
    let page = page(std::slice::from_ref(&report));
    assert_eq!(marks(&report.plots[0]), 1);
    assert!(page.contains("<td class=\"number\">2.5</td>"));
    assert!(page.contains("<td>&lt;b&gt;</td>"));
}

#[test]
fn verdicts_are_said() {
    assert!(page(&[report()]).contains("1 of 1 targets reached"));
    let wrong = Report { right: false, ..report() };
    assert!(page(&[wrong]).contains("an answer was wrong"));
    let cut = Report { interrupted: true, ..report() };
    assert!(page(&[cut]).contains("Interrupted: what is here was measured"));
}

#[test]
fn files_and_folders_are_read_and_what_is_no_report_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    report().write(&path("b.json")).expect("writes");
    Report::new("a").write(&path("a.json")).expect("writes");
    fs::write(path("costs.json"), "{}").expect("writes");
    let (reports, skipped) = read(&[folder.path().to_owned()]).expect("reads");
    let groups: Vec<&str> = reports.iter().map(|report| report.group.as_str()).collect();
    assert_eq!(groups, ["a", "op"]);
    assert!(skipped.len() == 1 && skipped[0].contains("costs.json"), "{skipped:?}");
    let error = read(&[path("costs.json")]).expect_err("no report");
    assert!(error.contains("is no report of pfs bench"), "{error}");
    let error = read(&[path("missing.json")]).expect_err("not there");
    assert!(error.contains("missing.json"), "{error}");
    let empty = tempfile::tempdir().expect("a folder");
    let error = read(&[empty.path().to_owned()]).expect_err("nothing there");
    assert!(error.contains("no report in"), "{error}");
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/report.html");
    let reports = [report()];
    write(&reports, &path).expect("writes");
    assert_eq!(fs::read_to_string(&path).expect("reads"), page(&reports));
    let error = write(&reports, &folder.path().join("deep")).expect_err("a folder");
    assert!(error.contains("deep"), "{error}");
    let left = fs::read_dir(folder.path()).expect("reads").count();
    assert_eq!(left, 1, "nothing half-written is left");
}
