//! Whole files, and what is left when they fail.

use std::fs;

use super::*;
use crate::program::{Piece, Program, Ref, Transform, Window};
use crate::rebuild::source::Held;

/// A program of `windows` windows of 1,000 bytes, the last of 300, and what it makes.
fn program(blob: &[u8], windows: usize) -> (Program, Vec<u8>) {
    let mut file = Vec::new();
    let mut program = Program { window_bytes: 1000, ..Program::default() };
    for index in 0..windows {
        let len = if index + 1 == windows { 300 } else { 1000 };
        let offset = (index * 37 % (blob.len() - 1000)) as u64;
        let transform = Transform::Add(index as u8);
        let pieces = vec![Piece::Ref(Ref { offset, len: len - 7, transform }), Piece::Raw(7)];
        let raw = vec![index as u8; 7];
        let from = &blob[offset as usize..][..len as usize - 7];
        file.extend(from.iter().map(|byte| byte.wrapping_add(index as u8)));
        file.extend_from_slice(&raw);
        program.windows.push(Window { pieces, raw });
    }
    program.size = file.len() as u64;
    program.sha256 = Sha256::digest(&file).into();
    (program, file)
}

fn blob() -> Vec<u8> {
    (0..100_000_u32).map(|at| (at * 7 / 3) as u8).collect()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("folder").next().is_none()
}

#[test]
fn files_of_any_length_by_any_threads() {
    let (blob, folder) = (blob(), tempfile::tempdir().expect("folder"));
    let path = folder.path().join("out");
    for windows in [0, 1, 2, 262, 263, 2_000] {
        let (program, want) = program(&blob, windows);
        for threads in [1, 3] {
            let done = AtomicU64::new(0);
            let threads = NonZeroUsize::new(threads);
            let options = FileOptions { threads, progress: Some(&done) };
            let rebuilt = file(&Held::new(&program), &Space::blob(&blob), &path, options);
            let rebuilt = rebuilt.expect("a whole file");
            assert_eq!(fs::read(&path).expect("written"), want, "{windows} windows");
            assert_eq!((rebuilt.bytes, rebuilt.checked), (program.size, true));
            assert_eq!(done.into_inner(), program.size);
        }
    }
}

#[test]
fn nothing_is_left_of_a_failure() {
    let (blob, folder) = (blob(), tempfile::tempdir().expect("folder"));
    let path = folder.path().join("out");
    let (good, _) = program(&blob, 2_000);
    let run = |program: &Program| {
        file(&Held::new(program), &Space::blob(&blob), &path, FileOptions::default())
    };

    let mut other = good.clone();
    other.sha256[0] ^= 1;
    assert!(matches!(run(&other), Err(FileError::Hash { .. })));
    let mut outside = good.clone();
    outside.windows[1_500].pieces[0] =
        Piece::Ref(Ref { offset: 99_999, len: 993, transform: Transform::Identity });
    let fault = RebuildError::Outside { offset: 99_999, len: 993 };
    let found = run(&outside).expect_err("a reference outside");
    assert!(matches!(found, FileError::Window { index: 1_500, fault: f } if f == fault));
    let few = Program { windows: good.windows[..1_999].to_vec(), ..good.clone() };
    assert!(matches!(run(&few), Err(FileError::Window { index: 1_999, .. })));
    for window_bytes in [0, WINDOW_MAX + 1] {
        let odd = Program { window_bytes, ..good.clone() };
        assert!(matches!(run(&odd), Err(FileError::WindowBytes(_))));
    }
    let huge = Program { size: 1 << 62, ..good.clone() };
    assert!(matches!(run(&huge), Err(FileError::Io { doing: "creating", .. })));
    assert!(is_empty(folder.path()), "no part of a file is left");

    fs::write(&path, "what was there").expect("written");
    assert!(run(&other).is_err());
    assert_eq!(fs::read(&path).expect("still there"), b"what was there");
    run(&good).expect("in place of what was there");
    assert_eq!(fs::metadata(&path).expect("written").len(), good.size);
}

#[test]
fn only_files_are_replaced() {
    let (blob, folder) = (blob(), tempfile::tempdir().expect("folder"));
    let (program, _) = program(&blob, 3);
    let run =
        |path: &Path| file(&Held::new(&program), &Space::blob(&blob), path, FileOptions::default());
    assert!(matches!(run(folder.path()), Err(FileError::Io { .. })));
    assert!(matches!(run(Path::new("/dev/null")), Err(FileError::Io { .. })));
    assert!(matches!(run(&folder.path().join("no/folder")), Err(FileError::Io { .. })));
    assert!(is_empty(folder.path()));
}

#[test]
fn a_full_disk_is_told_before_any_work() {
    let folder = Path::new("/dev/shm");
    let Ok(room) = nix::sys::statvfs::statvfs(folder) else {
        println!("skipped: there is no /dev/shm");
        return;
    };
    let room = room.blocks() * room.fragment_size();
    if room == 0 || room > 1 << 40 {
        println!("skipped: /dev/shm has no bound");
        return;
    }
    let path = folder.join(format!("pfs-rebuild-{}", std::process::id()));
    let program = Program { size: room + 1, window_bytes: 1 << 20, ..Program::default() };
    let failed = file(&Held::new(&program), &Space::blob(&[]), &path, FileOptions::default());
    assert!(matches!(failed, Err(FileError::Io { doing: "creating", .. })));
    assert!(!path.exists());
}
