//! The committed object is what its source compiles to.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::frames::{ethernet, extension, ipv4, ipv6, udp};
use pfs_ebpf::rules::{PortRange, XdpAction, XdpRule};
use pfs_ebpf::{Loader, OBJECT, Program, Variant, XdpError};

/// The release of clang that the committed object was built with.
const CLANG: u32 = 14;

/// A file of this crate.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn output(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(out) => Some(out),
        Err(e) => {
            println!("skipped: {command:?}: {e}");
            None
        }
    }
}

/// The major release of the clang that `build-object` takes.
fn clang() -> Option<u32> {
    let name = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let text =
        String::from_utf8_lossy(&output(Command::new(name).arg("--version"))?.stdout).into_owned();
    text.split("version ").nth(1)?.split('.').next()?.parse().ok()
}

#[test]
fn source_and_object_match() {
    let (Some(clang), Some(_)) = (clang(), output(Command::new("llvm-strip").arg("--version")))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("built.o");
    let Some(out) = output(Command::new(file("build-object")).arg(&built)) else { return };
    let errors = String::from_utf8_lossy(&out.stderr);
    if errors.contains("bpf_helpers.h") && errors.contains("not found") {
        println!("skipped: libbpf's headers are not installed: apt install libbpf-dev");
        return;
    }
    assert!(out.status.success(), "{errors}");
    let built = std::fs::read(built).unwrap();
    if clang == CLANG {
        assert!(built == OBJECT, "the object is not what its source gives; rebuild it: just ebpf");
    } else {
        println!("clang {clang} is not {CLANG}: behaviour is compared, not bytes");
        same_behaviour(&built);
    }
}

/// The object of another compiler decides and counts as the committed one does.
#[test]
fn an_object_built_otherwise_behaves_the_same() {
    if clang().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("built.o");
    let args = ["-O1", "-g", "-target", "bpf", "-mcpu=v2", "-idirafter"];
    let include = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let source = file("src/bpf/pfs_xdp.bpf.c");
    let mut command = Command::new("clang");
    command.args(args).arg(include).arg("-c").arg(source).arg("-o").arg(&built);
    let Some(out) = output(&mut command) else { return };
    if !out.status.success() {
        println!("skipped: {}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let built = std::fs::read(built).unwrap();
    assert!(built != OBJECT);
    same_behaviour(&built);
}

fn same_behaviour(other: &[u8]) {
    let rules = [
        XdpRule {
            dst_ports: Some(PortRange::one(53)),
            action: XdpAction::Drop,
            ..XdpRule::default()
        },
        XdpRule { vlan: Some(7), action: XdpAction::Pass, ..XdpRule::default() },
        XdpRule { dst: Some("192.0.2.0/24".parse().unwrap()), ..XdpRule::default() },
    ];
    let dns = udp(53, b"query");
    let frames = [
        ethernet(&[], 0x0800, &ipv4(17, 0, 0, &dns)),
        ethernet(&[(0x88A8, 7), (0x8100, 8)], 0x0800, &ipv4(17, 8, 1, &dns)),
        ethernet(&[], 0x0800, &ipv4(6, 0, 0, &dns)),
        ethernet(&[], 0x86DD, &ipv6(60, &extension(60, 17, 0, &dns))),
        ethernet(&[], 0x86DD, &ipv6(60, &extension(60, 60, 0, b""))),
        ethernet(&[], 0x88B5, b"raw"),
    ];
    let results = [OBJECT, other].map(|object| {
        let loaded = Program::load_object(object, Variant::Frags, Loader::Aya, &rules)
            .or_else(|_| Program::load_object(object, Variant::Single, Loader::Aya, &rules));
        let program = match loaded {
            Err(e @ XdpError::Permission { .. }) if common::unprivileged() => {
                println!("skipped: {e}");
                return None;
            }
            other => other.unwrap(),
        };
        let codes: Vec<_> = frames.iter().map(|frame| program.test_run(frame).unwrap()).collect();
        Some((codes, program.counters(0).unwrap(), program.rule_counters()))
    });
    assert_eq!(results[0], results[1]);
}

/// libbpf-cargo compiles and checks the source; its program has the same instructions.
#[cfg(feature = "libbpf")]
#[test]
fn libbpf_cargo_compiles_the_same_program() {
    if clang() != Some(CLANG) {
        println!("skipped: this is not clang {CLANG}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("built.o");
    let source = file("src/bpf/pfs_xdp.bpf.c");
    let include = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    libbpf_cargo::SkeletonBuilder::new()
        .source(source)
        .obj(&built)
        .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Werror", "-idirafter", &include])
        .build()
        .unwrap();
    same_behaviour(&std::fs::read(built).unwrap());
}

#[test]
fn the_object_tells_nothing_of_where_it_was_built() {
    let text = String::from_utf8_lossy(OBJECT);
    for word in ["/home", "/root", "/usr", "/tmp", env!("CARGO_MANIFEST_DIR")] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn a_broken_object_is_an_error() {
    let load = |object: &[u8]| {
        Program::load_object(object, Variant::Single, Loader::Aya, &[]).unwrap_err().to_string()
    };
    for len in [0, 1, 64, OBJECT.len() / 2, OBJECT.len() - 1] {
        assert!(!load(&OBJECT[..len]).is_empty());
    }
}
