//! Senders that say what must not be: the receiver refuses, and nothing changes outside its folder.

mod transfer_common;

use std::fs;
use std::os::unix::fs::symlink;

use pfs_pvrt::transfer::control::{Security, connect};
use transfer_common::{look, receive};

/// The greeting of a plain transfer: kind, key, no cipher, windows of 60 KiB.
fn hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.extend_from_slice(&[0; 33]);
    hello.extend_from_slice(&[0x80, 0xe0, 0x03]);
    hello
}

/// An entry: bytes shared with the one before, path, kind and mode, time, and what follows.
fn entry(shared: u8, path: &[u8], kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut entry = vec![shared, path.len() as u8];
    entry.extend_from_slice(path);
    entry.extend_from_slice(&[kind]);
    entry.extend_from_slice(&[0; 8]);
    entry.extend_from_slice(rest);
    entry
}

fn entries(all: &[Vec<u8>]) -> Vec<u8> {
    [&[5][..], &all.concat()].concat()
}

const FILE: u8 = 0;
const FOLDER: u8 = 1;
const LINK: u8 = 2;

/// What the receiver says at last to one who says `messages`.
fn say(messages: &[Vec<u8>]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (outside, inside) = (folder.path().join("out"), folder.path().join("in"));
    fs::create_dir(&outside).expect("makes");
    fs::create_dir(&inside).expect("makes");
    fs::write(outside.join("secret"), "x").expect("writes");
    symlink(&outside, inside.join("way")).expect("links");
    let before = look(&outside);
    let receiving = receive(&inside, Security::Plain);
    let (mut out, mut incoming) = connect(receiving.to, &Security::Plain).expect("connects");
    out.send(&hello()).expect("sends");
    for message in messages {
        out.send(message).expect("sends");
    }
    out.flush().expect("sends");
    let said = loop {
        match incoming.receive() {
            Ok(Some(message)) if message.first() == Some(&1) => {
                break String::from_utf8_lossy(&message[1..]).into_owned();
            }
            Ok(_) => {}
            Err(error) => panic!("it closed without a word: {error}"),
        }
    };
    assert!(receiving.thread.join().expect("no panic").is_err());
    assert_eq!(look(&outside), before);
    let left: Vec<_> =
        look(&inside).into_keys().filter(|path| !path.starts_with(".pfs-recv")).collect();
    assert!(left.len() <= 2, "{left:?}");
    said
}

#[test]
fn manifests_that_lead_outside_are_refused() {
    let link_then = |rest: &[u8]| {
        let link = entry(0, b"l", LINK, b"\x04/etc");
        entries(&[link, entry(1, rest, FILE, &[1])])
    };
    for (message, why) in [
        (entries(&[entry(0, b"../x", FILE, &[1])]), "refused the path"),
        (entries(&[entry(0, b"/etc/x", FILE, &[1])]), "absolute"),
        (entries(&[entry(0, b"a", FOLDER, &[]), entry(1, b"/../x", FILE, &[1])]), ". or .."),
        (entries(&[entry(0, b".pfs-recv", FOLDER, &[])]), "refused the path"),
        (link_then(b"/passwd"), "no folder of the manifest"),
        (entries(&[entry(0, b"b", FILE, &[1]), entry(0, b"a", FILE, &[1])]), "out of order"),
        (entries(&[entry(0, b"a", FILE, &[1]), entry(1, b"", FILE, &[1])]), "there twice"),
        // A link that stands in the target.
        (
            entries(&[entry(0, b"way", FOLDER, &[]), entry(3, b"/new", FILE, &[1])]),
            "a link, the sender has a folder",
        ),
        (entries(&[entry(0, b"a", 3, &[])]), "unknown kind"),
        (entries(&[entry(9, b"a", FILE, &[1])]), "malformed"),
        (vec![5, 0, 200, 1], "malformed"),
    ] {
        let said = say(&[message]);
        assert!(said.contains(why), "{said:?} does not say {why:?}");
    }
}

#[test]
fn objects_that_cannot_be_are_refused() {
    // One file of 100 bytes.
    let manifest = [entries(&[entry(0, b"a", FILE, &[100])]), vec![6, 1]];
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    for object in [
        // Another size, another entry, number 0, no bytes, a bundle that is none, too many files.
        vec![8, 1, 101, 0, 0],
        vec![8, 1, 100, 0, 1],
        vec![8, 0, 100, 0, 0],
        vec![8, 1, 0, 0, 0],
        vec![8, 1, 100, 2, 0],
        [&[8, 1, 100, 2][..], &most].concat(),
        // Twice the same file; parts beyond the file; a sync that was never begun.
        vec![8, 1, 200, 1, 2, 2, 0, 0],
        vec![8, 1, 100, 1, 0, 1, 50, 100],
        vec![8, 1, 100, 3],
        [&[8, 1][..], &huge, &[0, 0]].concat(),
        // Words out of place.
        vec![18],
        vec![16, 1, 1],
        vec![4, 0, 0, 0],
        vec![99],
    ] {
        let said = say(&[&manifest[..], std::slice::from_ref(&object)].concat());
        assert!(said.contains("protocol") || said.contains("malformed"), "{object:?}: {said}");
    }
    let said = say(&[vec![6, 1]]);
    assert!(said.contains("other entries"), "{said}");
}
