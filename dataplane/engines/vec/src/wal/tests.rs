use super::*;

fn fill(folder: &Path, count: u64) {
    let (mut wal, _) = Wal::open(folder, Fsync::Never, 1, &mut |_| {}).expect("opens");
    for n in 0..count {
        wal.append(7, &vec![n as u8; (n % 40) as usize]).expect("takes");
    }
    wal.sync().expect("syncs");
    assert_eq!((wal.last(), wal.durable()), (count, count));
}

/// Numbers of the frames from `from` on.
fn replay(folder: &Path, from: u64) -> Result<(Vec<u64>, Recovered), WalError> {
    let mut seen = Vec::new();
    let (_, recovered) = Wal::open(folder, Fsync::Never, from, &mut |frame| {
        assert_eq!((frame.kind, frame.payload.len() as u64), (7, (frame.lsn - 1) % 40));
        assert!(frame.payload.iter().all(|byte| u64::from(*byte) == (frame.lsn - 1) % 256));
        seen.push(frame.lsn);
    })?;
    Ok((seen, recovered))
}

fn only_file(folder: &Path) -> PathBuf {
    let files = recover::files(folder).expect("lists");
    assert_eq!(files.len(), 1);
    files[0].1.clone()
}

#[test]
fn a_log_that_is_cut_anywhere_opens_at_the_last_whole_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 20);
    let path = only_file(folder.path());
    let whole = std::fs::read(&path).expect("reads");
    let mut ends = vec![FILE_HEAD];
    while let Some((_, len)) = frame::read(&whole[*ends.last().expect("one")..]) {
        ends.push(ends.last().expect("one") + len);
    }
    assert_eq!(ends.len(), 21);
    for cut in ends[17]..=whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("writes");
        let (seen, recovered) = replay(folder.path(), 1).expect("opens");
        let frames = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(seen, (1..=frames as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(recovered.cut, (cut - ends[frames]) as u64);
        // What was cut is gone, and the log goes on.
        let (mut wal, again) =
            Wal::open(folder.path(), Fsync::Always, 1, &mut |_| {}).expect("opens");
        assert_eq!((again.cut, again.frames), (0, frames as u64));
        let lsn = wal.append(7, &vec![frames as u8; frames % 40]).expect("takes");
        wal.commit().expect("writes");
        assert_eq!((lsn, wal.durable()), (frames as u64 + 1, lsn));
        drop(wal);
        assert_eq!(replay(folder.path(), 1).expect("opens").0.len(), frames + 1);
    }
}

#[test]
fn damage_before_whole_frames_is_told_and_not_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 12);
    let path = only_file(folder.path());
    let whole = std::fs::read(&path).expect("reads");
    for bit in (0..whole.len() * 8).step_by(3) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).expect("writes");
        let opened = replay(folder.path(), 1);
        let zeros = (12..16).chain(24..FILE_HEAD);
        match opened {
            Ok((seen, recovered)) => {
                // Only bytes that mean nothing, or the last frame, may go unnoticed.
                let unused = zeros.into_iter().any(|at| at == bit / 8) && seen.len() == 12;
                let last = seen.len() == 11 && recovered.cut > 0;
                assert!(unused || last, "bit {bit}: {recovered:?}");
            }
            Err(WalError::Damaged { .. }) => assert!(bit / 8 >= FILE_HEAD),
            Err(WalError::Foreign { .. }) => assert!(bit / 8 < FILE_HEAD),
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

#[test]
fn numbers_go_on_over_truncation_and_files() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 100);
    let (mut wal, _) = Wal::open(folder.path(), Fsync::Never, 1, &mut |_| {}).expect("opens");
    wal.truncate(60).expect("truncates");
    assert_eq!(recover::files(folder.path()).expect("lists").len(), 1);
    wal.truncate(100).expect("truncates");
    drop(wal);
    let (seen, recovered) = replay(folder.path(), 101).expect("opens");
    assert_eq!((seen.len(), recovered.last), (0, 100));
    assert!(matches!(replay(folder.path(), 50), Err(WalError::Gap { after: 49, .. })));
    let (mut wal, _) = Wal::open(folder.path(), Fsync::Never, 101, &mut |_| {}).expect("opens");
    assert_eq!(wal.append(7, &[100; 20]).expect("takes"), 101);
    wal.sync().expect("syncs");
    drop(wal);
    let (seen, _) = replay(folder.path(), 101).expect("opens");
    assert_eq!(seen, [101]);
}

#[test]
fn a_log_that_lags_behind_what_it_covers_goes_on_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 5);
    // A checkpoint at 9 was synced, frames 6 to 9 were not.
    let (mut wal, recovered) =
        Wal::open(folder.path(), Fsync::Never, 10, &mut |_| {}).expect("opens");
    assert_eq!((recovered.frames, wal.last()), (0, 9));
    assert_eq!(wal.append(7, &[9; 9]).expect("takes"), 10);
    wal.truncate(9).expect("truncates");
    drop(wal);
    let (seen, _) = replay(folder.path(), 10).expect("opens");
    assert_eq!(seen, [10]);
}

#[test]
fn foreign_files_and_gaps_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path(), 3);
    let path = only_file(folder.path());
    std::fs::rename(&path, folder.path().join("0000000000000004.wal")).expect("renames");
    assert!(matches!(replay(folder.path(), 1), Err(WalError::Gap { after: 0, .. })));
    assert!(matches!(replay(folder.path(), 4), Err(WalError::Foreign { .. })));
    std::fs::write(folder.path().join("notes.wal"), "x").expect("writes");
    assert!(matches!(replay(folder.path(), 4), Err(WalError::Foreign { .. })));
}

#[test]
fn a_failed_write_ends_the_log_until_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut wal, _) = Wal::open(folder.path(), Fsync::Always, 1, &mut |_| {}).expect("opens");
    wal.file = OpenOptions::new().append(true).open("/dev/full").expect("is there");
    wal.append(7, &[]).expect("takes");
    let error = wal.commit().expect_err("is full");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert!(matches!(wal.append(7, &[]), Err(WalError::Failed)));
    assert!(matches!(wal.sync(), Err(WalError::Failed)));
    assert_eq!(wal.durable(), 0);
}
