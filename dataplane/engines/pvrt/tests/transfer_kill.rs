//! Either end is killed at random points; no half file is ever seen under its name, and in the end
//! all is there.
//!
//! `PFS_TRANSFER_KILLS` says how often (6 when it does not). The program runs itself as both ends.

mod transfer_common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pfs_pvrt::transfer::frames::Faults;
use pfs_pvrt::transfer::{Gauge, RecvOptions, SendOptions, Server, send};
use transfer_common::{Random, assert_same, faulty, look, make_tree, shared};

/// Set in a child: what it is, and its folder.
const ROLE: &str = "PFS_TRANSFER_ROLE";
const FOLDER: &str = "PFS_TRANSFER_FOLDER";
const TO: &str = "PFS_TRANSFER_TO";

fn child(role: &str, folder: &Path, to: &str) -> Child {
    let program = std::env::current_exe().expect("has a path");
    let mut command = Command::new(program);
    command.env(ROLE, role).env(FOLDER, folder).env(TO, to);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts")
}

fn be_receiver(folder: &Path) -> bool {
    let at = "127.0.0.1:0".parse().expect("an address");
    let options = RecvOptions { fsync: false, ..RecvOptions::new(shared()) };
    let server = Server::bind(at, folder, options).expect("binds");
    println!("{}", server.local().expect("bound"));
    server.receive(&Arc::new(Gauge::default())).is_ok()
}

fn be_sender(folder: &Path, to: SocketAddr, rate: u64) -> bool {
    let faults = Faults::parse("loss=0.02,reorder=0.02,seed=5").expect("good");
    let options =
        SendOptions { rate: Some(rate), sink: Some(faulty(faults)), ..SendOptions::new(shared()) };
    send(&[folder.join("")], to, options, &Arc::new(Gauge::default())).is_ok()
}

/// Starts both ends.
fn both(from: &Path, to: &Path, rate: u64) -> (Child, Child) {
    let mut receiver = child("recv", to, "");
    let out = receiver.stdout.take().expect("piped");
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("says where");
    let sender = child(&format!("send {rate}"), from, line.trim());
    (sender, receiver)
}

/// What has its name must be right.
fn check(from: &Path, to: &Path) -> usize {
    let (from, mut names) = (look(from), 0);
    for (path, thing) in look(to) {
        if path.starts_with(".pfs-recv") {
            continue;
        }
        if let transfer_common::Thing::File { .. } = thing {
            assert_eq!(from.get(&path), Some(&thing), "{}", path.display());
            names += 1;
        }
    }
    names
}

fn kill_and_go_on(kills: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    make_tree(&from, 3, 30);
    for (number, size) in [(0, 5 << 20), (1, 9 << 20), (2, 14 << 20)] {
        std::fs::write(from.join(format!("large{number}")), Random(number).bytes(size))
            .expect("writes");
    }
    std::fs::create_dir(&to).expect("makes");
    let mut random = Random(kills);
    for kill in 0..kills {
        let (mut sender, mut receiver) = both(&from, &to, 15_000_000);
        thread::sleep(Duration::from_millis(50 + random.below(1500)));
        let (killed, other) =
            if kill % 2 == 0 { (&mut sender, &mut receiver) } else { (&mut receiver, &mut sender) };
        killed.kill().expect("kills");
        killed.wait().expect("is gone");
        // It notices by itself.
        other.wait().expect("ends");
        println!("kill {kill}: {} files in place", check(&from, &to));
    }
    let (mut sender, mut receiver) = both(&from, &to, 200_000_000);
    assert!(sender.wait().expect("ends").success() && receiver.wait().expect("ends").success());
    assert_same(&from, &to);
}

fn main() {
    let of = |name| std::env::var(name).unwrap_or_default();
    let (role, folder) = (of(ROLE), PathBuf::from(of(FOLDER)));
    let done = match role.split_once(' ') {
        Some((_, rate)) => {
            be_sender(&folder, of(TO).parse().expect("an address"), rate.parse().expect("a rate"))
        }
        None if role == "recv" => be_receiver(&folder),
        None => {
            let kills = of("PFS_TRANSFER_KILLS").parse().unwrap_or(6);
            kill_and_go_on(kills);
            println!("{kills} kills, all arrived");
            true
        }
    };
    std::process::exit(i32::from(!done));
}
