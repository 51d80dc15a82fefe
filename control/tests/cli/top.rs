//! `pfs top`, in a real terminal: tmux's.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::{done, folder, until};
use crate::control_socket::{idle_run, pfs_at};

/// A terminal of tmux with one program in it, on a server of its own. Ends when dropped.
struct Terminal {
    server: String,
}

impl Terminal {
    /// Runs `pfs top ARGS` at `width` × `height`, then says how it ended and what state it left the
    /// terminal in. `None`, with the reason printed, where tmux is missing.
    fn start(place: &Path, args: &str, variables: &str, width: u16, height: u16) -> Option<Self> {
        let has = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
        if !has.is_ok_and(|status| status.success()) {
            println!("skipped: tmux is not installed");
            return None;
        }
        let server = format!("pfs-{}-{}", std::process::id(), place.file_name()?.to_string_lossy());
        let pfs = env!("CARGO_BIN_EXE_pfs");
        let script = format!(
            "PFS_RUNTIME_DIR={} {variables} {pfs} top {args}; echo ended $?; stty -a | tr ' ;' '\\n\\n' | grep -x -e -\\\\?echo -e -\\\\?icanon; sleep 60",
            place.display()
        );
        let terminal = Self { server };
        let size = [width.to_string(), height.to_string()];
        terminal.tmux(&["new-session", "-d", "-x", &size[0], "-y", &size[1], &script]);
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.server, "-f", "/dev/null"]).args(words);
        command.env_remove("TMUX").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        let output = command.output().expect("runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Waits until all of `words` are on the screen.
    #[track_caller]
    fn shows(&self, words: &[&str]) {
        let mut screen = String::new();
        let began = std::time::Instant::now();
        while !words.iter().all(|word| screen.contains(word)) {
            assert!(began.elapsed().as_secs() < 20, "{words:?} are not all on\n{screen}");
            std::thread::sleep(std::time::Duration::from_millis(50));
            screen = self.screen();
        }
    }

    /// The process that tmux runs, and `pfs` in it.
    fn pfs(&self) -> Pid {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let children = format!("/proc/{0}/task/{0}/children", shell.trim());
        let children = std::fs::read_to_string(children).expect("lists");
        let pid = children.split_whitespace().next().expect("a child");
        Pid::from_raw(pid.parse().expect("a number"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_run_is_watched_with_keys_in_any_size() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let Some(terminal) = Terminal::start(place.path(), "--interval 100", "", 100, 30) else {
        live.signal(Signal::SIGINT);
        return drop(live.end().ok());
    };
    let pid = format!("pid {}", live.pid());
    terminal.shows(&[
        "pfs top  udp-0",
        &pid,
        "running",
        "lost",
        "residual 0",
        "udp-0 → 0",
        "crc32c",
        "pool",
        "ring",
    ]);
    terminal.keys(&["s"]);
    terminal.shows(&["sort: rate"]);
    terminal.keys(&["p"]);
    terminal.shows(&["paused; running"]);
    terminal.keys(&["p"]);
    terminal.keys(&["Enter"]);
    terminal.shows(&["worker 0 on core", "cycles/packet"]);
    terminal.keys(&["Escape"]);
    terminal.keys(&["?"]);
    terminal.shows(&["Ctrl-C", "zoom into"]);
    terminal.keys(&["?"]);
    terminal.keys(&["r"]);
    terminal.shows(&["sort: place"]);
    for (width, height) in [(80, 24), (40, 10)] {
        terminal.resize(width, height);
        terminal.shows(&["running", "in", "residual 0", "udp-0 → 0"]);
        let screen = terminal.screen();
        assert!(screen.lines().all(|line| line.chars().count() <= width.into()), "{screen}");
    }
    terminal.resize(80, 24);
    terminal.shows(&["crc32c", "sort: place"]);
    terminal.keys(&["q"]);
    terminal.shows(&["ended 0", "\necho", "\nicanon"]);
    live.signal(Signal::SIGINT);
    live.end().ok();
}

#[test]
fn a_run_that_ends_is_said_and_one_that_comes_again_is_watched() {
    let place = folder();
    let live = idle_run(place.path(), "");
    let Some(terminal) = Terminal::start(place.path(), "--interval 100", "NO_COLOR=1", 80, 24)
    else {
        live.signal(Signal::SIGINT);
        return drop(live.end().ok());
    };
    terminal.shows(&["running"]);
    let colored = terminal.tmux(&["capture-pane", "-p", "-e"]);
    // 39 and 49 are the terminal's own.
    let colours = ["30", "31", "32", "33", "34", "35", "36", "37", "38", "48", "9"];
    let is_set = |colour: &&str| colored.contains(&format!("\u{1b}[{colour}"));
    assert_eq!(colours.iter().find(|colour| is_set(colour)), None, "{colored:?}");
    live.signal(Signal::SIGINT);
    live.end().ok();
    terminal.shows(&["ended; waiting for it to run again"]);
    let again = idle_run(place.path(), "");
    terminal.shows(&["running", &format!("pid {}", again.pid())]);
    again.signal(Signal::SIGKILL);
    again.end();
    terminal.shows(&["LOST; waiting for it to run again"]);
    nix::sys::signal::kill(terminal.pfs(), Signal::SIGTERM).expect("is there");
    terminal.shows(&["ended 0", "\necho", "\nicanon"]);
}

#[test]
fn of_several_runs_one_is_chosen() {
    let place = folder();
    let (one, other) = (idle_run(place.path(), ""), idle_run(place.path(), ""));
    done(pfs_at(place.path(), "top --once --json"))
        .fails(2, &["several runs", &one.pid().to_string(), &other.pid().to_string()]);
    done(pfs_at(place.path(), "top --once udp-0")).fails(2, &["several runs"]);
    done(pfs_at(place.path(), "top --once nobody")).fails(1, &["no run nobody", "udp-0"]);
    if let Some(terminal) = Terminal::start(place.path(), "--interval 100", "", 80, 24) {
        terminal.shows(&["pid", &one.pid().to_string(), &other.pid().to_string(), "enter watch"]);
        let later = one.pid().max(other.pid());
        terminal.keys(&["j", "Enter"]);
        terminal.shows(&["running", &format!("pid {later}")]);
        terminal.keys(&["l"]);
        terminal.shows(&["enter watch"]);
        terminal.keys(&["C-c"]);
        terminal.shows(&["ended 0"]);
    }
    for live in [one, other] {
        live.signal(Signal::SIGINT);
        live.end().ok();
    }
}

#[test]
fn one_look_is_printed_as_text_and_as_json() {
    let place = folder();
    let words = "run --from memory:64 --prog xor:255,crc32c --run-to-completion --seconds 15 --quiet --json";
    let mut child = pfs_at(place.path(), words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    until("its socket", || {
        std::fs::read_dir(place.path()).is_ok_and(|mut found| {
            found.any(|entry| {
                entry.is_ok_and(|entry| {
                    entry.path().extension().is_some_and(|ending| ending == "sock")
                })
            })
        })
    });
    let looked = done(pfs_at(place.path(), "top --once --json --interval 300"));
    let document: Value = looked.json();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["run"]["pid"], child.id());
    assert!(document["rates"]["consumed_pps"].as_f64().expect("a rate") > 1000.0, "{document}");
    assert!(document["ops"][0]["cycles_per_packet"].as_f64().expect("a cost") > 0.0, "{document}");
    assert_eq!(document["books"]["residual"], 0);
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/live.schema.json")).expect("a schema");
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .expect("is one")
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let text =
        done(pfs_at(place.path(), &format!("top --once --interval 100 {}", child.id()))).ok();
    assert!(
        text.contains("pfs top") && text.contains("worker 0") && text.contains("residual 0"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
    done(pfs_at(place.path(), "top")).fails(2, &["no terminal", "--once"]);
    nix::sys::signal::kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("is there");
    child.wait().expect("ends");
}
