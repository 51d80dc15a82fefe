//! What was sent is there, and what is there is not sent again.

use std::fs;

use super::{Places, Receiver, make_tree, noise};
use crate::common::{file, run};

#[test]
fn a_tree_arrives_and_the_second_time_costs_nearly_nothing() {
    let places = Places::new();
    make_tree(&places.from);
    let receiver = places.receiver("--once");
    let sent = run(&places.words(&receiver.at, "")).ok();
    assert!(sent.starts_with("sent 6 files, 5 folders and links, 3.48 MB in "), "{sent}");
    assert!(sent.contains("on the wire 3,") && sent.contains("repair "), "{sent}");
    let received = receiver.end().ok();
    assert!(received.starts_with("received 6 files, 5 folders and links, 3.48 MB from 127.0.0.1:"));
    places.hold();

    let again = places.send("");
    places.hold();
    assert_eq!((&again["files"], &again["bytes"]), (&6.into(), &3_475_001.into()));
    assert!(again["wire_bytes"]["total"].as_u64().expect("a number") < 2_000, "{again}");
}

#[test]
fn what_changed_goes_alone() {
    let places = Places::new();
    let mut bytes = noise(1, 2_000_000);
    file(&places.from, "large", &bytes);
    let whole = places.send("--faults loss=0.03,dup=0.02,reorder=0.02,seed=5");
    assert_eq!(whole["synced"], 0);
    assert!(whole["wire_bytes"]["repair"].as_u64().expect("a number") > 0, "{whole}");
    places.hold();
    bytes.splice(1_000_000..1_000_100, noise(2, 150));
    file(&places.from, "large", &bytes);
    let changed = places.send("");
    places.hold();
    assert_eq!(changed["synced"], 1);
    assert!(changed["wire_bytes"]["total"].as_u64().expect("a number") < 20_000, "{changed}");
    let whole = places.send("--whole --compress off");
    assert_eq!((&whole["synced"], &whole["bytes"]), (&0.into(), &2_000_050.into()));
    assert!(whole["wire_bytes"]["raw"].as_u64().expect("a number") > 2_000_050, "{whole}");
    places.hold();
}

#[test]
fn a_receiver_takes_one_sender_after_the_other() {
    let places = Places::new();
    let receiver = places.receiver("");
    for round in 0..3 {
        file(&places.from, &format!("f{round}"), noise(round, 10_000));
        run(&places.words(&receiver.at, "")).ok();
    }
    places.hold();
    // Nobody is sure of anybody.
    let to = places.to.display();
    let plain = Receiver::start(&format!("{to} --insecure-plain --once"));
    fs::remove_file(places.to.join("f1")).expect("removes");
    let words = format!("send {}/ {} --insecure-plain", places.from.display(), plain.at);
    run(&words).ok();
    plain.end().ok();
    places.hold();
}
