//! The control socket: who may look, what is said, and what becomes of viewers and dead runs.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Live, done, folder, names, pfs, until};

/// `pfs` with control sockets in `place`.
pub(crate) fn pfs_at(place: &Path, words: &str) -> Command {
    let mut command = pfs(words);
    command.env("PFS_RUNTIME_DIR", place);
    command
}

/// A run that waits for packets, with its control socket in `place`.
#[track_caller]
pub(crate) fn idle_run(place: &Path, words: &str) -> Live {
    let words =
        format!("run --from udp:127.0.0.1:0 --prog crc32c {words} -v --json --metrics 127.0.0.1:0");
    Live::spawn(pfs_at(place, &words))
}

/// The only socket in `place`.
#[track_caller]
fn socket(place: &Path) -> PathBuf {
    let found = names(place);
    assert_eq!(found.len(), 1, "{found:?}");
    place.join(&found[0])
}

struct Viewer(BufReader<UnixStream>);

impl Viewer {
    fn connect(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).expect("connects")))
    }

    fn ask(&mut self, text: &str) {
        self.0.get_mut().write_all(format!("{text}\n").as_bytes()).expect("asks");
    }

    /// The next answer; `None` at the end, which is a reset where something asked was left unread.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let len = match self.0.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            read => read.expect("reads"),
        };
        (len > 0).then(|| serde_json::from_str(&line).expect("is JSON"))
    }
}

#[test]
fn viewers_get_the_plan_and_documents_until_the_end() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let path = socket(place.path());
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(name, format!("{}-udp-0.sock", live.pid()));
    assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    let (mut one, mut other) = (Viewer::connect(&path), Viewer::connect(&path));
    for viewer in [&mut one, &mut other] {
        let hello = viewer.next().expect("a greeting");
        assert_eq!(hello["hello"]["protocol_version"], 1);
        assert_eq!(hello["hello"]["run"]["pid"], live.pid());
    }
    one.ask(r#"{"request":"plan"}"#);
    let plan = one.next().expect("a plan");
    assert_eq!(plan["plan"]["rules"][0]["program"], "crc32c");
    assert_eq!(plan["plan"]["granted"]["receivers"][0]["backend"]["backend"], "udp");
    one.ask(r#"{"request":"snapshot"}"#);
    other.ask(r#"{"request":"watch","interval_ms":100}"#);
    assert_eq!(one.next().expect("a document")["live"]["sequence"], 0);
    for sequence in 0..3 {
        let document = &other.next().expect("a document")["live"];
        assert_eq!(
            (&document["sequence"], &document["state"]),
            (&sequence.into(), &"running".into())
        );
        assert_eq!(document["lanes"][0]["slots"], 4096);
        assert_eq!(document["ops"][0]["op"], "crc32c");
    }
    live.signal(Signal::SIGINT);
    let mut last = Value::Null;
    while let Some(document) = other.next() {
        last = document;
    }
    assert_eq!(last["live"]["state"], "ended", "{last}");
    assert_eq!(one.next(), None, "closed with the run");
    live.end().ok();
    assert!(names(place.path()).is_empty());
}

#[test]
fn what_is_no_request_is_answered_and_ends_the_connection() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let path = socket(place.path());
    let long = "x".repeat(5000);
    for bad in ["{}", "stop", r#"{"request":"watch","interval_ms":0}"#, "\u{0}", long.as_str()] {
        let mut viewer = Viewer::connect(&path);
        viewer.next().expect("a greeting");
        viewer.ask(bad);
        let told = viewer.next().expect("an answer");
        assert!(told["error"].is_string(), "{bad}: {told}");
        assert_eq!(viewer.next(), None, "{bad}");
    }
    live.signal(Signal::SIGINT);
    live.end().ok();
}

#[test]
fn a_viewer_that_never_reads_is_dropped_and_holds_nobody_up() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let path = socket(place.path());
    let mut deaf = UnixStream::connect(&path).expect("connects");
    // Its answers are many times what the kernel holds for a reader.
    let asked = 4000;
    deaf.write_all("{\"request\":\"plan\"}\n".repeat(asked).as_bytes()).expect("asks");
    let mut viewer = Viewer::connect(&path);
    viewer.next().expect("a greeting");
    viewer.ask(r#"{"request":"watch","interval_ms":100}"#);
    // Two seconds are what a viewer may leave an answer unread.
    (0..30).for_each(|_| drop(viewer.next().expect("a document")));
    let mut got = Vec::new();
    let _ = deaf.read_to_end(&mut got);
    let answers = got.iter().filter(|byte| **byte == b'\n').count();
    assert!(answers < asked, "all {answers} were answered: nobody was dropped");
    live.signal(Signal::SIGINT);
    live.end().ok();
}

#[test]
fn so_many_viewers_and_no_more() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let path = socket(place.path());
    let mut viewers: Vec<_> = (0..32).map(|_| Viewer::connect(&path)).collect();
    viewers
        .iter_mut()
        .for_each(|viewer| assert!(viewer.next().expect("greets")["hello"].is_object()));
    let refused = Viewer::connect(&path).next().expect("an answer");
    assert!(refused["error"].as_str().expect("a reason").contains("32 viewers"), "{refused}");
    viewers.pop();
    until("a place", || {
        Viewer::connect(&path).next().is_some_and(|told| told["hello"].is_object())
    });
    live.signal(Signal::SIGINT);
    live.end().ok();
}

#[test]
fn a_killed_runs_socket_is_known_and_removed_by_the_next() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let path = socket(place.path());
    live.signal(Signal::SIGKILL);
    live.end();
    assert!(path.exists(), "nothing could remove it");
    done(pfs_at(place.path(), &format!("top --once {}", path.display())))
        .fails(1, &["dead", &path.display().to_string()]);
    let next = idle_run(place.path(), "");
    assert!(socket(place.path()).display().to_string().contains(&next.pid().to_string()));
    next.signal(Signal::SIGKILL);
    next.end();
    done(pfs_at(place.path(), "top --once --json")).fails(1, &["no run", "pfs run"]);
    assert!(names(place.path()).is_empty(), "top has removed it");
}

#[test]
fn without_a_control_socket_a_run_goes_on() {
    let place = folder();
    done(pfs_at(place.path(), "run --from memory:64,packets=100 --no-control")).ok();
    assert!(names(place.path()).is_empty());
    let open = place.path().join("open");
    fs::create_dir(&open).expect("makes");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("opens");
    for (at, why) in [(open.clone(), "only this user can write to"), (open.join("a/b"), "making")] {
        let told = done(pfs_at(&at, "run --from memory:64,packets=100 --quiet"));
        assert!(told.err.contains("no control socket") && told.err.contains(why), "{told:?}");
        told.ok();
    }
    assert!(names(&open).is_empty());
}
