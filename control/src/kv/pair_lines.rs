//! Pairs on their way out of a store and into another one, with the values that they lead to.
//!
//! Absolute keys are the store's own: another store gives out others. So a pair is written with the value that it
//! leads to, and its number tells only which pairs lead to the same one.

use std::collections::{BTreeSet, HashMap};

use super::bytes::{hex, unhex};
use super::link::LineClient;
use crate::failure::Failure;

/// Pairs of a page, and of a batch.
const PAGE: usize = 512;

/// A pair as an export has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Vec<u8>,
    /// The absolute key that it led to.
    pub(super) to: u64,
    /// The value there; `None` when there is none.
    pub(super) payload: Option<Vec<u8>>,
    /// Scans leave it out unless asked.
    pub(super) hidden: bool,
}

/// Any bytes as a line can carry them.
pub(super) fn operand(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "*".to_owned();
    }
    let mut digits = Vec::new();
    hex(bytes, &mut digits);
    format!("x{}", String::from_utf8_lossy(&digits))
}

/// Gives all pairs that begin with `prefix` to `each`, in order, which tells whether to go on.
///
/// # Errors
/// When the server fails or refuses, and of `each`.
pub(super) fn export(
    client: &mut LineClient,
    prefix: &[u8],
    mut each: impl FnMut(Pair) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let (prefix, mut cursor) = (operand(prefix), "*".to_owned());
    loop {
        let page = format!("PAIR_SCAN {prefix} {PAGE} {cursor}");
        let (all, next) = rows(&client.call(format!("{page} include_hidden=1").as_bytes())?)?;
        let (shown, _) = rows(&client.call(page.as_bytes())?)?;
        let shown: BTreeSet<Vec<u8>> = shown.into_iter().map(|(key, _)| key).collect();
        let payloads = payloads(client, all.iter().map(|&(_, to)| to))?;
        for ((key, to), payload) in all.into_iter().zip(payloads) {
            let hidden = !shown.contains(&key);
            if !each(Pair { key, to, payload, hidden })? {
                return Ok(false);
            }
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(true),
        }
    }
}

type Rows = Vec<(Vec<u8>, u64)>;

/// The rows of a reply to `PAIR_SCAN`, and the cursor of the next page.
fn rows(reply: &[u8]) -> Result<(Rows, Option<String>), Failure> {
    let fail = || Failure::failed("the server answers PAIR_SCAN with something else");
    let text = std::str::from_utf8(reply).map_err(|_| fail())?;
    let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
    let items = field("items=").unwrap_or_default().split(';').filter(|item| !item.is_empty());
    let row = |item: &str| {
        let (key, to) = item.split_once(':')?;
        Some((unhex(key.as_bytes()).ok()?, to.parse().ok()?))
    };
    let rows = items.map(row).collect::<Option<_>>().ok_or_else(fail)?;
    Ok((rows, field("next_cursor=").map(str::to_owned)))
}

/// The values of absolute keys.
fn payloads(
    client: &mut LineClient,
    numbers: impl Iterator<Item = u64>,
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let lines: Vec<_> = numbers.map(|number| format!("READ {number}").into_bytes()).collect();
    let replies = client.call_many(&lines)?;
    let payload = |reply: Result<Vec<u8>, String>| match reply {
        Err(text) if text.starts_with("ERROR,key_not_found") => Ok(None),
        Err(text) => Err(Failure::failed(format!("the server refuses READ: {text}"))),
        Ok(reply) => value(&reply).map(|value| Some(value.to_vec())).ok_or_else(|| {
            Failure::failed("a value has a line's end: lines cannot carry it out of the store")
        }),
    };
    replies.into_iter().map(payload).collect()
}

/// The value in `size=<n>,value=<bytes>`.
fn value(reply: &[u8]) -> Option<&[u8]> {
    let rest = reply.strip_prefix(b"size=")?;
    let comma = rest.iter().position(|&byte| byte == b',')?;
    let size: usize = std::str::from_utf8(&rest[..comma]).ok()?.parse().ok()?;
    rest[comma..].strip_prefix(b",value=").filter(|value| value.len() == size)
}

/// Pairs that are set a batch at a time.
#[derive(Debug, Default)]
pub(super) struct PairImport {
    batch: Vec<Pair>,
    /// Absolute keys of the export, and those that their values got here.
    numbers: HashMap<u64, u64>,
    /// Pairs set.
    pub(super) set: u64,
}

impl PairImport {
    /// Whether a batch is full.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= PAGE
    }

    /// Whether nothing waits to be set.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Adds a pair to the batch.
    ///
    /// # Errors
    /// When its value cannot be sent in a line.
    pub(super) fn push(&mut self, pair: Pair) -> Result<(), String> {
        let payload = pair.payload.as_deref().unwrap_or_default();
        if payload.contains(&b'\n') {
            return Err("a value with a line's end cannot be sent in a line".to_owned());
        }
        if pair.key.is_empty() {
            return Err("a pair's key has at least one byte".to_owned());
        }
        self.batch.push(pair);
        Ok(())
    }

    /// Sets the batch: values first, then the pairs that lead to them.
    ///
    /// # Errors
    /// When the server fails or refuses.
    pub(super) fn send(&mut self, client: &mut LineClient) -> Result<(), Failure> {
        let refused =
            |verb: &str, text: &str| Failure::failed(format!("the server refuses {verb}: {text}"));
        let (mut lines, mut inserted) = (Vec::new(), Vec::new());
        for Pair { to, payload, .. } in &self.batch {
            if let Some(payload) = payload.as_ref().filter(|_| !self.numbers.contains_key(to)) {
                // Replaced by the number that it gets.
                self.numbers.insert(*to, 0);
                let head = format!("INSERT:{} ", payload.len());
                lines.push([head.as_bytes(), payload].concat());
                inserted.push(*to);
            }
        }
        for (reply, to) in client.call_many(&lines)?.into_iter().zip(inserted) {
            let reply = reply.map_err(|text| refused("INSERT", &text))?;
            let number =
                reply.strip_prefix(b"key=").and_then(|text| std::str::from_utf8(text).ok());
            let number = number.and_then(|text| text.parse().ok());
            let number = number.ok_or_else(|| refused("INSERT", "it gives no absolute key"))?;
            self.numbers.insert(to, number);
        }
        let mut lines = Vec::new();
        for Pair { key, to, payload, hidden } in self.batch.drain(..) {
            let verb = if hidden { "PAIR_SET_HIDDEN" } else { "PAIR_SET" };
            // A pair that leads nowhere keeps its number.
            let known = payload.and_then(|_| self.numbers.get(&to));
            lines.push(format!("{verb} {} {}", operand(&key), known.unwrap_or(&to)).into_bytes());
        }
        for reply in client.call_many(&lines)? {
            reply.map_err(|text| refused("PAIR_SET", &text))?;
            self.set += 1;
        }
        Ok(())
    }
}
