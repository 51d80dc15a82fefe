//! What is refused: who it is from, what it is, where it is to go.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use super::{Places, Receiver, key, make_tree, noise};
use crate::common::{file, folder, names, run};

#[test]
fn a_wrong_key_is_told_at_both_ends() {
    let places = Places::new();
    file(&places.from, "f", "content");
    let receiver = places.receiver("--once");
    let other = key(places.key.parent().expect("a folder"), "other", &[b'x'; 32]);
    let words =
        format!("send {}/ {} --key {}", places.from.display(), receiver.at, other.display());
    run(&words).fails(1, &["different keys", "--key"]);
    receiver.end().fails(1, &["different keys"]);
    assert!(!places.to.join("f").exists());

    let receiver = places.receiver("--once");
    let plain = format!("send {}/ {} --insecure-plain", places.from.display(), receiver.at);
    run(&plain).fails(1, &["the receiver wants a shared key", "--key"]);
    receiver.end().fails(1, &["a sender wants no encryption"]);
}

#[test]
fn keys_that_can_be_guessed_or_read_are_not_used() {
    let places = Places::new();
    let folder = places.key.parent().expect("a folder");
    let short = key(folder, "short", b"pass");
    let open = file(folder, "open", [b'x'; 32]);
    for (path, word) in [(short, "can be guessed"), (open, "chmod 600"), (folder.join("no"), "no")]
    {
        let path = path.display();
        run(&format!("send {} 127.0.0.1:1 --key {path}", places.from.display())).fails(1, &[word]);
        run(&format!("recv {} --key {path}", places.to.display())).fails(1, &[word]);
    }
    assert!(!places.to.exists());
}

#[test]
fn no_receiver_is_told() {
    let places = Places::new();
    // Its port is nobody's once it is dropped.
    let free = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound");
    run(&places.words(&free.to_string(), ""))
        .fails(1, &[&free.to_string(), "refused", "is pfs recv running there?"]);
    run(&places.words("127.0.0.1:port", "")).fails(2, &["127.0.0.1:port"]);
    run(&places.words("127.0.0.1:1", "--rate 5X")).fails(2, &["no unit"]);
    run(&places.words("127.0.0.1:1", "--compress 77")).fails(2, &["1 to 19"]);
    run(&places.words("127.0.0.1:1", "--via wifi:x")).fails(2, &["neither af_xdp nor af_packet"]);
    let to = places.to.display();
    run(&format!("recv {to} --insecure-plain --from udp:0.0.0.0:1")).fails(2, &["without --from"]);
    // Who listens, and is no pfs recv.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("binds");
    let at = deaf.local_addr().expect("bound").to_string();
    let hang_up = std::thread::spawn(move || drop(deaf.accept()));
    run(&places.words(&at, "")).fails(1, &["greeting"]);
    hang_up.join().expect("no panic");
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("bound");
    let _taken = TcpListener::bind(taken).expect("binds");
    run(&format!("recv {to} --insecure-plain --listen {taken}")).fails(1, &["in use"]);
}

#[test]
fn hosts_know_each_other_by_their_keys() {
    let places = Places::new();
    file(&places.from, "f", "content");
    let keys = folder();
    let of = |host: &str| keys.path().join(host).display().to_string();
    let (from, to) = (places.from.display(), places.to.display());
    run(&format!("recv {to} --keys {}", of("b"))).fails(2, &["no sender is let in", "--allow"]);
    // Its key is made before anything is sent.
    let told = run(&format!("send {from}/ 127.0.0.1:1 --keys {}", of("a")));
    let own = told.err.split("this host's key is ").nth(1).expect("a key");
    let own = own.split_whitespace().next().expect("a key").to_owned();
    told.fails(1, &["is pfs recv running"]);
    let start =
        |host: &str, more: &str| Receiver::start(&format!("{to} --keys {} {more}", of(host)));

    let receiver = start("b", &format!("--allow {own} --once"));
    let send = |at: &str, more: &str| run(&format!("send {from}/ {at} --keys {} {more}", of("a")));
    send(&receiver.at, "").fails(1, &["which is not known here", "--accept-new"]);
    drop(receiver);
    assert!(!places.to.join("f").exists());

    let receiver = start("b", &format!("--allow {own}"));
    let at = receiver.at.clone();
    send(&at, "--accept-new").ok();
    send(&at, "").ok();
    places.hold();
    drop(receiver);
    // Somebody else where it was.
    let other = start("c", &format!("--allow {own} --listen {at} --once"));
    send(&at, "--accept-new").fails(1, &["another key than before", "known_hosts"]);
    drop(other);
    // And a sender that is not let in.
    let other = start("b", &format!("--allow {} --listen {at} --once", "A".repeat(43) + "="));
    send(&at, "").fails(1, &["the other end: the sender's key", &own]);
    other.end().fails(1, &[&own, "is not known here", "authorized_keys"]);
}

#[test]
fn paths_that_cannot_be_sent_or_placed_are_named() {
    let places = Places::new();
    make_tree(&places.from);
    let (from, key) = (places.from.display(), places.key.display());
    for (sources, words) in [
        (format!("{from}/nothing"), vec!["from/nothing", "No such file"]),
        (format!("{from}/large {from}/large"), vec!["the same name"]),
        (format!("{from}/ {from}/large"), vec!["is sent alone"]),
    ] {
        let receiver = places.receiver("--once");
        run(&format!("send {sources} {} --key {key}", receiver.at)).fails(1, &words);
    }
    // A folder where a file is to be, and a link that leads out of the target.
    fs::create_dir_all(places.to.join("large")).expect("makes");
    let receiver = places.receiver("--once");
    let way = "large in the target is a folder, the sender has a file";
    run(&places.words(&receiver.at, "")).fails(1, &[way]);
    receiver.end().fails(1, &[way]);
    fs::remove_dir_all(&places.to).expect("removes");
    fs::create_dir(&places.to).expect("makes");
    let outside = folder();
    symlink(outside.path(), places.to.join("deep")).expect("links");
    let receiver = places.receiver("--once");
    run(&places.words(&receiver.at, "")).fails(1, &["deep in the target is a link"]);
    receiver.end().fails(1, &["deep in the target is a link"]);
    assert!(names(outside.path()).is_empty());
    fs::remove_file(places.to.join("deep")).expect("removes");
    // Pipes are named and left out.
    let pipe = places.from.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes");
    let receiver = places.receiver("--once");
    let told = run(&places.words(&receiver.at, ""));
    assert!(told.err.contains("pipe is no file, folder or link"), "{told:?}");
    told.ok();
    receiver.end().ok();
    fs::remove_file(pipe).expect("removes");
    places.hold();
    file(&places.to, "file", noise(1, 10));
    run(&format!("recv {}/file --key {key}", places.to.display())).fails(1, &["file"]);
}
