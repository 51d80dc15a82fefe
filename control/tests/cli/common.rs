//! Starting `pfs`, watching it, and places to run it in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pfs_dataplane::netns::{NetNs, VethOptions};
use pfs_dataplane::privilege;
use serde_json::Value;

/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// `pfs` with `words`, split at blanks.
pub(crate) fn pfs(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfs"));
    command.args(words.split_whitespace()).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// The same without any capability, as a user without privilege has it.
pub(crate) fn unprivileged(words: &str) -> Command {
    let mut command = pfs(words);
    // SAFETY: between fork and exec; `drop_all` makes two system calls and allocates nothing.
    unsafe { command.pre_exec(privilege::drop_all) };
    command
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Done {
    /// Standard output, of a command that must have ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Standard output as JSON, of a command that must have ended well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Holds that the command failed with `code` and said each of `words` on standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }
}

/// Runs to the end.
#[track_caller]
pub(crate) fn done(mut command: Command) -> Done {
    command.output().expect("starts").into()
}

/// Runs `pfs` with `words` to the end.
#[track_caller]
pub(crate) fn run(words: &str) -> Done {
    done(pfs(words))
}

/// A capture of the repository.
pub(crate) fn capture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name);
    path.canonicalize().expect("a capture").display().to_string()
}

/// A folder that goes with the test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("lists");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A JSON file.
pub(crate) fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("reads")).expect("is JSON")
}

/// The accumulators of each rule of a report.
pub(crate) fn accumulators(report: &Value) -> Vec<Value> {
    let rules = report["results"].as_array().expect("results");
    rules.iter().map(|rule| rule["results"]["r"].clone()).collect()
}

/// Holds that a report's books close, and gives what was consumed.
#[track_caller]
pub(crate) fn books(report: &Value) -> u64 {
    let books = &report["books"];
    let of = |name: &str| books[name].as_u64().unwrap_or_else(|| panic!("{name} of {books}"));
    let lost = ["nic", "kernel", "no_frame", "ring_full", "malformed"]
        .map(|cause| of(&format!("dropped_{cause}")))
        .iter()
        .sum::<u64>();
    assert_eq!(of("offered"), lost + of("filtered") + of("delivered"), "{books}");
    assert_eq!(of("delivered"), of("consumed") + of("in_flight"), "{books}");
    assert_eq!((of("residual"), of("in_flight")), (0, 0), "{books}");
    of("consumed")
}

/// Runs `test` in a thread with a network namespace of its own and the veth pair tx0–rx0; says
/// why where that is not allowed.
pub(crate) fn with_veth(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let body = || match NetNs::enter() {
            Err(error) => println!("skipped: {error}"),
            Ok(namespace) => {
                namespace.veth_pair("tx0", "rx0", VethOptions::default()).expect("a pair");
                test();
            }
        };
        if let Err(panic) = scope.spawn(body).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Whether this build has af_xdp and may use it; says why not.
pub(crate) fn has_af_xdp() -> bool {
    if !cfg!(feature = "af-xdp") {
        println!("skipped: built without the feature af-xdp");
        return false;
    }
    true
}

/// Runs `test` with a folder on a full disk: a tmpfs of 64 KiB that holds `old`, an older file,
/// and another that fills it; says why where that is not allowed.
pub(crate) fn with_full_disk(test: impl FnOnce(&Path) + Send) {
    with_disk("64k", |place| {
        fs::write(place.join("old"), "older").expect("fits");
        let mut filler = fs::File::create(place.join("filler")).expect("fits");
        while filler.write_all(&[0; 4096]).is_ok() {}
        test(place);
    });
}

/// Runs `test` with a folder on a disk of its own, a tmpfs of `size`; says why where that is not
/// allowed.
pub(crate) fn with_disk(size: &str, test: impl FnOnce(&Path) + Send) {
    use nix::mount::{MsFlags, mount};
    let folder = folder();
    let place = folder.path();
    thread::scope(|scope| {
        let body = || {
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            let none = None::<&str>;
            let size = format!("size={size}");
            // The mounts of this thread alone: they go with it.
            let mounted = unshare(CloneFlags::CLONE_NEWNS)
                .and_then(|()| mount(none, "/", none, private, none))
                .and_then(|()| {
                    mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some(&*size))
                });
            if let Err(errno) = mounted {
                return println!("skipped: mounting a tmpfs: {errno}");
            }
            test(place);
        };
        if let Err(panic) = scope.spawn(body).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Waits until `true`; fails the test when that takes too long.
#[track_caller]
pub(crate) fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A `pfs run` that goes on until it is told to stop. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Live {
    child: Child,
    metrics: SocketAddr,
    /// What it said on standard error until it received.
    pub(crate) told: String,
    err: Option<JoinHandle<String>>,
}

impl Live {
    /// Starts `pfs run WORDS --json --metrics` and waits until it receives.
    #[track_caller]
    pub(crate) fn start(words: &str) -> Self {
        Self::spawn(pfs(&format!("run {words} -v --json --metrics 127.0.0.1:0")))
    }

    /// The same, of any command with those flags.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let mut read = String::new();
        let metrics = loop {
            let from = read.len();
            if lines.read_line(&mut read).expect("reads") == 0 {
                panic!("pfs ended: {read}");
            }
            if let Some((_, rest)) = read[from..].split_once("metrics at http://") {
                let address = rest.split('/').next().expect("an address");
                break address.parse().expect("an address");
            }
        };
        let told = read.clone();
        let err = thread::spawn(move || {
            let _ = lines.read_to_string(&mut read);
            read
        });
        let live = Self { child, metrics, told, err: Some(err) };
        until("the run to begin", || !live.page().is_empty());
        live
    }

    /// What `/metrics` serves.
    pub(crate) fn page(&self) -> String {
        let mut stream = TcpStream::connect(self.metrics).expect("connects");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asks");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        body.to_owned()
    }

    /// Counters of `/metrics` by name, summed over their labels.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for line in self.page().lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap_or(series);
            *sums.entry(name.to_owned()).or_default() += value.parse::<u64>().expect("a number");
        }
        sums
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("is there");
    }

    /// Waits for the end; the report is on its standard output.
    pub(crate) fn end(mut self) -> Done {
        let mut stdout = self.child.stdout.take().expect("piped");
        let out = thread::spawn(move || {
            let mut out = String::new();
            stdout.read_to_string(&mut out).map(|_| out)
        });
        until("the run to end", || self.child.try_wait().expect("is ours").is_some());
        let out = out.join().expect("reads").expect("is text");
        let status = self.child.wait().expect("ends");
        let err = self.err.take().expect("once").join().expect("reads");
        Done { code: status.code().unwrap_or(-1), out, err }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `content` in `folder`.
pub(crate) fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("writes");
    path
}
