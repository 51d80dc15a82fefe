//! `pfs kv shell`: commands of Redis, line by line.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use pfs_kv::resp::{Client, Reply};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::args::Target;
use super::bytes::words;
use super::link::Link;
use super::transfer::is_typed;
use crate::failure::Failure;
use crate::out;

const HELP: &str = "A line is a command of Redis: GET key, SET key value, SCAN 0 MATCH a* COUNT 100, INFO …\n\
    Words may be quoted: \"with \\\"escapes\\\" \\x00\" or 'without'. COMMAND lists all; QUIT or Ctrl-D ends.\n";

/// Reads commands until the input ends or one is `QUIT`; from a terminal with editing and a history.
///
/// # Errors
/// When the connection fails; when no terminal gives the commands, also for the first that is refused.
pub(super) fn shell(history: Option<&Path>, target: &Target) -> Result<(), Failure> {
    let link = Link::open(target, true)?;
    let mut client = link.client()?;
    if is_typed() {
        typed(&mut client, history)?;
    } else {
        for line in io::stdin().lock().split(b'\n') {
            let line =
                line.map_err(|error| Failure::failed(format!("reading standard input: {error}")))?;
            match answer(&mut client, &line) {
                Answer::Told => {}
                Answer::Ended => break,
                Answer::Refused(why) | Answer::Failed(Failing(why)) => return Err(why),
            }
        }
    }
    link.close()
}

/// A connection that is of no more use.
struct Failing(Failure);

enum Answer {
    Told,
    Ended,
    Refused(Failure),
    Failed(Failing),
}

/// Executes a line and prints what came of it.
fn answer(client: &mut Client, line: &[u8]) -> Answer {
    let words = match words(line) {
        Ok(words) => words,
        Err(why) => return Answer::Refused(Failure::failed(why)),
    };
    let Some(verb) = words.first() else { return Answer::Told };
    let printed = |text: &str| match out::print(text) {
        Ok(()) => Answer::Told,
        Err(failure) => Answer::Failed(Failing(failure)),
    };
    if words.len() == 1 && verb.eq_ignore_ascii_case(b"HELP") {
        return printed(HELP);
    }
    if verb.eq_ignore_ascii_case(b"QUIT") || verb.eq_ignore_ascii_case(b"EXIT") {
        return Answer::Ended;
    }
    match client.call(&words) {
        Err(error) => Answer::Failed(Failing(Failure::failed(error))),
        Ok(Reply::Error(text)) => Answer::Refused(Failure::failed(String::from_utf8_lossy(&text))),
        Ok(reply) => {
            let mut text = String::new();
            show(&reply, 0, &mut text);
            printed(&text)
        }
    }
}

/// A reply as people read it: strings quoted with escapes, rows numbered.
fn show(reply: &Reply, depth: usize, text: &mut String) {
    match reply {
        Reply::Simple(bytes) => *text += &format!("{}\n", String::from_utf8_lossy(bytes)),
        Reply::Error(bytes) => *text += &format!("(error) {}\n", String::from_utf8_lossy(bytes)),
        Reply::Integer(number) => *text += &format!("(integer) {number}\n"),
        // Replies of many lines, as of INFO, are read as they are.
        Reply::Bulk(bytes) if bytes.ends_with(b"\r\n") => {
            *text += &String::from_utf8_lossy(bytes).replace('\r', "");
        }
        Reply::Bulk(bytes) => *text += &format!("{}\n", quoted(bytes)),
        Reply::Null => *text += "(nil)\n",
        Reply::Array(rows) if rows.is_empty() => *text += "(empty)\n",
        Reply::Array(rows) => {
            for (at, row) in rows.iter().enumerate() {
                if at > 0 {
                    *text += &"   ".repeat(depth);
                }
                *text += &format!("{}) ", at + 1);
                show(row, depth + 1, text);
            }
        }
        Reply::Map(rows) => {
            for (at, (key, value)) in rows.iter().enumerate() {
                if at > 0 {
                    *text += &"   ".repeat(depth);
                }
                *text += &format!("{}# ", at + 1);
                show(key, depth + 1, text);
                *text += &"   ".repeat(depth + 1);
                show(value, depth + 1, text);
            }
        }
        Reply::Double(number) => *text += &format!("(double) {number}\n"),
        Reply::Boolean(is) => *text += &format!("({is})\n"),
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    super::bytes::escape(bytes, &mut text);
    format!("\"{}\"", String::from_utf8_lossy(&text).replace('"', "\\\""))
}

/// Commands from a terminal.
fn typed(client: &mut Client, history: Option<&Path>) -> Result<(), Failure> {
    let fail = |error: ReadlineError| Failure::failed(format!("reading the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(fail)?;
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pfs_kv_history"));
    let history = history.map(Path::to_owned).or_else(home);
    if let Some(path) = &history
        && path.exists()
        && let Err(error) = editor.load_history(path)
    {
        out::complain(&format!("pfs: reading the history {}: {error}", path.display()));
    }
    loop {
        let line = match editor.readline("kv> ") {
            Ok(line) => line,
            // Ctrl-C gives the line up.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(fail(error)),
        };
        if is_kept(&line) {
            editor.add_history_entry(&line).map_err(fail)?;
        }
        match answer(client, line.as_bytes()) {
            Answer::Told => {}
            Answer::Ended => break,
            Answer::Refused(why) => out::complain(&format!("(error) {why}")),
            Answer::Failed(Failing(why)) => return Err(why),
        }
    }
    if let Some(path) = &history
        && let Err(error) = editor.save_history(path)
    {
        out::complain(&format!("pfs: keeping the history in {}: {error}", path.display()));
    }
    Ok(())
}

/// Whether a line goes into the history: passwords do not.
fn is_kept(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    !upper.trim().is_empty()
        && !upper.split_whitespace().any(|word| word.trim_matches(['"', '\'']) == "AUTH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_shown_as_people_read_them() {
        let row = |text: &str| Reply::Bulk(text.into());
        let reply = Reply::Array(vec![row("0"), Reply::Array(vec![row("a\n\""), Reply::Null])]);
        let mut text = String::new();
        show(&reply, 0, &mut text);
        assert_eq!(text, "1) \"0\"\n2) 1) \"a\\n\\\"\"\n   2) (nil)\n");
    }

    #[test]
    fn passwords_are_not_kept() {
        assert!(is_kept("GET author"));
        for line in ["AUTH s3cret", " auth 's'", "HELLO 3 AUTH default s", "\"AUTH\" s", ""] {
            assert!(!is_kept(line), "{line}");
        }
    }
}
