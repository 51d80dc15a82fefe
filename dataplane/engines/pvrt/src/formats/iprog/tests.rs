//! The original's sample, programs there and back, and documents that contradict themselves.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::program::{Piece, Program, Ref, Transform, Window};
use crate::space::Space;

/// A file of 200 bytes out of (4096, 120) and (8192, 80), in windows of 128.
fn sample(blob: &[u8]) -> Program {
    let at = |offset, len| Piece::Ref(Ref { offset, len, transform: Transform::Identity });
    let file = [&blob[4096..4216], &blob[8192..8272]].concat();
    Program {
        file: "f".into(),
        size: 200,
        sha256: Sha256::digest(file).into(),
        window_bytes: 128,
        blob: Identity { name: "b".into(), size: blob.len() as u64, ..Identity::default() },
        windows: vec![
            Window { pieces: vec![at(4096, 120), at(8192, 8)], raw: Vec::new() },
            Window { pieces: vec![at(8200, 72)], raw: Vec::new() },
        ],
    }
}

fn blob() -> Vec<u8> {
    (0..10_000_u32).map(|at| (at * 131 + 17) as u8).collect()
}

fn value(iprog: &Iprog) -> Value {
    serde_json::from_slice(&iprog.write().expect("complete")).expect("JSON")
}

fn read(value: &Value) -> Result<Iprog, FormatError> {
    Iprog::read(value.to_string().as_bytes())
}

#[test]
fn the_sample_of_the_original() {
    let blob = blob();
    let program = sample(&blob);
    let iprog = Iprog::of(&program, &Space::blob(&blob)).expect("in the blob");
    let value = value(&iprog);
    assert_eq!(value["windows"][0]["bref"], json!([[4096, 120, 0], [8192, 8, 0]]));
    assert_eq!(value["windows"][1]["bref"], json!([[8200, 72, 0]]));
    assert_eq!(value["metrics"], json!({"pvrt_total": 63, "tx_ratio": 0.315}));
    assert_eq!(value["done"]["total_windows"], 2);
    assert!(value["windows"][0].get("proto").is_none(), "left out, as for a palette");
    assert_eq!(read(&value).and_then(|iprog| iprog.program()), Ok(program));
}

#[test]
fn documents_of_the_original_are_read() {
    let mut value = value(&Iprog::of(&sample(&blob()), &Space::blob(&blob())).expect("there"));
    value["metrics"] = json!({});
    value["policy"] = json!({"mode": "palette"});
    value["windows"][0]["proto"] = json!("GFiYwA==");
    value["blob"] = json!({"name": "pfs_t1", "size": 1 << 20, "seed": 1337});
    let iprog = read(&value).expect("as the original writes it");
    assert_eq!(iprog.policy.as_deref(), Some("palette"));
    assert_eq!(iprog.windows[0].proto.as_deref(), Some(&[0x18, 0x58, 0x98, 0xc0][..]));
    assert_eq!(iprog.head.blob.map(|blob| (blob.profile, blob.seed)), Some((Profile::Prand, 1337)));
}

#[test]
fn contradictions_are_named() {
    let good = value(&Iprog::of(&sample(&blob()), &Space::blob(&blob())).expect("there"));
    let refuse = |pointer: &str, to: Value, say: &str| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = to;
        let error = read(&bad).map(|_| ()).expect_err(pointer).to_string();
        assert!(error.contains(say), "{pointer}: {error}");
    };
    refuse("/type", json!("cprog"), "iprog");
    refuse("/version", json!(2), "version 2");
    refuse("/size", json!(u64::MAX), "windows, 2 are there");
    refuse("/size", json!(-1), "invalid value");
    refuse("/window_size", json!(0), "window_size is 0");
    refuse("/window_size", json!(u32::MAX), "window_size");
    refuse("/windows/1/idx", json!(0), "windows[1].idx is 0");
    refuse("/windows/1/len", json!(71), "windows[1].len is 71, by size it is 72");
    refuse("/windows/0/hash16", json!("00"), "hash16");
    refuse("/windows/0/bref", json!([[1, 2]]), "invalid length");
    refuse("/windows/0/bref", json!([[1, 2, 256]]), "256");
    refuse("/sha256", json!("é".repeat(32)), "done.sha256 is not sha256");
    refuse("/done/sha256", json!("00"), "done.sha256");
    refuse("/done/total_windows", json!(3), "total_windows is 3");
    refuse("/blob/profile", json!("orchid"), "orchid");
    refuse("/metrics", json!({"rate": 1}), "unknown field");
    let mut bad = good.clone();
    bad["windows"][1]["bref"] = json!([[8200, 71, 0]]);
    let error = read(&bad).and_then(|iprog| iprog.program()).expect_err("short");
    assert!(error.to_string().contains("windows[1] makes 71 bytes of 72"), "{error}");
    bad["windows"][1]["bref"] = json!([[8200, 72, 6]]);
    assert!(read(&bad).expect("consistent").program().is_err(), "a reserved operation");
    bad["windows"][1] = json!({"idx": 1, "bref": [], "hash16": "00".repeat(16), "len": 72,
                               "pvrt": "UE9YMQA="});
    assert!(read(&bad).expect("consistent").program().is_err(), "an empty container");
}

#[test]
fn every_truncation_is_refused_at_its_end() {
    let bytes = Iprog::of(&sample(&blob()), &Space::blob(&blob())).expect("there").write();
    let bytes = bytes.expect("complete");
    for len in 0..bytes.len() {
        let error = Iprog::read(&bytes[..len]).expect_err("cut");
        assert!(error.at as usize + 1 >= len.saturating_sub(4), "{len}: {error}");
    }
    assert!(Iprog::read(&[bytes.as_slice(), b"{}"].concat()).is_err());
}

proptest! {
    #[test]
    fn programs_keep_their_bytes(program in crate::formats::testing::program()) {
        // Bring references into the blob.
        let blob = blob();
        let mut program = program;
        program.blob.size = blob.len() as u64;
        let mut file = Vec::new();
        for window in &mut program.windows {
            for piece in &mut window.pieces {
                if let Piece::Ref(at) = piece {
                    at.offset %= blob.len() as u64 - u64::from(at.len);
                }
            }
            let mut bytes = vec![0; window.bytes() as usize];
            let space = Space::blob(&blob);
            crate::rebuild::window(&space, &window.pieces, &window.raw, &mut bytes).expect("in");
            file.push(bytes);
        }
        let iprog = Iprog::of(&program, &Space::blob(&blob)).expect("in the blob");
        let back = Iprog::read(&iprog.write().expect("complete")).expect("own");
        prop_assert_eq!(&back, &iprog);
        let back = back.program().expect("own");
        prop_assert_eq!((&back.file, back.size, &back.blob),
                        (&program.file, program.size, &program.blob));
        for (window, want) in back.windows.iter().zip(&file) {
            let mut bytes = vec![0; want.len()];
            let space = Space::blob(&blob);
            crate::rebuild::window(&space, &window.pieces, &window.raw, &mut bytes).expect("in");
            prop_assert_eq!(&bytes, want);
        }
    }
}
