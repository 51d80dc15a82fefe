//! What sinks hold, and what becomes of those that cannot.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt32Type, UInt64Type};
use pfs_dataplane::ops::ids::{Columns, IdSinkSpec, RingRead, RingReader, WhenFull};
use pfs_dataplane::ops::token::Digest;
use pfs_dataplane::run::start;

use crate::common::modes;
use crate::rig::{Flow, columns, encode, found, run, source, text, udp, with_sink};

const SOCKET: &str = "PFS_TEST_ID_SOCKET";
const OUT: &str = "PFS_TEST_ID_OUT";
const PROGRAM: &str = "token:r50k_base,mode=flow";

fn frames() -> Vec<Vec<u8>> {
    let text = text();
    text.chunks(700).map(|piece| udp(Flow(10, 20), piece)).collect()
}

#[test]
fn arrow_and_json_hold_what_the_columns_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (_, columns) = columns(&frames(), PROGRAM, modes()[0]);
    let path = folder.path().join("ids.arrow");
    run(&frames(), PROGRAM, modes()[0], Some(IdSinkSpec::Arrow { path: path.clone() }));
    let reader = arrow_ipc::reader::FileReader::try_new(File::open(&path).unwrap(), None).unwrap();
    let mut ids = Vec::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch.unwrap();
        let lists = batch.column_by_name("ids").unwrap().as_list::<i32>();
        ids.extend_from_slice(lists.values().as_primitive::<UInt32Type>().values());
        let streams = batch.column_by_name("stream").unwrap().as_primitive::<UInt64Type>();
        assert!(streams.values().iter().all(|&stream| stream == 1));
        let flags = batch.column_by_name("flags").unwrap().as_primitive::<UInt16Type>();
        assert_eq!(flags.value(0), 1);
        let sources = batch.column_by_name("source").unwrap().as_string::<i32>();
        assert_eq!(sources.value(0), "10.0.0.1:10");
        rows += batch.num_rows();
    }
    assert_eq!((ids.as_slice(), rows), (columns.ids(), columns.records().len()));

    let path = folder.path().join("ids.jsonl");
    run(&frames(), PROGRAM, modes()[0], Some(IdSinkSpec::Json { path: path.clone() }));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), columns.records().len());
    let ids: Vec<u64> = lines
        .iter()
        .flat_map(|line| line["ids"].as_array().unwrap())
        .map(|id| id.as_u64().unwrap())
        .collect();
    assert!(ids.iter().copied().eq(columns.ids().iter().map(|&id| u64::from(id))));
    assert_eq!(
        (&lines[0]["start"], &lines[0]["destination"]),
        (&true.into(), &"10.0.0.2:20".into())
    );
    assert_eq!(lines[lines.len() - 1]["end"], true);
}

/// What the second process of the ring's test does; nothing in an ordinary run.
#[test]
fn child_reads_a_ring() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mut reader = RingReader::attach(Path::new(&socket)).unwrap();
    let mut ids: Vec<u32> = Vec::new();
    loop {
        match reader.next(Duration::from_secs(10)).unwrap() {
            RingRead::Record(record, found, lost) => {
                assert_eq!((record.stream, record.count as usize, lost), (1, found.len(), 0));
                ids.extend_from_slice(found);
            }
            RingRead::End => break,
            RingRead::Nothing => panic!("nothing came for ten seconds"),
        }
    }
    fs::write(std::env::var_os(OUT).unwrap(), bytemuck::cast_slice(&ids)).unwrap();
}

fn ring(socket: PathBuf, when_full: WhenFull) -> IdSinkSpec {
    IdSinkSpec::Ring { socket, words: 1 << 17, when_full }
}

#[test]
fn another_process_reads_the_ring() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, out) = (folder.path().join("ids.sock"), folder.path().join("out"));
    // Ten times what the ring holds.
    let text = text().repeat(40);
    let frames: Vec<_> = text.chunks(1400).map(|piece| udp(Flow(10, 20), piece)).collect();
    let sink = ring(socket.clone(), WhenFull::Wait);
    let spec = with_sink(source(&frames), PROGRAM, modes()[0], Some(sink));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sinks::child_reads_a_ring", "--nocapture"])
        .env(SOCKET, &socket)
        .env(OUT, &out)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let report = start(spec).unwrap().join();
    assert!(child.wait().unwrap().success());
    assert_eq!((report.errors.len(), report.workers[0].sinks[0].lost), (0, 0), "{report:?}");
    let bytes = fs::read(&out).unwrap();
    let ids: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    assert_eq!(found(&report), [ids.len() as u64, Digest::of(&ids)]);
    assert_eq!(ids, encode(&text));
    assert!(!socket.exists(), "the socket goes with the run");
}

#[test]
fn a_ring_that_nobody_reads_loses_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ids.sock");
    let text = text().repeat(10);
    let frames: Vec<_> = text.chunks(1400).map(|piece| udp(Flow(10, 20), piece)).collect();
    let report = run(&frames, PROGRAM, modes()[0], Some(ring(socket.clone(), WhenFull::Drop)));
    let sink = &report.workers[0].sinks[0];
    assert!(sink.lost > 0 && sink.packets > 0, "{sink:?}");
    assert_eq!(report.errors, [""; 0]);
    let ids = encode(&text);
    assert_eq!(found(&report), [ids.len() as u64, Digest::of(&ids)], "the results do not suffer");
    let error = RingReader::attach(&socket).unwrap_err().to_string();
    assert!(error.contains("pfs run --ids ring:"), "{error}");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let done = in_small_folder("size=64k", |folder| {
        let frames: Vec<_> = (0..200).flat_map(|_| frames()).collect();
        for kind in ["u32", "arrow", "json"] {
            let path = folder.join(kind);
            let to = match kind {
                "u32" => IdSinkSpec::U32 { path },
                "arrow" => IdSinkSpec::Arrow { path },
                _ => IdSinkSpec::Json { path },
            };
            let report = run(&frames, PROGRAM, modes()[0], Some(to));
            let error = report.errors.join("\n");
            assert!(error.contains("No space left") && error.contains("df -h"), "{error}");
            let sink = &report.workers[0].sinks[0];
            assert!(sink.lost > 0 && sink.packets == 0, "{sink:?}");
            assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{kind}");
        }
    });
    if done.is_none() {
        println!("skipped: a mount namespace needs root");
    }
}

/// Runs `test` in a folder of its own that holds `size`; `None` where that is not allowed.
fn in_small_folder(size: &str, test: impl FnOnce(&Path) + Send) -> Option<()> {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let run = || {
            // The mounts of this thread alone, and of those that it makes: they go with it.
            unshare(CloneFlags::CLONE_NEWNS).ok()?;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>).ok()?;
            let flags = MsFlags::empty();
            mount(Some("tmpfs"), folder.path(), Some("tmpfs"), flags, Some(size)).ok()?;
            test(folder.path());
            Some(())
        };
        scope.spawn(run).join().unwrap()
    })
}

#[test]
fn broken_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ids");
    run(&frames()[..20], PROGRAM, modes()[0], Some(IdSinkSpec::U32 { path: path.clone() }));
    let index_path = folder.path().join("ids.idx");
    let (ids, index) = (fs::read(&path).unwrap(), fs::read(&index_path).unwrap());
    let open = |ids: &[u8], index: &[u8]| {
        fs::write(&path, ids).unwrap();
        fs::write(&index_path, index).unwrap();
        Columns::open(&path).map(|columns| columns.records().len()).map_err(|e| e.to_string())
    };
    assert!(open(&ids, &index).is_ok());
    for cut in [0, 1, 63, 64, 100, index.len() - 1] {
        assert!(open(&ids, &index[..cut]).is_err(), "{cut}");
    }
    assert!(open(&ids[4..], &index).unwrap_err().contains("ids"));
    for at in [0, 8, 12, 16, 24, 64 + 8, 64 + 56] {
        let mut broken = index.clone();
        broken[at] ^= 0x41;
        assert!(open(&ids, &broken).is_err(), "byte {at}");
    }
    fs::remove_file(&index_path).unwrap();
    assert!(Columns::open(&path).unwrap_err().to_string().contains("ids.idx"));
}
