//! Trees over loopback, both ends in this process.

mod transfer_common;

use std::fs;

use pfs_pvrt::transfer::frames::Faults;
use transfer_common::{Random, assert_same, make_tree, transfer};

#[test]
fn a_tree_arrives_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    make_tree(&from, 1, 60);
    let (sent, received) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    assert_eq!((sent.files, sent.bytes), (received.files, received.bytes));
    println!("{sent:?}");
}

#[test]
fn an_unchanged_tree_costs_nearly_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).expect("makes");
    let bytes: Vec<u8> = (0..1 << 17).flat_map(|at: u64| Random(at).next().to_le_bytes()).collect();
    for name in 0..20 {
        fs::write(from.join(format!("f{name}")), &bytes[name..]).expect("writes");
    }
    transfer(&from, &to, Faults::default());
    let (sent, _) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    println!("{sent:?}");
    assert!(sent.wire.total() * 2000 < sent.bytes, "{:?} of {}", sent.wire, sent.bytes);
    // A few bytes in the midst of one.
    let mut changed = bytes[3..].to_vec();
    changed.splice(500_000..500_010, *b"some other bytes");
    fs::write(from.join("f3"), &changed).expect("writes");
    let (sent, _) = transfer(&from, &to, Faults::default());
    assert_same(&from, &to);
    println!("{sent:?}");
    assert!(sent.wire.total() < 20_000, "{:?}", sent.wire);
}

#[test]
fn loss_repeats_and_reordering_do_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = folder.path().join("from");
    make_tree(&from, 2, 60);
    for seed in 0..3 {
        let faults = Faults::parse("loss=0.05,dup=0.03,reorder=0.1").expect("good");
        let to = folder.path().join(format!("to{seed}"));
        let (sent, _) = transfer(&from, &to, Faults { seed, ..faults });
        assert_same(&from, &to);
        assert!(sent.wire.repair > 0, "{:?}", sent.wire);
        println!("{sent:?}");
    }
}
