//! `pfs kv import` and `pfs kv export`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pfs_dataplane::ops::ids::OutFile;
use pfs_kv::resp::{Client, Reply};
use serde::{Deserialize, Serialize};

use super::args::{ExportArgs, ImportArgs, LineFormat};
use super::bytes::{escape, hex, unescape, unhex};
use super::link::{Link, refused};
use super::one::{Entry, Pages, entries};
use crate::failure::Failure;
use crate::out;
use crate::progress::Progress;
use crate::run::figures::count;

/// Longest line: a key and a value of the greatest length, a hexadecimal digit each half byte.
const LINE_MAX: u64 = 300 << 20;
/// Keys that are set together, and bytes of them.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How often progress is shown.
const SHOWN: Duration = Duration::from_millis(100);

/// A line of JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

impl LineFormat {
    /// Appends a line.
    fn write(self, (key, value, expires): &Entry, line: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Plain => {
                escape(key, line);
                line.push(b'\t');
                escape(value, line);
                if let Some(at) = expires {
                    line.extend_from_slice(format!("\t{at}").as_bytes());
                }
            }
            Self::Json => {
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(ToOwned::to_owned);
                let digits = |bytes: &[u8], text: &Option<String>| {
                    let mut digits = Vec::new();
                    hex(bytes, &mut digits);
                    text.is_none().then(|| String::from_utf8_lossy(&digits).into_owned())
                };
                let (key_text, value_text) = (text(key), text(value));
                let json = JsonLine {
                    key_hex: digits(key, &key_text),
                    value_hex: digits(value, &value_text),
                    key: key_text,
                    value: value_text,
                    expires_ms: *expires,
                };
                serde_json::to_writer(&mut *line, &json).map_err(Failure::failed)?;
            }
        }
        line.push(b'\n');
        Ok(())
    }

    /// What a line without its end says.
    fn read(self, line: &[u8]) -> Result<Entry, String> {
        match self {
            Self::Plain => {
                let mut fields = line.split(|byte| *byte == b'\t');
                let key = unescape(fields.next().unwrap_or_default())?;
                let value = unescape(fields.next().ok_or("no tab follows the key")?)?;
                let expires = fields.next().map(|at| {
                    let at = std::str::from_utf8(at).ok().and_then(|at| at.parse().ok());
                    at.ok_or("milliseconds since 1970 follow the value's tab")
                });
                match fields.next() {
                    Some(_) => Err("more than three fields".to_owned()),
                    None => Ok((key, value, expires.transpose()?)),
                }
            }
            Self::Json => {
                let json: JsonLine =
                    serde_json::from_slice(line).map_err(|error| error.to_string())?;
                let bytes =
                    |name: &str, text: Option<String>, digits: Option<String>| match (text, digits)
                    {
                        (Some(text), None) => Ok(text.into_bytes()),
                        (None, Some(digits)) => unhex(digits.as_bytes()),
                        _ => Err(format!("it has either {name} or {name}_hex")),
                    };
                Ok((
                    bytes("key", json.key, json.key_hex)?,
                    bytes("value", json.value, json.value_hex)?,
                    json.expires_ms,
                ))
            }
        }
    }
}

/// Shows how far a transfer is, not too often.
struct Shown {
    progress: Progress,
    last: Instant,
    began: Instant,
}

impl Shown {
    fn new(end: Option<u64>) -> Self {
        let now = Instant::now();
        Self { progress: Progress::new(end), last: now, began: now }
    }

    fn show(&mut self, done: u64, keys: u64) {
        if !self.progress.is_log() && self.last.elapsed() >= SHOWN {
            self.last = Instant::now();
            let rate = keys as f64 / self.began.elapsed().as_secs_f64().max(1e-9);
            self.progress
                .show(done, format!("{} keys, {} a second", count(keys), count(rate as u64)));
        }
    }
}

/// `pfs kv export`.
///
/// # Errors
/// When the server fails or refuses, or the output cannot be written.
pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let prefix =
        unescape(args.prefix.as_bytes()).map_err(|why| Failure::usage(format!("PREFIX: {why}")))?;
    let link = Link::open(&args.target, false)?;
    let mut client = link.client()?;
    let keys = match client.call([b"DBSIZE"]).map_err(Failure::failed)? {
        Reply::Integer(keys) => u64::try_from(keys).unwrap_or(0),
        other => return Err(refused(&other, "DBSIZE")),
    };
    let mut file = OutFile::create(&args.output).map_err(Failure::failed)?;
    // How many keys have a prefix is known when they have been seen.
    let mut shown = Shown::new(prefix.is_empty().then_some(keys));
    let (mut pages, mut written, mut line) = (Pages::new(&prefix), 0, Vec::new());
    while let Some(keys) = pages.next(&mut client)? {
        let go_on = entries(&mut client, keys, |entry| {
            line.clear();
            args.format.write(&entry, &mut line)?;
            written += 1;
            shown.show(written, written);
            match file.put(&line) {
                Err(error) if error.is_broken_pipe() => Ok(false),
                other => other.map(|()| true).map_err(Failure::failed),
            }
        })?;
        if !go_on {
            return link.close();
        }
    }
    shown.progress.end();
    match file.publish(&[]) {
        Err(error) if error.is_broken_pipe() => {}
        other => other.map_err(Failure::failed)?,
    }
    if args.output.as_os_str() != "-" {
        out::print(&format!("{} keys written to {}\n", count(written), args.output.display()))?;
    }
    link.close()
}

/// `pfs kv import`.
///
/// # Errors
/// A line that is none, with its number and how many keys were set before; a write that the store refuses.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let (mut input, length) = open(&args.input)?;
    let link = Link::open(&args.target, true)?;
    let mut import = Import {
        client: link.client()?,
        format: args.format,
        path: &args.input,
        set: 0,
        lines: 0,
        read: 0,
        shown: Shown::new(length),
    };
    let done = import.run(&mut input);
    import.shown.progress.end();
    let set = import.set;
    done.map_err(|failure| {
        Failure::failed(format!("{failure}; {} keys were set before", count(set)))
    })?;
    out::print(&format!("{} keys set\n", count(set)))?;
    link.close()
}

/// A file, and its length where it has one.
type Opened = (BufReader<Box<dyn Read>>, Option<u64>);

fn open(path: &Path) -> Result<Opened, Failure> {
    if path.as_os_str() == "-" {
        return Ok((BufReader::new(Box::new(io::stdin())), None));
    }
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    let length = meta.is_file().then_some(meta.len());
    Ok((BufReader::with_capacity(1 << 20, Box::new(file)), length))
}

struct Import<'a> {
    client: Client,
    format: LineFormat,
    path: &'a Path,
    /// Keys set.
    set: u64,
    /// Lines and bytes read.
    lines: u64,
    read: u64,
    shown: Shown,
}

impl Import<'_> {
    fn run(&mut self, input: &mut impl BufRead) -> Result<(), Failure> {
        loop {
            let (mut pushed, mut bytes) = (0, 0);
            let mut wrong = None;
            while pushed < BATCH && bytes < BATCH_BYTES {
                match self.line(input) {
                    Ok(None) => break,
                    Ok(Some((key, value, expires))) => {
                        let at = expires.map(|at| at.to_string());
                        let mut words: Vec<&[u8]> = vec![b"SET", &key, &value];
                        if let Some(at) = &at {
                            words.extend([&b"PXAT"[..], at.as_bytes()]);
                        }
                        self.client.push(words);
                        (pushed, bytes) = (pushed + 1, bytes + key.len() + value.len());
                    }
                    // What was read before it is set all the same.
                    Err(failure) => {
                        wrong = Some(failure);
                        break;
                    }
                }
            }
            self.send(pushed)?;
            if let Some(failure) = wrong {
                return Err(failure);
            }
            if pushed == 0 {
                return Ok(());
            }
            self.shown.show(self.read, self.set);
        }
    }

    /// The next line's entry; `None` behind the last.
    fn line(&mut self, input: &mut impl BufRead) -> Result<Option<Entry>, Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                Failure::failed(format!("reading {}: {error}", self.path.display()))
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.lines += 1;
            self.read += read as u64;
            let fail = |why: String| {
                Failure::failed(format!("{} line {}: {why}", self.path.display(), self.lines))
            };
            if read as u64 > LINE_MAX {
                return Err(fail(format!("it is longer than {LINE_MAX} bytes")));
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.is_empty() {
                return self.format.read(text).map(Some).map_err(fail);
            }
        }
    }

    fn send(&mut self, pushed: usize) -> Result<(), Failure> {
        self.client.flush().map_err(Failure::failed)?;
        let mut failed = None;
        for _ in 0..pushed {
            match self.client.reply().map_err(Failure::failed)? {
                Reply::Simple(_) => self.set += 1,
                other => failed = failed.or_else(|| Some(refused(&other, "SET"))),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Whether standard input is typed in.
pub(super) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_from_lines() {
        let all: Vec<u8> = (0..=255).collect();
        for entry in [
            (b"k".to_vec(), b"v".to_vec(), None),
            (Vec::new(), Vec::new(), Some(7)),
            (all.clone(), "ä\t\n\"\\".into(), Some(u64::MAX)),
            ("\u{0}ü".into(), all, None),
        ] {
            for format in [LineFormat::Json, LineFormat::Plain] {
                let mut line = Vec::new();
                format.write(&entry, &mut line).unwrap();
                assert_eq!(line.pop(), Some(b'\n'));
                assert!(!line.contains(&b'\n'));
                assert_eq!(format.read(&line).unwrap(), entry, "{format:?}");
            }
        }
    }

    #[test]
    fn lines_that_are_none_say_why() {
        for (format, line, why) in [
            (LineFormat::Json, "{", "EOF"),
            (LineFormat::Json, r#"{"key":"a"}"#, "value or value_hex"),
            (LineFormat::Json, r#"{"key":"a","key_hex":"61","value":"b"}"#, "key or key_hex"),
            (LineFormat::Json, r#"{"key":"a","value_hex":"6"}"#, "whole bytes"),
            (LineFormat::Json, r#"{"key":"a","value":"b","ttl":1}"#, "unknown field"),
            (LineFormat::Json, r#"{"key":"a","value":"b","expires_ms":-1}"#, "invalid value"),
            (LineFormat::Plain, "a", "no tab"),
            (LineFormat::Plain, "a\tb\tc", "milliseconds"),
            (LineFormat::Plain, "a\tb\t1\t2", "three fields"),
            (LineFormat::Plain, "a\\\tb", "escapes nothing"),
        ] {
            let told = format.read(line.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
