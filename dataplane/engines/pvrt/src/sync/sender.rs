//! The end that has the new files.

use std::collections::{HashMap, VecDeque};

use super::batch::{self, Queue};
use super::bits::{AnswerReader, BitWriter, put_varint, take_bytes, take_varint};
use super::cover::{Cover, Level, Test};
use super::hash::{self, EXTENT, Roller};
use super::pair::{Pair, Slice};
use super::trials::{GROUP_BITS, Trials};
use super::{SyncError, Tree, old, tag};

/// The rounds' blocks. Middles are not asked for in the last ones: their hashes would cost more
/// than the bytes they save.
const LEVELS: [Level; 13] = [
    Level { len: 1 << 20, middle: true },
    Level { len: 1 << 18, middle: true },
    Level { len: 1 << 16, middle: true },
    Level { len: 1 << 14, middle: true },
    Level { len: 1 << 12, middle: true },
    Level { len: 1 << 11, middle: true },
    Level { len: 1 << 10, middle: true },
    Level { len: 512, middle: true },
    Level { len: 256, middle: true },
    Level { len: 128, middle: true },
    Level { len: 64, middle: true },
    Level { len: 32, middle: false },
    Level { len: 16, middle: false },
];

/// Bytes that the sender's messages took, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Digests of all files.
    pub offer: u64,
    /// Sizes, and digests of chunks.
    pub sizes: u64,
    /// Hashes of blocks.
    pub rounds: u64,
    /// Compressed new bytes.
    pub batches: u64,
    /// Digests at the end.
    pub end: u64,
    /// What the receiver answered.
    pub answers: u64,
}

impl Spent {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.offer + self.sizes + self.rounds + self.batches + self.end + self.answers
    }
}

/// Where the talk stands.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Offer,
    Wants,
    Claims,
    Bring,
    Verdict,
    Done,
}

/// The sender's half of a sync: [`Self::message`] until it gives none, then [`Self::answer`] with
/// what the receiver says, and so on until [`Self::is_done`].
pub struct Sender<'a> {
    files: &'a dyn Tree,
    bases: Option<&'a dyn Tree>,
    key: [u8; 32],
    roller: Roller,
    level: i32,
    digests: Vec<[u8; 32]>,
    pairs: Vec<Pair>,
    /// The levels that are still to come.
    levels: std::slice::Iter<'static, Level>,
    /// What the last round asked of each pair, with the hashes.
    asked: Vec<(Vec<Test>, Vec<u64>)>,
    asked_level: Option<Level>,
    /// Chunks of the files that have no base.
    chunks: Vec<Vec<(u64, u64)>>,
    trials: Trials,
    queue: Queue,
    again: bool,
    out: VecDeque<Vec<u8>>,
    turn: Turn,
    spent: Spent,
}

impl std::fmt::Debug for Sender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Sender");
        shown.field("pairs", &self.pairs.len()).field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl<'a> Sender<'a> {
    /// Offers all of `files`, in an order that the receiver knows from the manifest. `key` is the
    /// session's and new for each; `level` is zstd's. Reads every file once.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(files: &'a dyn Tree, key: [u8; 32], level: i32) -> Result<Self, SyncError> {
        let mut digests = Vec::with_capacity(files.count());
        for file in 0..files.count() {
            digests.push(hash::file(&key, &hash::extents(&key, &files.read(file)?)));
        }
        Ok(Self {
            files,
            bases: None,
            key,
            roller: Roller::new(&key),
            level,
            digests,
            pairs: Vec::new(),
            levels: LEVELS.iter(),
            asked: Vec::new(),
            asked_level: None,
            chunks: Vec::new(),
            trials: Trials::new(),
            queue: Queue::default(),
            again: false,
            out: VecDeque::new(),
            turn: Turn::Offer,
            spent: Spent::default(),
        })
    }

    /// Has older files at hand that the receiver may have too.
    #[must_use]
    pub fn with_bases(mut self, bases: &'a dyn Tree) -> Self {
        self.bases = Some(bases);
        self
    }

    /// Whether the receiver has all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.turn == Turn::Done
    }

    /// What the messages so far took.
    #[must_use]
    pub const fn spent(&self) -> Spent {
        self.spent
    }

    /// The next message to the receiver, or none until it answers. Batches are compressed one at
    /// a time, as they are asked for.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, SyncError> {
        let message = match (self.out.pop_front(), &self.turn) {
            (Some(message), _) => message,
            (None, Turn::Offer) => self.offer(),
            (None, Turn::Bring) => self.bring()?,
            (None, _) => return Ok(None),
        };
        let len = message.len() as u64;
        match message[0] {
            tag::OFFER => self.spent.offer += len,
            tag::SIZES => self.spent.sizes += len,
            tag::ROUND => self.spent.rounds += len,
            tag::BATCH => self.spent.batches += len,
            _ => self.spent.end += len,
        }
        Ok(Some(message))
    }

    /// Takes the receiver's answer.
    ///
    /// # Errors
    /// When it is malformed or out of place, or a file cannot be read.
    pub fn answer(&mut self, message: &[u8]) -> Result<(), SyncError> {
        self.spent.answers += message.len() as u64;
        let (&kind, body) = message.split_first().ok_or(SyncError::Truncated)?;
        match (&self.turn, kind) {
            (Turn::Wants, tag::WANTS) => self.wants(body),
            (Turn::Claims, tag::CLAIMS) => self.claims(body),
            (Turn::Verdict, tag::AGAIN) => self.bring_again(body),
            (Turn::Verdict, tag::DONE) if body.is_empty() => {
                self.turn = Turn::Done;
                Ok(())
            }
            _ => Err(SyncError::Kind(kind)),
        }
    }

    fn offer(&mut self) -> Vec<u8> {
        let mut message = vec![tag::OFFER, u8::from(self.bases.is_some())];
        self.digests.iter().for_each(|digest| message.extend_from_slice(&digest[..3]));
        self.turn = Turn::Wants;
        message
    }

    /// Reads which files are wanted and which have a base there; names their sizes and the chunks
    /// of those that have none.
    fn wants(&mut self, mut body: &[u8]) -> Result<(), SyncError> {
        let packed = take_varint(&mut body)?;
        let packed = usize::try_from(packed).map_err(|_| SyncError::Truncated)?;
        let mut answers = AnswerReader::new(take_bytes(&mut body, packed)?);
        let known = self.base_digests(!body.is_empty())?;
        let mut had = true;
        let mut message = vec![tag::SIZES];
        for file in 0..self.digests.len() {
            had = answers.take(usize::from(had));
            if had {
                continue;
            }
            let based = answers.take(2);
            let bytes = self.files.read(file)?;
            let size = bytes.len() as u64;
            let mut shared = None;
            if based && self.bases.is_some() {
                let digest = take_bytes(&mut body, 4)?;
                shared = known.get(digest).copied();
            }
            put_varint(&mut message, size << 1 | u64::from(shared.is_some()));
            let chunks = if based { Vec::new() } else { self.chunk(&bytes, &mut message) };
            self.chunks.push(chunks);
            let base = based.then_some(0..0);
            self.pairs.push(Pair { file, size, cover: Cover::new(size), base, shared });
        }
        if !body.is_empty() {
            return Err(SyncError::Trailing(body.len()));
        }
        if self.pairs.is_empty() {
            self.turn = Turn::Bring;
            return Ok(());
        }
        self.turn = Turn::Claims;
        self.out.push_back(message);
        Ok(())
    }

    /// The first bytes of the digests of all bases.
    fn base_digests(&self, needed: bool) -> Result<HashMap<[u8; 4], usize>, SyncError> {
        let mut known = HashMap::new();
        for (bases, n) in
            self.bases.iter().filter(|_| needed).flat_map(|b| (0..b.count()).map(move |n| (b, n)))
        {
            let digest = hash::file(&self.key, &hash::extents(&self.key, &bases.read(n)?));
            known.insert(std::array::from_fn(|at| digest[at]), n);
        }
        Ok(known)
    }

    /// Names the chunks of a file that has no base.
    fn chunk(&self, bytes: &[u8], message: &mut Vec<u8>) -> Vec<(u64, u64)> {
        let mut chunks = Vec::new();
        for range in old::chunks(bytes).filter(|_| bytes.len() >= MIN_CHUNKED) {
            put_varint(message, range.len() as u64);
            message.extend_from_slice(&old::chunk(&self.key, &bytes[range.clone()]));
            chunks.push((range.start as u64, range.end as u64));
        }
        chunks
    }

    /// Reads verdicts on groups and claims of blocks or chunks; asks the next round.
    fn claims(&mut self, body: &[u8]) -> Result<(), SyncError> {
        let mut answers = AnswerReader::new(body);
        let revoked = self.trials.hashes().map(|_| answers.take(0)).collect();
        let verdicts = self.trials.judge(revoked);
        match self.asked_level {
            Some(level) => self.claimed_blocks(&mut answers, level),
            None => self.claimed_chunks(&mut answers),
        }
        self.pairs.iter_mut().for_each(|pair| pair.cover.settle(|trial| verdicts.of(trial)));
        self.ask()
    }

    fn claimed_chunks(&mut self, answers: &mut AnswerReader<'_>) {
        for (pair, chunks) in self.pairs.iter_mut().zip(std::mem::take(&mut self.chunks)) {
            let mut had = false;
            for (from, to) in chunks {
                had = answers.take(1 + usize::from(had));
                if had {
                    pair.cover.know(from, to, from);
                }
            }
        }
    }

    fn claimed_blocks(&mut self, answers: &mut AnswerReader<'_>, level: Level) {
        for (pair, (tests, hashes)) in self.pairs.iter_mut().zip(std::mem::take(&mut self.asked)) {
            let mut claims = Vec::new();
            let mut had = false;
            for (n, (test, hash)) in tests.iter().zip(hashes).enumerate() {
                had = answers.take(context(test, had));
                if had {
                    claims.push((n, test.from, self.trials.put(hash)));
                }
            }
            pair.cover.claim(&tests, level.len, &claims);
        }
    }

    /// Hashes of the next level at which there is something to ask; of none, when only claims
    /// are still on trial; else all is asked.
    fn ask(&mut self) -> Result<(), SyncError> {
        let open = |pair: &&Pair| pair.shared.is_none();
        let widest = self.pairs.iter().filter(open).map(|pair| pair.cover.widest()).max();
        let widest = widest.unwrap_or(0);
        let level = self.levels.find(|level| level.len <= widest).copied();
        if level.is_none() && self.trials.is_empty() {
            self.queue = Queue::whole(&self.pairs);
            self.turn = Turn::Bring;
            return Ok(());
        }
        let mut bits = BitWriter::default();
        self.trials.hashes().for_each(|hash| bits.put(hash, GROUP_BITS));
        let level = level.unwrap_or(Level { len: 1 << 62, middle: false });
        self.asked_level = Some(level);
        self.asked.clear();
        for pair in &self.pairs {
            let tests = if pair.shared.is_some() { Vec::new() } else { pair.cover.tests(level) };
            let bytes = if tests.is_empty() { None } else { Some(self.files.read(pair.file)?) };
            let bytes = bytes.as_deref().unwrap_or(&[]);
            let hash = |test: &Test| hash::mix(self.roller.sum(block(bytes, test.from, level.len)));
            let hashes: Vec<u64> = tests.iter().map(hash).collect();
            tests.iter().zip(&hashes).for_each(|(test, hash)| bits.put(*hash, test.bits));
            self.asked.push((tests, hashes));
        }
        let mut message = vec![tag::ROUND, level.len.ilog2() as u8 | u8::from(level.middle) << 7];
        message.extend(bits.finish());
        self.out.push_back(message);
        Ok(())
    }

    /// The next batch, or the end.
    fn bring(&mut self) -> Result<Vec<u8>, SyncError> {
        let Some(slices) = self.queue.next() else {
            self.turn = Turn::Verdict;
            let mut message = vec![tag::END];
            message.extend(hash::extent(&self.key, self.digests.as_flattened()));
            return Ok(message);
        };
        let (mut prefix, mut bytes, mut checks) = (Vec::new(), Vec::new(), Vec::new());
        for slice in slices {
            let pair = &self.pairs[slice.pair];
            let file = self.files.read(pair.file)?;
            if let (Some(base), Some(bases), false) = (pair.shared, self.bases, self.again) {
                let base = bases.read(base)?;
                prefix.extend_from_slice(&base[batch::beside(slice, base.len())]);
            }
            for span in pair.cover.within(slice.from, slice.to) {
                let into = if span.at.is_some() && !self.again { &mut prefix } else { &mut bytes };
                into.extend_from_slice(block(&file, span.from, span.to - span.from));
            }
            if pair.size > EXTENT as u64 {
                let slice = block(&file, slice.from, slice.to - slice.from);
                let digests = slice.chunks(EXTENT).map(|part| hash::extent(&self.key, part));
                digests.for_each(|digest| checks.extend_from_slice(&digest[..4]));
            }
        }
        let mut message = vec![tag::BATCH];
        message.extend(checks);
        message.extend(batch::pack(self.level, &prefix, &bytes)?);
        Ok(message)
    }

    /// Reads which extents came out wrong, to bring them whole.
    fn bring_again(&mut self, mut body: &[u8]) -> Result<(), SyncError> {
        let mut slices: Vec<Slice> = Vec::new();
        while !body.is_empty() {
            let pair = usize::try_from(take_varint(&mut body)?).map_err(|_| SyncError::Number)?;
            let extent = take_varint(&mut body)?;
            let held = self.pairs.get(pair).ok_or(SyncError::Number)?;
            let from = extent.checked_mul(EXTENT as u64).filter(|from| *from < held.size);
            let from = from.ok_or(SyncError::Number)?;
            if slices.last().is_some_and(|last| (last.pair, last.from) >= (pair, from)) {
                return Err(SyncError::Number);
            }
            slices.push(Slice { pair, from, to: held.size.min(from + EXTENT as u64) });
        }
        self.again = true;
        self.queue = Queue::of(slices);
        self.turn = Turn::Bring;
        Ok(())
    }
}

/// Files below this have no chunks named: their bytes cost hardly more.
pub(super) const MIN_CHUNKED: usize = 2048;

/// The bytes of a block, empty where a file has shrunk since it was first read: the digests at
/// the end tell.
fn block(bytes: &[u8], from: u64, len: u64) -> &[u8] {
    bytes.get(from as usize..(from + len) as usize).unwrap_or(&[])
}

/// The odds that an answer is packed with.
pub(super) fn context(test: &Test, had: bool) -> usize {
    1 + 2 * test.kind as usize + usize::from(had)
}
