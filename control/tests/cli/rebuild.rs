//! `pfs rebuild`: every format back into its file, and what is said when that cannot be.

use std::fs;

use pfs_pvrt::blob::{Blob, Settings};
use pfs_pvrt::formats::blueprint::{Blueprint, Formula, Packed, join};
use pfs_pvrt::formats::iprog::Iprog;
use pfs_pvrt::rebuild::{self, hex};
use pfs_pvrt::{Identity, Piece, Profile, Program, Ref, Space, Transform, Window};
use sha2::{Digest, Sha256};

use crate::common::{folder, run};

const SIZE: u64 = 1 << 20;

/// A program of three windows, and its file.
fn program() -> (Program, Blob, Vec<u8>) {
    let identity = Identity::new("b", Profile::Orchard, SIZE, 7);
    let blob = Blob::memory(&Settings::new(identity.clone(), 0)).expect("memory");
    let at = |offset, len, transform| Piece::Ref(Ref { offset, len, transform });
    let windows = vec![
        Window { pieces: vec![at(5_000, 4_096, Transform::Xor(31))], raw: Vec::new() },
        Window {
            pieces: vec![at(70_001, 4_000, Transform::Add(7)), Piece::Raw(96)],
            raw: vec![b'r'; 96],
        },
        Window { pieces: vec![at(0, 100, Transform::Identity)], raw: Vec::new() },
    ];
    let mut bytes = Vec::new();
    for window in &windows {
        let mut made = vec![0; window.bytes() as usize];
        rebuild::window(&blob.space(), &window.pieces, &window.raw, &mut made).expect("inside");
        bytes.extend(made);
    }
    let program = Program {
        file: "../../etc/name".into(),
        size: bytes.len() as u64,
        sha256: Sha256::digest(&bytes).into(),
        window_bytes: 4_096,
        blob: identity,
        windows,
    };
    (program, blob, bytes)
}

#[test]
fn every_format_is_rebuilt() {
    let folder = folder();
    let (program, blob, want) = program();
    let (pieces, raw) = join(&program.windows);
    let iprog = Iprog::of(&program, &blob.space()).expect("inside").write().expect("complete");
    let packed = Packed { pieces, sha256: Some(program.sha256), raw: Some(raw) };
    let (path, out) = (folder.path().join("program"), folder.path().join("out"));
    let flags = "--blob-name b --blob-size 1MiB --blob-seed 7 --blob-profile orchard";
    for (format, bytes, flags) in [
        ("binary program", program.to_binary(3).expect("consistent"), ""),
        ("IPROG", iprog, flags),
        ("packed blueprint", packed.write(), flags),
    ] {
        fs::write(&path, bytes).expect("writes");
        let words = format!("rebuild {} -o {} {flags} --json", path.display(), out.display());
        let report = run(&words).json();
        assert_eq!(report["format"], format);
        assert_eq!(report["sha256"], hex(&program.sha256));
        assert_eq!((&report["bytes"], &report["checked"]), (&want.len().into(), &true.into()));
        assert_eq!(fs::read(&out).expect("reads"), want, "{format}");
        fs::remove_file(&out).expect("was there");
    }
    let formula = Formula::new(10_000, 3, 5_000, 32, 9, 0);
    fs::write(&path, formula.write()).expect("writes");
    let words = format!("rebuild {} -o {}", path.display(), out.display());
    run(&words).fails(1, &["name the blob"]);
    fs::write(folder.path().join("bytes"), blob.bytes()).expect("writes");
    let flags = format!("--blob {}", folder.path().join("bytes").display());
    let text = run(&format!("{words} {flags}")).ok();
    assert!(text.contains("nothing to compare it to"), "{text}");
    let made = fs::read(&out).expect("reads");
    assert_eq!(made[5_000..], blob.bytes()[41..5_041]);
    let digest = hex(&Sha256::digest(&made));
    run(&format!("{words} {flags} --sha256 {digest}")).ok();
}

#[test]
fn blobs_in_folders_and_older_files_serve() {
    let folder = folder();
    let (mut program, _, _) = program();
    let older = b"bytes of an older file".repeat(9);
    program.windows.truncate(1);
    let at = Ref { offset: Space::BESIDE + 9, len: 100, transform: Transform::Identity };
    program.windows[0] = Window { pieces: vec![Piece::Ref(at)], raw: Vec::new() };
    program.size = 100;
    program.sha256 = Sha256::digest(&older[9..109]).into();
    let settings = Settings::new(program.blob.clone(), 4096);
    let blob = folder.path().join("blob");
    drop(Blob::create(&blob, &settings, &mut |_, _| {}).expect("room"));
    let (path, out) = (folder.path().join("program"), folder.path().join("out"));
    fs::write(&path, program.to_binary(3).expect("consistent")).expect("writes");
    fs::write(folder.path().join("old"), &older).expect("writes");
    let words =
        format!("rebuild {} -o {} --blob {}", path.display(), out.display(), blob.display());
    run(&words).fails(1, &["window 0", "outside the blob and the older files"]);
    assert!(!out.exists());
    run(&format!("{words} --older {}", folder.path().join("old").display())).ok();
    assert_eq!(fs::read(&out).expect("reads"), &older[9..109]);
    // Another blob.
    let other = Identity { seed: 8, ..program.blob };
    let folder_of_other = folder.path().join("other");
    let settings = Settings::new(other, 0);
    drop(Blob::create(&folder_of_other, &settings, &mut |_, _| {}).expect("room"));
    let words = words.replace("/blob", "/other");
    run(&words).fails(1, &["seed 8", "7"]);
}

#[test]
fn what_cannot_be_rebuilt_leaves_nothing() {
    let folder = folder();
    let (program, _, _) = program();
    let (path, out) = (folder.path().join("program"), folder.path().join("out"));
    let words = format!("rebuild {} -o {}", path.display(), out.display());
    let refuse = |bytes: &[u8], say: &[&str]| {
        fs::write(&path, bytes).expect("writes");
        run(&words).fails(1, say);
        assert!(!out.exists());
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1, "nothing else is left");
    };
    let good = program.to_binary(3).expect("consistent");
    refuse(&good[..good.len() - 1], &["binary program, byte"]);
    let mut other = program.clone();
    other.sha256[0] ^= 1;
    let other = other.to_binary(3).expect("consistent");
    refuse(&other, &["SHA-256 would be", "the blob holds other bytes"]);
    let mut far = program.clone();
    far.blob.size = 1 << 40;
    refuse(&far.to_binary(3).expect("consistent"), &["--blob-size 1099511627776"]);
    refuse(b"no program", &["this is no program"]);
    let blueprint = Blueprint { pieces: vec![Piece::Raw(9)], ..Blueprint::default() };
    refuse(&blueprint.write(), &["the raw segments take 9 bytes, 0 are there"]);
    refuse(b"PBB1\0\x01\0\x01\x20\x4e\0\x04", &["without saying how many digits"]);
    run("rebuild /nonexistent/x -o y").fails(1, &["/nonexistent/x"]);
    run(&format!("{words} --sha256 12")).fails(2, &["64 hexadecimal digits"]);
    run(&format!("{words} --blob x --blob-seed 1")).fails(2, &["cannot be used with"]);
}
