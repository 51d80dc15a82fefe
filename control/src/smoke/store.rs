//! Key/value operations as smoke sends them: in frames, over several flows; the answers that must come
//! back in datagrams, and the store that they must leave, read back over RESP.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pfs_dataplane::run::RuleResults;
use pfs_kv::frame::{Builder, Frame, Operation, Status};

use super::capture::Capture;
use super::replies::Answers;
use super::text::{frame, save};
use super::work::Work;
use crate::failure::Failure;
use crate::kv::{Place, walk};

/// Operations sent.
pub(super) const OPERATIONS: u64 = 100_000;
/// Flows, each with a sender and with keys of its own.
pub(super) const FLOWS: u32 = 3;
/// Keys of a flow.
const KEYS: u64 = 7000;
/// Longest payload.
const LONGEST: usize = 1400;

/// What must be in the store afterwards.
#[derive(Debug)]
pub(super) struct Load {
    model: BTreeMap<Vec<u8>, Vec<u8>>,
    /// By sender, sequence and place in the frame: what each get must be answered.
    answers: BTreeMap<(u64, u64, u16), Option<Vec<u8>>>,
    /// Folder of the store that a leg leaves.
    folder: PathBuf,
}

/// A flow's sender.
struct Sender {
    flow: u32,
    builder: Builder,
    sequence: u64,
}

impl Sender {
    /// The number that it has drawn.
    const fn id(&self) -> u64 {
        0x5eed_0000 + self.flow as u64
    }

    fn new(flow: u32) -> Self {
        Self { flow, builder: Builder::new(LONGEST), sequence: 0 }
    }

    /// What it has put together, as a datagram.
    fn take(&mut self) -> Vec<u8> {
        self.sequence += 1;
        let (sender, sequence) = (self.id(), self.sequence);
        let payload = self.builder.finish(sender, sequence, 0, false).to_vec();
        self.builder.clear();
        payload
    }
}

/// Numbers that are the same in every run: the generator of Steele and Vigna's SplitMix64.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Makes the operations; leaves the frames as a capture in `out`, for legs that read one.
///
/// # Errors
/// When the capture cannot be written.
pub(super) fn load(out: &Path) -> Result<Capture, Failure> {
    let mut senders: Vec<Sender> = (0..FLOWS).map(Sender::new).collect();
    let (mut numbers, mut model, mut payloads) = (Numbers(1), BTreeMap::new(), Vec::new());
    let mut answers = BTreeMap::new();
    for at in 0..OPERATIONS {
        let sender = &mut senders[(at % u64::from(FLOWS)) as usize];
        let (key, value) = (key(sender.flow, numbers.next() % KEYS), value(numbers.next()));
        let kind = numbers.next() % 10;
        let operation = match kind {
            0 | 1 => Operation::Delete { key: &key },
            2 => Operation::Get { key: &key },
            _ => Operation::Put { key: &key, value: &value, expires: None },
        };
        if !sender.builder.push(&operation) {
            payloads.push((sender.flow, sender.take()));
            if !sender.builder.push(&operation) {
                return Err(Failure::failed("an operation of smoke fits no frame; this is a bug"));
            }
        }
        match kind {
            0 | 1 => drop(model.remove(&key)),
            2 => {
                let place = (sender.id(), sender.sequence + 1, sender.builder.count() - 1);
                answers.insert(place, model.get(&key).cloned());
            }
            _ => drop(model.insert(key, value)),
        }
    }
    let rest = senders.iter_mut().filter(|sender| sender.builder.count() > 0);
    payloads.extend(rest.map(|sender| (sender.flow, sender.take())));
    let frames: Vec<Vec<u8>> = payloads.iter().map(|(flow, part)| frame(*flow, part)).collect();
    let path = out.join("operations.pcap");
    save(&path, &frames).map_err(Failure::failed)?;
    let payloads = payloads.into_iter().map(|(_, part)| part).collect();
    // The folder's name is part of a program's text, where commas end it.
    let folder = std::env::temp_dir().join(format!("pfs-smoke-{}", std::process::id()));
    let work = Work::Load(Load { model, answers, folder });
    Ok(Capture { name: "operations".into(), path, frames, payloads, work })
}

/// A key of 5 to 40 bytes: any of them.
fn key(flow: u32, number: u64) -> Vec<u8> {
    let mut key = vec![flow as u8];
    key.extend_from_slice(&(number as u32).to_be_bytes());
    key.extend((0..number % 36).map(|at| (number.wrapping_mul(31) >> (at % 8)) as u8 ^ at as u8));
    key
}

/// A value of 0 to 200 bytes: any of them.
fn value(number: u64) -> Vec<u8> {
    let length = number % 201;
    (0..length).map(|at| (number >> (at % 56)) as u8).collect()
}

impl Load {
    /// The program that a leg runs, over a folder that is not there yet.
    pub(super) fn program(&self) -> String {
        self.forget();
        format!("kv,dir={},memory=256MiB", self.folder.display())
    }

    /// Where a leg without a link keeps its answers.
    pub(super) fn replies(&self) -> PathBuf {
        self.folder.with_extension("replies.pcap")
    }

    /// Removes the folder.
    fn forget(&self) {
        // Where it cannot be removed, the next leg finds records that it did not write.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Holds what a leg has left against the model, key by key and in order, and each of its answers.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(&self, results: &[RuleResults], replies: &Answers) -> Result<(), String> {
        let checked = self.counts(results).and_then(|()| self.answered(replies));
        let checked = checked.and_then(|()| self.content(Place::Folder(&self.folder)));
        self.forget();
        checked
    }

    fn counts(&self, results: &[RuleResults]) -> Result<(), String> {
        let rule = results.first().ok_or("no results")?;
        if rule.results.r[..2] != [OPERATIONS, 0] {
            let [done, failed, ..] = rule.results.r;
            return Err(format!("{done} operations done and {failed} failed of {OPERATIONS}"));
        }
        let counters = rule.engines.iter().flat_map(|engine| &engine.counters);
        let lost = [
            "torn",
            "foreign",
            "malformed",
            "replayed",
            "stale",
            "late",
            "skipped",
            "unsynced",
            "gets_refused",
            "no_way_back",
            "replies_dropped",
            "replies_failed",
        ];
        match counters
            .into_iter()
            .find(|(name, count)| lost.contains(&name.as_str()) && **count > 0)
        {
            Some((name, count)) => Err(format!("{name} is {count} and not 0")),
            None => Ok(()),
        }
    }

    /// Every get was answered once, with what the key had then; where answers can have been lost
    /// on their way, those that came.
    fn answered(&self, replies: &Answers) -> Result<(), String> {
        let mut found = BTreeMap::new();
        for reply in &replies.payloads {
            let frame = Frame::parse(reply).map_err(|error| format!("a reply: {error}"))?;
            for outcome in frame.outcomes() {
                let place = (frame.sender(), frame.sequence(), outcome.index);
                let value = match outcome.status {
                    Status::Done => Some(outcome.value.to_vec()),
                    Status::NotFound => None,
                    other => return Err(format!("a get was answered {other:?}")),
                };
                if found.insert(place, value).is_some() {
                    return Err(format!("{place:?} was answered twice"));
                }
            }
        }
        let wrong = |(place, value): &(&(u64, u64, u16), &Option<Vec<u8>>)| match found.get(*place)
        {
            Some(came) => came != *value,
            None => replies.whole || found.is_empty(),
        };
        if let Some((place, _)) = self.answers.iter().find(wrong) {
            let how = if found.contains_key(place) { "not what the key had" } else { "none" };
            return Err(format!(
                "{} of {} gets were answered; the answer to {place:?} is {how}",
                found.len(),
                self.answers.len()
            ));
        }
        if found.keys().all(|place| self.answers.contains_key(place)) {
            return Ok(());
        }
        Err(format!("{} answers to {} gets", found.len(), self.answers.len()))
    }

    /// Holds a store against the model.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn content(&self, place: Place<'_>) -> Result<(), String> {
        let (mut expected, mut differs) = (self.model.iter(), None);
        let mut seen = 0_u64;
        walk(place, |(key, value, expires)| {
            let same = expected.next() == Some((&key, &value)) && expires.is_none();
            if !same {
                differs = Some(key);
            }
            seen += 1;
            Ok(same)
        })
        .map_err(|failure| format!("reading the store back: {failure}"))?;
        match (differs, expected.next()) {
            (Some(key), _) => Err(format!(
                "the store and the model differ at its key {seen}, {}",
                key.escape_ascii()
            )),
            (None, Some((key, _))) => Err(format!(
                "the store has {seen} keys of {}, it lacks {}",
                self.model.len(),
                key.escape_ascii()
            )),
            (None, None) => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.forget();
    }
}
