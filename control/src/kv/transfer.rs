//! `pfs kv import` and `pfs kv export`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pfs_dataplane::ops::ids::OutFile;
use pfs_kv::resp::{Client, Reply};
use serde::{Deserialize, Serialize};

use super::args::{ExportArgs, ImportArgs, LineFormat, Only};
use super::bytes::{escape, hex, unescape, unhex};
use super::link::{LineClient, Link, refused};
use super::one::{Entry, Pages, entries};
use super::pair_lines::{self, Pair, PairImport};
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
    pair: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<bool>,
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

/// What a line stands for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Key(Entry),
    Pair(Pair),
}

/// Bytes as text, or as hexadecimal digits where they are none.
pub(crate) fn either(bytes: &[u8]) -> (Option<String>, Option<String>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Some(text.to_owned()), None);
    }
    let mut digits = Vec::new();
    hex(bytes, &mut digits);
    (None, Some(String::from_utf8_lossy(&digits).into_owned()))
}

/// The bytes that [`either`] made `text` or `digits` of.
pub(crate) fn bytes(
    name: &str,
    text: Option<String>,
    digits: Option<String>,
) -> Result<Vec<u8>, String> {
    match (text, digits) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(digits)) => unhex(digits.as_bytes()),
        _ => Err(format!("it has either {name} or {name}_hex")),
    }
}

impl JsonLine {
    fn of(line: &Line) -> Self {
        match line {
            Line::Key((key, value, expires_ms)) => {
                let ((key, key_hex), (value, value_hex)) = (either(key), either(value));
                let expires_ms = *expires_ms;
                Self { key, key_hex, value, value_hex, expires_ms, ..Self::default() }
            }
            Line::Pair(Pair { key, to, hidden }) => {
                let (pair, pair_hex) = either(key);
                let payload = to.as_ref().map(|(_, payload)| either(payload));
                let (payload, payload_hex) = payload.unwrap_or_default();
                let (to, hidden) = (to.as_ref().map(|&(to, _)| to), hidden.then_some(true));
                Self { pair, pair_hex, to, payload, payload_hex, hidden, ..Self::default() }
            }
        }
    }

    fn line(self) -> Result<Line, String> {
        let leads = self.to.is_some() || self.payload.is_some() || self.payload_hex.is_some();
        let of_pair = self.pair.is_some() || self.pair_hex.is_some() || self.hidden.is_some();
        let of_key = self.key.is_some() || self.key_hex.is_some();
        match (leads || of_pair, of_key) {
            (false, _) => Ok(Line::Key((
                bytes("key", self.key, self.key_hex)?,
                bytes("value", self.value, self.value_hex)?,
                self.expires_ms,
            ))),
            (true, true) => Err("it is a key and a pair".to_owned()),
            (true, false) => {
                let key = bytes("pair", self.pair, self.pair_hex)?;
                let payload = leads.then(|| bytes("payload", self.payload, self.payload_hex));
                let to = match payload.transpose()? {
                    Some(payload) => {
                        Some((self.to.ok_or("a pair with a payload has a number, to")?, payload))
                    }
                    None => None,
                };
                Ok(Line::Pair(Pair { key, to, hidden: self.hidden.unwrap_or(false) }))
            }
        }
    }
}

impl LineFormat {
    /// Appends a line.
    fn write(self, entry: &Line, line: &mut Vec<u8>) -> Result<(), Failure> {
        match (self, entry) {
            (Self::Plain, Line::Key((key, value, expires))) => {
                escape(key, line);
                line.push(b'\t');
                escape(value, line);
                if let Some(at) = expires {
                    line.extend_from_slice(format!("\t{at}").as_bytes());
                }
            }
            (Self::Plain, Line::Pair(Pair { key, to, hidden })) => {
                line.extend_from_slice(if *hidden { b"\\H\t" } else { b"\\P\t" });
                escape(key, line);
                if let Some((to, payload)) = to {
                    line.extend_from_slice(format!("\t{to}\t").as_bytes());
                    escape(payload, line);
                }
            }
            (Self::Json, entry) => {
                serde_json::to_writer(&mut *line, &JsonLine::of(entry)).map_err(Failure::failed)?;
            }
        }
        line.push(b'\n');
        Ok(())
    }

    /// What a line without its end says.
    fn read(self, line: &[u8]) -> Result<Line, String> {
        match self {
            Self::Plain => {
                let mut fields = line.split(|byte| *byte == b'\t');
                let first = fields.next().unwrap_or_default();
                let read = match first {
                    b"\\P" => plain_pair(&mut fields, false).map(Line::Pair)?,
                    b"\\H" => plain_pair(&mut fields, true).map(Line::Pair)?,
                    key => plain_key(key, &mut fields).map(Line::Key)?,
                };
                match fields.next() {
                    Some(_) => Err("more than three fields".to_owned()),
                    None => Ok(read),
                }
            }
            Self::Json => {
                let json: JsonLine =
                    serde_json::from_slice(line).map_err(|error| error.to_string())?;
                json.line()
            }
        }
    }
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok().and_then(|field| field.parse().ok())
}

fn plain_key<'a>(key: &[u8], fields: &mut impl Iterator<Item = &'a [u8]>) -> Result<Entry, String> {
    let key = unescape(key)?;
    let value = unescape(fields.next().ok_or("no tab follows the key")?)?;
    let expires =
        fields.next().map(|at| number(at).ok_or("milliseconds since 1970 follow the value's tab"));
    Ok((key, value, expires.transpose()?))
}

fn plain_pair<'a>(
    fields: &mut impl Iterator<Item = &'a [u8]>,
    hidden: bool,
) -> Result<Pair, String> {
    let key = unescape(fields.next().ok_or("no pair follows")?)?;
    let to = match fields.next() {
        Some(to) => {
            let to = number(to).ok_or("a number follows the pair")?;
            Some((to, unescape(fields.next().ok_or("a value follows the number")?)?))
        }
        None => None,
    };
    Ok(Pair { key, to, hidden })
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
    // Both are reached before a file is begun.
    let keys = (args.only != Some(Only::Pairs)).then(|| link.client()).transpose()?;
    let pairs = (args.only != Some(Only::Keys)).then(|| link.lines()).transpose();
    let pairs = pairs
        .map_err(|failure| Failure::failed(format!("{failure}; --only keys leaves pairs out")))?;
    let mut export = Export {
        format: args.format,
        file: OutFile::create(&args.output).map_err(Failure::failed)?,
        shown: Shown::new(None),
        keys: 0,
        pairs: 0,
        line: Vec::new(),
    };
    let mut reads_on = true;
    if let Some(mut client) = keys {
        reads_on = export.write_keys(&mut client, &prefix)?;
    }
    if let Some(mut lines) = pairs.filter(|_| reads_on) {
        reads_on = pair_lines::export(&mut lines, &prefix, |pair| export.write(&Line::Pair(pair)))?;
    }
    if reads_on {
        export.end(&args.output)?;
    }
    link.close()
}

/// An export under way.
struct Export {
    format: LineFormat,
    file: OutFile,
    shown: Shown,
    /// Keys and pairs written.
    keys: u64,
    pairs: u64,
    line: Vec<u8>,
}

impl Export {
    /// Writes all keys with `prefix`; whether anybody reads on.
    fn write_keys(&mut self, client: &mut Client, prefix: &[u8]) -> Result<bool, Failure> {
        // How many keys have a prefix is known when they have been seen.
        if prefix.is_empty() {
            let keys = match client.call([b"DBSIZE"]).map_err(Failure::failed)? {
                Reply::Integer(keys) => u64::try_from(keys).unwrap_or(0),
                other => return Err(refused(&other, "DBSIZE")),
            };
            self.shown = Shown::new(Some(keys));
        }
        let mut pages = Pages::new(prefix);
        while let Some(keys) = pages.next(client)? {
            if !entries(client, keys, |entry| self.write(&Line::Key(entry)))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a line; whether anybody reads on.
    fn write(&mut self, line: &Line) -> Result<bool, Failure> {
        self.line.clear();
        self.format.write(line, &mut self.line)?;
        match line {
            Line::Key(_) => self.keys += 1,
            Line::Pair(_) => self.pairs += 1,
        }
        self.shown.show(self.keys + self.pairs, self.keys + self.pairs);
        match self.file.put(&self.line) {
            Err(error) if error.is_broken_pipe() => Ok(false),
            other => other.map(|()| true).map_err(Failure::failed),
        }
    }

    fn end(self, output: &Path) -> Result<(), Failure> {
        self.shown.progress.end();
        match self.file.publish(&[]) {
            Err(error) if error.is_broken_pipe() => {}
            other => other.map_err(Failure::failed)?,
        }
        if output.as_os_str() == "-" {
            return Ok(());
        }
        out::print(&format!("{} written to {}\n", told(self.keys, self.pairs), output.display()))
    }
}

/// `3 keys`, and pairs where there are some.
fn told(keys: u64, pairs: u64) -> String {
    let pairs = if pairs == 0 { String::new() } else { format!(" and {} pairs", count(pairs)) };
    format!("{} keys{pairs}", count(keys))
}

/// `pfs kv import`.
///
/// # Errors
/// A line that is none, with its number and how many keys were set before; a write that the store refuses.
pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let (mut input, length) = open(&args.input)?;
    let link = Link::open(&args.target, true)?;
    let mut import = Import {
        link: &link,
        client: link.client()?,
        pairs: PairImport::default(),
        lines_client: None,
        format: args.format,
        path: &args.input,
        set: 0,
        lines: 0,
        read: 0,
        shown: Shown::new(length),
    };
    let done = import.run(&mut input);
    import.shown.progress.end();
    let set = told(import.set, import.pairs.set);
    drop(import);
    done.map_err(|failure| Failure::failed(format!("{failure}; {set} were set before")))?;
    out::print(&format!("{set} set\n"))?;
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
    link: &'a Link,
    client: Client,
    pairs: PairImport,
    /// For pairs, from the first one on.
    lines_client: Option<LineClient>,
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
                    Ok(Some(Line::Pair(pair))) => {
                        if let Err(why) = self.pairs.push(pair) {
                            wrong = Some(self.at_line(&why));
                            break;
                        }
                        if self.pairs.is_full() {
                            break;
                        }
                    }
                    Ok(Some(Line::Key((key, value, expires)))) => {
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
            let had_pairs = !self.pairs.is_empty();
            self.send_pairs()?;
            if let Some(failure) = wrong {
                return Err(failure);
            }
            if pushed == 0 && !had_pairs {
                return Ok(());
            }
            self.shown.show(self.read, self.set + self.pairs.set);
        }
    }

    /// Sets the pairs that wait.
    fn send_pairs(&mut self) -> Result<(), Failure> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let client = match &mut self.lines_client {
            Some(client) => client,
            none => none.insert(self.link.lines()?),
        };
        self.pairs.send(client)
    }

    fn at_line(&self, why: &str) -> Failure {
        Failure::failed(format!("{} line {}: {why}", self.path.display(), self.lines))
    }

    /// What the next line stands for; `None` behind the last.
    fn line(&mut self, input: &mut impl BufRead) -> Result<Option<Line>, Failure> {
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
            if read as u64 > LINE_MAX {
                return Err(self.at_line(&format!("it is longer than {LINE_MAX} bytes")));
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.is_empty() {
                let read = self.format.read(text);
                return read.map(Some).map_err(|why| self.at_line(&why));
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
        let pair = |key: &[u8], to: Option<(u64, &[u8])>, hidden| {
            let to = to.map(|(to, payload)| (to, payload.to_vec()));
            Line::Pair(Pair { key: key.to_vec(), to, hidden })
        };
        for entry in [
            Line::Key((b"k".to_vec(), b"v".to_vec(), None)),
            Line::Key((Vec::new(), Vec::new(), Some(7))),
            Line::Key((all.clone(), "ä\t\n\"\\".into(), Some(u64::MAX))),
            Line::Key(("\u{0}ü".into(), all.clone(), None)),
            Line::Key((b"\\P".to_vec(), b"p".to_vec(), None)),
            pair(b"p", Some((7, b"v")), false),
            pair(&all, Some((u64::MAX, &all)), true),
            pair(b"\t\\H", None, true),
            pair(b"nowhere", None, false),
            pair(b"\\P", Some((1, b"")), false),
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
            (LineFormat::Json, r#"{"pair":"a","payload":"b"}"#, "a number"),
            (LineFormat::Json, r#"{"pair":"a","to":1}"#, "payload or payload_hex"),
            (LineFormat::Json, r#"{"to":1,"key":"a"}"#, "a key and a pair"),
            (LineFormat::Json, r#"{"to":1,"payload":"a"}"#, "pair or pair_hex"),
            (LineFormat::Plain, "\\P\ta\t1", "a value follows"),
            (LineFormat::Plain, "\\P\ta\tx", "a number follows"),
            (LineFormat::Plain, "\\H\ta\t1\tb\tc", "three fields"),
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
