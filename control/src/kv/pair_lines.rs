//! Pairs on their way out of a store and into another one, with the values that they lead to.
//!
//! Absolute keys are the store's own: another store gives out others. So a pair is written with the value that it
//! leads to, and its number tells only which pairs lead to the same one. A pair that leads nowhere has neither:
//! in another store its number may be a value's, or become one.

use std::collections::{BTreeSet, HashMap};

use super::bytes::{hex, unhex};
use super::link::LineClient;
use crate::failure::Failure;

/// Pairs of a page, and of a batch.
const PAGE: usize = 512;
/// An absolute key that no store gives out: what leads there leads nowhere for good.
const NOWHERE: u64 = 0;

/// A pair as an export has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Vec<u8>,
    /// The absolute key that it led to, and the value there; `None` when there was none.
    pub(super) to: Option<(u64, Vec<u8>)>,
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
        let (page, next) = page(client, &prefix, &cursor)?;
        let payloads = payloads(client, page.iter().map(|&(_, to, _)| to))?;
        for ((key, to, hidden), payload) in page.into_iter().zip(payloads) {
            let to = payload.map(|payload| (to, payload));
            if !each(Pair { key, to, hidden })? {
                return Ok(false);
            }
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(true),
        }
    }
}

/// Pairs with their numbers, and whether they are hidden.
type Page = Vec<(Vec<u8>, u64, bool)>;

/// The pairs behind `cursor`, and the cursor of the next page.
fn page(
    client: &mut LineClient,
    prefix: &str,
    cursor: &str,
) -> Result<(Page, Option<String>), Failure> {
    let scan = format!("PAIR_SCAN {prefix} {PAGE} {cursor}");
    let shown = |shown: &mut BTreeSet<Vec<u8>>, client: &mut LineClient| {
        let (rows, _) = rows(&client.call(scan.as_bytes())?)?;
        shown.extend(rows.into_iter().map(|(key, _)| key));
        Ok::<_, Failure>(())
    };
    let mut seen = BTreeSet::new();
    shown(&mut seen, client)?;
    let (all, next) = rows(&client.call(format!("{scan} include_hidden=1").as_bytes())?)?;
    // What is set between the two is not hidden for that: it is there when asked again.
    if all.iter().any(|(key, _)| !seen.contains(key)) {
        shown(&mut seen, client)?;
    }
    let hidden = |(key, to): (Vec<u8>, u64)| {
        let hidden = !seen.contains(&key);
        (key, to, hidden)
    };
    Ok((all.into_iter().map(hidden).collect(), next))
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
        if pair.to.as_ref().is_some_and(|(_, payload)| payload.contains(&b'\n')) {
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
        for (to, payload) in self.batch.iter().filter_map(|pair| pair.to.as_ref()) {
            if !self.numbers.contains_key(to) {
                // Replaced by the number that it gets.
                self.numbers.insert(*to, NOWHERE);
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
        for Pair { key, to, hidden } in self.batch.drain(..) {
            let verb = if hidden { "PAIR_SET_HIDDEN" } else { "PAIR_SET" };
            let to = to.and_then(|(to, _)| self.numbers.get(&to).copied()).unwrap_or(NOWHERE);
            lines.push(format!("{verb} {} {to}", operand(&key)).into_bytes());
        }
        for reply in client.call_many(&lines)? {
            reply.map_err(|text| refused("PAIR_SET", &text))?;
            self.set += 1;
        }
        Ok(())
    }
}
