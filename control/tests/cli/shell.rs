//! `pfs kv shell` in a terminal: a real one, which script(1) makes and keys are typed into.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::common::folder;

/// A terminal with `pfs` in it.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// `None`, and says why, where script(1) is not installed.
    fn start(words: &str) -> Option<Self> {
        let command = format!("{} {words}", env!("CARGO_BIN_EXE_pfs"));
        let started = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: script, which makes a terminal: {error}; install bsdutils");
                return None;
            }
        };
        let (keys, mut out) = (child.stdin.take()?, child.stdout.take()?);
        let (send, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut piece) {
                let _ = send.send(piece[..count].to_vec());
            }
        });
        let mut terminal = Self { child, keys, pieces, seen: String::new() };
        terminal.shows("");
        Some(terminal)
    }

    /// Types `keys` and waits until the terminal shows `text`, and then asks for more.
    #[track_caller]
    fn types(&mut self, keys: &str, text: &str) {
        self.seen.clear();
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.shows(text);
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        let asks =
            |seen: &str| seen.split_once(text).is_some_and(|(_, rest)| rest.contains("kv> "));
        while !asks(&self.seen) {
            let left = until.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&piece);
        }
    }

    /// Waits for the end of what runs in it; its exit code.
    fn end(mut self) -> Option<i32> {
        // Not before: the end of its input ends the terminal.
        let status = self.child.wait().expect("it is this one's child");
        drop(self.keys);
        status.code()
    }
}

const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const HOME: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_R: &str = "\x12";

#[test]
fn a_terminal_has_editing_and_a_history_that_stays() {
    let folder = folder();
    let (store, history) = (folder.path().join("store"), folder.path().join("history"));
    let words = format!("kv shell --dir {} --history {}", store.display(), history.display());
    let Some(mut terminal) = Terminal::start(&words) else { return };
    terminal.types("SET apple red\r", "OK");
    // The last letter is taken back; two are put in where the cursor goes; the verb is typed last.
    terminal.types("GET applx\x7fe\r", "\"red\"");
    terminal.types(&format!("GET ale{LEFT}{LEFT}pp\r"), "\"red\"");
    terminal.types(&format!(" apple{HOME}STRLEN\r"), "(integer) 3");
    // The command before, and the one before that, changed.
    terminal.types(&format!("{UP}\r"), "(integer) 3");
    terminal.types(&format!("{UP}{UP}x\r"), "(nil)");
    // A line given up is not run, and a wrong one does not end the shell.
    terminal.types(&format!("DEL apple{CTRL_C}"), "\n");
    terminal.types("EXISTS apple\r", "(integer) 1");
    terminal.types("NONSENSE\r", "(error) ERR unknown command");
    terminal.types("AUTH secret\r", "(error)");
    terminal.types("PING\r", "PONG");
    terminal.keys.write_all(CTRL_D.as_bytes()).expect("it takes keys");
    assert_eq!(terminal.end(), Some(0));
    let kept = std::fs::read_to_string(&history).expect("a history");
    assert!(kept.contains("SET apple red\n") && kept.contains("STRLEN apple\n"), "{kept}");
    assert!(!kept.contains("secret") && !kept.contains("DEL apple"), "{kept}");
    // Another one knows it, and the store.
    let mut terminal = Terminal::start(&words).expect("there was one before");
    terminal.types(&format!("{UP}\r"), "PONG");
    terminal.types(&format!("{CTRL_R}STRLEN\r"), "(integer) 3");
    terminal.keys.write_all(b"QUIT\r").expect("it takes keys");
    assert_eq!(terminal.end(), Some(0));
}
