//! Vectors as smoke sends them: in frames and in parts of some, over several flows, with searches between
//! them; the answers that must come back, and the collection that they must leave, searched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pfs_dataplane::run::RuleResults;
use pfs_vec::frame::{
    Conditions, Cutter, Frame, MessageBuilder, Operation, Status, Vector, WordsOf, encode, outcomes,
};
use pfs_vec::{Collection, Element, Options, Query, Settings};

use super::capture::Capture;
use super::replies::Answers;
use super::store::{FLOWS, Numbers};
use super::text::{frame, save};
use super::work::Work;
use crate::failure::Failure;

/// Vectors sent, and components of each.
const VECTORS: u64 = 10_000;
const DIM: u16 = 384;
/// Directions that they gather about.
const CENTRES: usize = 200;
/// One of so many is searched for as soon as it is sent.
const ASKED: u64 = 50;
/// Longest payload: a vector of f32 needs two.
const LONGEST: usize = 1400;
/// Searches of what a leg leaves, and hits of each.
const QUERIES: usize = 100;
const HITS: usize = 10;
/// Share of the exact answer that they must find.
const RECALL: f64 = 0.95;
/// The collection's name.
const NAME: &str = "smoke";

/// What must be in the collection afterwards.
#[derive(Debug)]
pub(super) struct Vectors {
    vectors: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
    /// For each query the nearest by the naive oracle, once they are asked for.
    nearest: OnceLock<Vec<Vec<usize>>>,
    /// By sender and sequence: which vector a search must find first.
    answers: BTreeMap<(u64, u64), usize>,
    messages: u64,
    /// Folder of the collection that a leg leaves.
    folder: PathBuf,
}

/// A flow's sender.
struct Sender {
    flow: u32,
    message: MessageBuilder,
    cutter: Cutter,
}

impl Sender {
    /// Gives what it has put together to `payloads`, as datagrams; the sequence of the first.
    fn take(&mut self, payloads: &mut Vec<(u32, Vec<u8>)>) -> u64 {
        let first = self.cutter.sequence() + 1;
        let flow = self.flow;
        self.cutter.cut(self.message.bytes(), false, |part| payloads.push((flow, part.to_vec())));
        self.message.clear();
        first
    }
}

const fn id_of(flow: u32) -> u64 {
    0x7ec0_0000 + flow as u64
}

/// A direction: not quite even over the sphere, and the same in every run.
fn direction(numbers: &mut Numbers) -> Vec<f32> {
    (0..DIM).map(|_| (numbers.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// `centre` with some noise, of length 1.
fn near(centre: &[f32], numbers: &mut Numbers) -> Vec<f32> {
    let noise = direction(numbers);
    let mut vector: Vec<f32> = centre.iter().zip(noise).map(|(c, n)| c + 0.6 * n).collect();
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|v| *v /= length);
    vector
}

/// Makes the vectors; leaves the frames as a capture in `out`, for legs that read one.
///
/// # Errors
/// When the capture cannot be written.
pub(super) fn load(out: &Path) -> Result<Capture, Failure> {
    let bug = || Failure::failed("a vector of smoke fits no message; this is a bug");
    let mut senders = Vec::new();
    for flow in 0..FLOWS {
        let message = MessageBuilder::new(NAME.as_bytes()).ok_or_else(bug)?;
        senders.push(Sender { flow, message, cutter: Cutter::new(id_of(flow), 0, LONGEST) });
    }
    let mut numbers = Numbers(2);
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| direction(&mut numbers)).collect();
    let (mut vectors, mut payloads, mut answers) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut messages = 0;
    for at in 0..VECTORS {
        let centre = &centres[numbers.next() as usize % CENTRES];
        let vector = near(centre, &mut numbers);
        let sender = &mut senders[(at % u64::from(FLOWS)) as usize];
        let element = [Element::F32, Element::Bf16, Element::I8][(at / 7 % 3) as usize];
        put(sender, at, (element, &vector)).ok_or_else(bug)?;
        if at % ASKED == 0 {
            let (mut bytes, element) = (Vec::new(), Element::Bf16);
            encode(element, &vector, &mut bytes);
            let vector = Vector { element, dim: DIM, bytes: &bytes };
            let (most, recall, min_score) = (1, 0.95, f32::NEG_INFINITY);
            // Every other one may find what has its words alone: the record of this number.
            let text = at.to_string();
            let mut only = Conditions::default();
            if at % (2 * ASKED) == 0 {
                only.words = Some(WordsOf { text: &text, any: false, begins: false });
            }
            let search = Operation::Search { vector, most, recall, min_score, only };
            sender.message.push(&search).then_some(()).ok_or_else(bug)?;
        }
        // Some messages have several records, some are in parts.
        if at % 5 != 0 || element == Element::F32 || at % ASKED == 0 {
            let first = sender.take(&mut payloads);
            messages += 1;
            if at % ASKED == 0 {
                answers.insert((id_of(sender.flow), first), vectors.len());
            }
        }
        vectors.push(vector);
    }
    for sender in senders.iter_mut().filter(|sender| sender.message.count() > 0) {
        sender.take(&mut payloads);
        messages += 1;
    }
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|at| near(&centres[at], &mut numbers)).collect();
    let frames: Vec<Vec<u8>> = payloads.iter().map(|(flow, part)| frame(*flow, part)).collect();
    let path = out.join("vectors.pcap");
    save(&path, &frames).map_err(Failure::failed)?;
    let payloads = payloads.into_iter().map(|(_, part)| part).collect();
    // The folder's name is part of a program's text, where commas end it.
    let folder = std::env::temp_dir().join(format!("pfs-smoke-vec-{}", std::process::id()));
    let nearest = OnceLock::new();
    let work = Work::Vectors(Vectors { vectors, queries, nearest, answers, messages, folder });
    Ok(Capture { name: "vectors".into(), path, frames, payloads, work })
}

/// Adds a record to the message that `sender` puts together.
fn put(sender: &mut Sender, at: u64, (element, vector): (Element, &[f32])) -> Option<()> {
    let (mut bytes, id, text) = (Vec::new(), id(at), text(at));
    encode(element, vector, &mut bytes);
    let put = Operation::Put {
        id: &id,
        vector: Vector { element, dim: DIM, bytes: &bytes },
        text: &text,
        metadata: &at.to_be_bytes(),
        time: at + 1,
        strength: 1.0,
        confidence: 1.0,
    };
    sender.message.push(&put).then_some(())
}

/// An id of 3 to 34 bytes: any of them.
fn id(at: u64) -> Vec<u8> {
    let mut id = (at as u32).to_le_bytes()[..3].to_vec();
    id.extend((0..at % 32).map(|place| (at.wrapping_mul(31) >> (place % 8)) as u8));
    id
}

fn text(at: u64) -> String {
    format!("vector number {at}")
}

/// The nearest by 64-bit dot products with every vector.
fn naive(query: &[f32], vectors: &[Vec<f32>]) -> Vec<usize> {
    let dot = |vector: &Vec<f32>| -> f64 {
        vector.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let mut scores: Vec<(f64, usize)> = vectors.iter().map(dot).zip(0..).collect();
    scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    scores.truncate(HITS);
    scores.into_iter().map(|(_, at)| at).collect()
}

impl Vectors {
    /// The program that a leg runs, over a collection that is empty.
    ///
    /// # Errors
    /// When there can be no collection.
    pub(super) fn program(&self) -> Result<String, String> {
        self.forget();
        // Several segments come to be while vectors come in.
        let settings = Settings { memory_rows: 3000, ..Settings::new(DIM.into()) };
        let made = Collection::create(&self.folder.join(NAME), &settings, Options::default());
        made.map_err(|error| error.to_string())?;
        Ok(format!("vec:{}", self.folder.display()))
    }

    /// Where a leg without a link keeps its answers.
    pub(super) fn replies(&self) -> PathBuf {
        self.folder.with_extension("replies.pcap")
    }

    /// Removes the folder.
    fn forget(&self) {
        // Where it cannot be removed, the next leg finds a collection and says so.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Holds what a leg has left against what was sent, and each of its answers; says what was found.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn check(
        &self,
        results: &[RuleResults],
        replies: &Answers,
    ) -> Result<String, String> {
        let checked = self.counts(results).and_then(|()| self.answered(replies));
        let checked = checked.and_then(|()| self.searched());
        self.forget();
        checked
    }

    fn counts(&self, results: &[RuleResults]) -> Result<(), String> {
        let rule = results.first().ok_or("no results")?;
        if rule.results.r[..2] != [VECTORS, 0] {
            let [stored, failed, ..] = rule.results.r;
            return Err(format!("{stored} vectors stored and {failed} refused of {VECTORS}"));
        }
        let counters = rule.engines.iter().flat_map(|engine| &engine.counters);
        let counters: BTreeMap<&str, u64> =
            counters.map(|(name, count)| (name.as_str(), *count)).collect();
        let lost = [
            "torn",
            "foreign",
            "malformed",
            "replayed",
            "stale",
            "late",
            "skipped",
            "unsynced",
            "timed_out",
            "evicted",
            "conflicts",
            "searches_refused",
            "no_way_back",
            "replies_dropped",
            "replies_failed",
            "replaced",
        ];
        if let Some(name) = lost.iter().find(|name| counters.get(**name).copied() != Some(0)) {
            return Err(format!("{name} is {:?} and not 0", counters.get(name)));
        }
        let came = counters.get("messages").copied().unwrap_or(0);
        let parts = counters.get("assembled").copied().unwrap_or(0);
        if came == self.messages && parts > 0 {
            return Ok(());
        }
        Err(format!("{came} messages came of {}, {parts} of them in parts", self.messages))
    }

    /// Every search was answered once, by the vector that it was sent with; where answers can have been
    /// lost on their way, those that came.
    fn answered(&self, replies: &Answers) -> Result<(), String> {
        let mut found = 0;
        for reply in &replies.payloads {
            let frame = Frame::parse(reply).map_err(|error| format!("a reply: {error}"))?;
            let place = (frame.sender(), frame.sequence());
            let at = self.answers.get(&place).ok_or("a reply to nothing that was asked")?;
            for outcome in outcomes(&frame).map_err(|error| format!("a reply: {error}"))? {
                let first = outcome.hits.first().map(|hit| hit.id);
                if outcome.status != Status::Done || first != Some(&id(*at as u64)) {
                    return Err(format!("vector {at}, just sent, was not found: {outcome:?}"));
                }
                found += 1;
            }
        }
        let all = self.answers.len();
        if found == all || !replies.whole && found > 0 && found < all {
            return Ok(());
        }
        Err(format!("{found} answers to {all} searches"))
    }

    /// Opens the collection and searches it.
    fn searched(&self) -> Result<String, String> {
        let folder = self.folder.join(NAME);
        let collection = Collection::open_to_read(&folder);
        let collection = collection.map_err(|error| format!("opening what was left: {error}"))?;
        for at in (0..VECTORS).step_by(97) {
            let record = collection.get(&id(at)).map_err(|error| error.to_string())?;
            let record = record.ok_or_else(|| format!("vector {at} is not there"))?;
            let sent = &self.vectors[at as usize];
            let dot: f32 = record.vector.iter().zip(sent).map(|(a, b)| a * b).sum();
            if record.text != text(at) || record.time != at + 1 || dot < 0.999 {
                return Err(format!("vector {at} is not as it was sent: {record:?}"));
            }
        }
        let mut common = 0;
        let naive = |query| naive(query, &self.vectors);
        let nearest =
            self.nearest.get_or_init(|| self.queries.iter().map(|query| naive(query)).collect());
        for (query, nearest) in self.queries.iter().zip(nearest) {
            let query = Query::new(query, HITS);
            let answer = collection.search(&query).map_err(|error| error.to_string())?;
            let is_near = |hit: &&pfs_vec::Found| nearest.iter().any(|at| id(*at as u64) == hit.id);
            common += answer.hits.iter().filter(is_near).count();
        }
        let recall = common as f64 / (QUERIES * HITS) as f64;
        let text = format!("recall@{HITS} of {QUERIES} searches {recall:.3}, {RECALL} asked");
        if recall >= RECALL { Ok(text) } else { Err(text) }
    }
}

impl Drop for Vectors {
    fn drop(&mut self) {
        self.forget();
    }
}
