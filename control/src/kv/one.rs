//! Commands on keys: get, set, del, scan, stats.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pfs_kv::VALUE_MAX;
use pfs_kv::resp::{Client, Reply};
use serde_json::{Map, Value};

use super::args::{ScanArgs, SetArgs, Target};
use super::bytes::Form;
use super::link::{Link, refused};
use super::{ends_line, given, put};
use crate::failure::Failure;
use crate::out;

/// Keys asked for at a time.
const PAGE: &[u8] = b"512";
/// Bytes of requests that are sent before their replies are read: both sides' sockets hold as much,
/// so that neither waits for the other.
const AHEAD: usize = 32 << 10;

/// `pfs kv get`.
///
/// # Errors
/// When there is no such key.
pub(super) fn get(key: &OsString, form: Form, target: &Target) -> Result<(), Failure> {
    let key = given(key, form, "KEY")?;
    let link = Link::open(target, false)?;
    let reply = link.client()?.call([&b"GET"[..], &key]).map_err(Failure::failed)?;
    match reply {
        Reply::Bulk(value) => {
            let mut text = Vec::with_capacity(value.len() + 1);
            form.write(&value, &mut text);
            if ends_line(form) {
                text.push(b'\n');
            }
            put(&text)?;
        }
        Reply::Null => {
            let key = key.escape_ascii();
            return Err(Failure::failed(format!(
                "there is no key {key} in database {}",
                target.db
            )));
        }
        other => return Err(refused(&other, "GET")),
    }
    link.close()
}

/// `pfs kv set`.
///
/// # Errors
/// When the condition does not hold, or the write is refused.
pub(super) fn set(args: &SetArgs) -> Result<(), Failure> {
    let key = given(&args.key, args.form, "KEY")?;
    let value = match (&args.value, &args.value_file) {
        (Some(value), _) => given(value, args.form, "VALUE")?,
        (None, Some(path)) => read(path)?,
        (None, None) => return Err(Failure::usage("give a VALUE or --value-file")),
    };
    let ttl = args.ttl_ms.map(|ms| ms.to_string());
    let mut words: Vec<&[u8]> = vec![b"SET", &key, &value];
    if let Some(ms) = &ttl {
        words.extend([&b"PX"[..], ms.as_bytes()]);
    }
    if args.absent {
        words.push(b"NX");
    }
    if args.present {
        words.push(b"XX");
    }
    let link = Link::open(&args.target, true)?;
    match link.client()?.call(words).map_err(Failure::failed)? {
        Reply::Simple(_) => link.close(),
        Reply::Null => {
            let is = if args.absent { "is there already" } else { "is not there" };
            Err(Failure::failed(format!("key {} {is}; nothing was set", key.escape_ascii())))
        }
        other => Err(refused(&other, "SET")),
    }
}

/// A file's bytes; `-` is standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error| Failure::failed(format!("reading {}: {error}", path.display()));
    let mut input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(fail)?)
    };
    let mut value = Vec::new();
    input.by_ref().take(VALUE_MAX as u64 + 1).read_to_end(&mut value).map_err(fail)?;
    if value.len() > VALUE_MAX {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path} is longer than a value may be: {VALUE_MAX} bytes"
        )));
    }
    Ok(value)
}

/// `pfs kv del`.
///
/// # Errors
/// When the store refuses it.
pub(super) fn del(keys: &[OsString], form: Form, target: &Target) -> Result<(), Failure> {
    let mut words = vec![b"DEL".to_vec()];
    for key in keys {
        words.push(given(key, form, "KEY")?);
    }
    let link = Link::open(target, false)?;
    match link.client()?.call(words).map_err(Failure::failed)? {
        Reply::Integer(number) => out::print(&format!("{number}\n"))?,
        other => return Err(refused(&other, "DEL")),
    }
    link.close()
}

/// Walks over the keys with a prefix, in order and page by page.
#[derive(Debug)]
pub(super) struct Pages {
    pattern: Vec<u8>,
    cursor: Vec<u8>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(prefix: &[u8]) -> Self {
        let mut pattern = Vec::with_capacity(prefix.len() + 1);
        for &byte in prefix {
            if b"*?[\\".contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern.push(b'*');
        Self { pattern, cursor: b"0".to_vec(), ended: false }
    }

    /// The next page; `None` behind the last.
    ///
    /// # Errors
    /// When the server fails or refuses.
    pub(super) fn next(&mut self, client: &mut Client) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let words = [b"SCAN", self.cursor.as_slice(), b"MATCH", &self.pattern, b"COUNT", PAGE];
        let reply = client.call(words).map_err(Failure::failed)?;
        let Reply::Array(parts) = reply else { return Err(refused(&reply, "SCAN")) };
        let Ok([Reply::Bulk(cursor), Reply::Array(keys)]) = <[Reply; 2]>::try_from(parts) else {
            return Err(Failure::failed("the server answers SCAN with no cursor and keys"));
        };
        self.ended = cursor == b"0";
        self.cursor = cursor;
        let keys = keys.into_iter().map(|key| match key {
            Reply::Bulk(key) => Ok(key),
            other => Err(refused(&other, "SCAN")),
        });
        keys.collect::<Result<_, _>>().map(Some)
    }
}

/// A key with its value and, where it expires, when: milliseconds since 1970.
pub(crate) type Entry = (Vec<u8>, Vec<u8>, Option<u64>);

/// Gives values and expiries of `keys` to `each`, in order; those gone meanwhile are left out. `each` tells
/// whether to go on.
///
/// # Errors
/// When the server fails or refuses.
pub(super) fn entries(
    client: &mut Client,
    keys: Vec<Vec<u8>>,
    mut each: impl FnMut(Entry) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let mut keys = keys.into_iter().peekable();
    while keys.peek().is_some() {
        let (mut sent, mut bytes) = (Vec::new(), 0);
        while let Some(key) = keys.next_if(|_| bytes < AHEAD) {
            client.push([&b"GET"[..], &key]);
            client.push([&b"PEXPIRETIME"[..], &key]);
            bytes += 2 * key.len() + 64;
            sent.push(key);
        }
        client.flush().map_err(Failure::failed)?;
        for key in sent {
            let value = client.reply().map_err(Failure::failed)?;
            let expiry = match client.reply().map_err(Failure::failed)? {
                Reply::Integer(at) => u64::try_from(at).ok(),
                other => return Err(refused(&other, "PEXPIRETIME")),
            };
            let go_on = match value {
                Reply::Bulk(value) => each((key, value, expiry))?,
                Reply::Null => true,
                other => return Err(refused(&other, "GET")),
            };
            if !go_on {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// `pfs kv scan`.
///
/// # Errors
/// When the server fails or refuses.
pub(super) fn scan(args: &ScanArgs) -> Result<(), Failure> {
    let prefix = given(&args.prefix, args.form, "PREFIX")?;
    let link = Link::open(&args.target, false)?;
    let mut client = link.client()?;
    let mut left = if args.limit == 0 { u64::MAX } else { args.limit };
    let mut pages = Pages::new(&prefix);
    while left > 0
        && let Some(mut keys) = pages.next(&mut client)?
    {
        keys.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= keys.len() as u64;
        let mut text = Vec::new();
        let read = if args.values {
            entries(&mut client, keys, |(key, value, _)| {
                text.clear();
                args.form.write(&key, &mut text);
                text.push(b'\t');
                args.form.write(&value, &mut text);
                text.push(b'\n');
                put(&text)
            })?
        } else {
            for key in &keys {
                args.form.write(key, &mut text);
                text.push(b'\n');
            }
            put(&text)?
        };
        if !read {
            break;
        }
    }
    link.close()
}

/// `pfs kv stats`.
///
/// # Errors
/// When the server fails or refuses.
pub(super) fn stats(json: bool, target: &Target) -> Result<(), Failure> {
    let link = Link::open(target, false)?;
    let info = match link.client()?.call([b"INFO"]).map_err(Failure::failed)? {
        Reply::Bulk(info) => String::from_utf8_lossy(&info).into_owned(),
        other => return Err(refused(&other, "INFO")),
    };
    if json {
        let mut sections = Map::new();
        let mut section = String::new();
        for line in info.lines() {
            if let Some(title) = line.strip_prefix("# ") {
                section = title.to_lowercase();
            } else if let Some((name, value)) = line.split_once(':') {
                let value = serde_json::from_str::<Value>(value)
                    .ok()
                    .filter(Value::is_number)
                    .unwrap_or_else(|| value.into());
                let fields = sections.entry(section.clone()).or_insert_with(|| Map::new().into());
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
        out::json(&sections)?;
    } else {
        out::print(&info.replace('\r', ""))?;
    }
    link.close()
}
