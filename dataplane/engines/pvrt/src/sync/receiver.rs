//! The end that has the old files.

use std::collections::HashMap;
use std::io;

use super::batch::{self, Queue};
use super::bits::{AnswerWriter, BitReader, put_varint, take_bytes, take_varint};
use super::cover::{Cover, Level};
use super::hash::{self, EXTENT, Roller};
use super::old::{CHUNK, Old, Reader};
use super::pair::{Pair, Slice};
use super::search::Search;
use super::sender::{MIN_CHUNKED, context};
use super::trials::{GROUP_BITS, Trials};
use super::{Sink, SyncError, Tree, tag};

/// No file is longer.
const MAX_SIZE: u64 = 1 << 40;

/// What a message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to say yet: more messages come.
    None,
    /// To be sent back.
    Send(Vec<u8>),
    /// To be sent back; all files are there and right.
    Done(Vec<u8>),
}

/// Whose turn it is to say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Offer,
    Sizes,
    Rounds,
    Batches,
    Done,
}

/// The receiver's half of a sync: [`Self::take`] for each message that comes.
pub struct Receiver<'a> {
    old: Old<'a>,
    old_digests: Vec<[u8; 32]>,
    key: [u8; 32],
    roller: Roller,
    /// The old file that each new one resembles by name.
    bases: Vec<Option<usize>>,
    /// The begin of each new file's digest.
    offered: Vec<[u8; 3]>,
    /// Digests of new files' extents, or for a file that is there already, its own digest.
    digests: Vec<Vec<[u8; 32]>>,
    shares: bool,
    pairs: Vec<Pair>,
    trials: Trials,
    queue: Queue,
    failed: Vec<Slice>,
    again: bool,
    turn: Turn,
}

impl std::fmt::Debug for Receiver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Receiver");
        shown.field("pairs", &self.pairs.len()).field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl<'a> Receiver<'a> {
    /// Has the files `old`; `bases` names for each new file the old one that it resembles, see
    /// [`super::bases`]. Reads every old file once.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(
        old: &'a dyn Tree,
        bases: Vec<Option<usize>>,
        key: [u8; 32],
    ) -> Result<Self, SyncError> {
        let (mut sizes, mut old_digests) = (Vec::new(), Vec::new());
        for file in 0..old.count() {
            let bytes = old.read(file)?;
            sizes.push(bytes.len() as u64);
            old_digests.push(hash::file(&key, &hash::extents(&key, &bytes)));
        }
        let bases = bases.into_iter().map(|base| base.filter(|&n| n < old.count())).collect();
        Ok(Self {
            old: Old::new(old, &sizes),
            old_digests,
            key,
            roller: Roller::new(&key),
            bases,
            offered: Vec::new(),
            digests: Vec::new(),
            shares: false,
            pairs: Vec::new(),
            trials: Trials::new(),
            queue: Queue::default(),
            failed: Vec::new(),
            again: false,
            turn: Turn::Offer,
        })
    }

    /// Takes a message of the sender; files go to `sink`.
    ///
    /// # Errors
    /// When the message is malformed or out of place, a file cannot be read or written, or the
    /// files come out wrong. The sync is then over.
    pub fn take(&mut self, message: &[u8], sink: &mut dyn Sink) -> Result<Reply, SyncError> {
        let (&kind, body) = message.split_first().ok_or(SyncError::Truncated)?;
        match (self.turn, kind) {
            (Turn::Offer, tag::OFFER) => self.offer(body, sink),
            (Turn::Sizes, tag::SIZES) => self.sizes(body, sink),
            (Turn::Rounds, tag::ROUND) => self.round(body),
            (Turn::Rounds, tag::BATCH | tag::END) if self.trials.is_empty() => {
                self.queue = Queue::whole(&self.pairs);
                self.turn = Turn::Batches;
                self.take(message, sink)
            }
            (Turn::Sizes, tag::END) if self.pairs.is_empty() => self.end(body),
            (Turn::Batches, tag::BATCH) => self.batch(body, sink),
            (Turn::Batches, tag::END) if self.queue.is_empty() => self.end(body),
            _ => Err(SyncError::Kind(kind)),
        }
    }

    /// Compares digests; says which files are wanted, and of which there is a base.
    fn offer(&mut self, body: &[u8], sink: &mut dyn Sink) -> Result<Reply, SyncError> {
        let (&shares, body) = body.split_first().ok_or(SyncError::Truncated)?;
        let (offered, rest) = body.as_chunks::<3>();
        if !rest.is_empty() || offered.len() != self.bases.len() {
            return Err(SyncError::Count { offered: offered.len(), listed: self.bases.len() });
        }
        self.shares = shares == 1;
        self.offered = offered.to_vec();
        let begin = |digest: &[u8; 32]| [digest[0], digest[1], digest[2]];
        let all = self.old_digests.iter().enumerate();
        let moved: HashMap<_, _> = all.map(|(n, digest)| (begin(digest), n)).collect();
        let (mut answers, mut base_digests, mut had) = (AnswerWriter::new(), Vec::new(), true);
        for (file, offered) in offered.iter().enumerate() {
            let base = self.bases[file];
            let same = base.filter(|&old| begin(&self.old_digests[old]) == *offered);
            answers.put(usize::from(had), same.is_some());
            had = same.is_some();
            if let Some(old) = same {
                sink.same(file, old)?;
                self.digests.push(vec![self.old_digests[old]]);
                continue;
            }
            self.digests.push(Vec::new());
            let base = moved.get(offered).copied().or(base);
            answers.put(2, base.is_some());
            if let Some(base) = base.filter(|_| self.shares) {
                base_digests.extend_from_slice(&self.old_digests[base][..4]);
            }
            let base = base.map(|base| self.old.range(base));
            self.pairs.push(Pair { file, size: 0, cover: Cover::new(0), base, shared: None });
        }
        let answers = answers.finish();
        let mut message = vec![tag::WANTS];
        put_varint(&mut message, answers.len() as u64);
        message.extend(answers);
        message.extend(base_digests);
        self.turn = Turn::Sizes;
        Ok(Reply::Send(message))
    }

    /// Reads sizes and chunks; says which chunks are there.
    fn sizes(&mut self, mut body: &[u8], sink: &mut dyn Sink) -> Result<Reply, SyncError> {
        let mut answers = AnswerWriter::new();
        let mut index = None;
        for pair in &mut self.pairs {
            let size = take_varint(&mut body)?;
            let shared = size & 1 == 1;
            pair.size = size >> 1;
            let base = pair.base.as_ref().and_then(|base| self.old.file_at(base.start));
            if pair.size > MAX_SIZE || (shared && !(self.shares && base.is_some())) {
                return Err(SyncError::Number);
            }
            pair.shared = base.filter(|_| shared);
            pair.cover = Cover::new(pair.size);
            if pair.size == 0 {
                sink.write(pair.file, 0, 0, &[])?;
            }
            let (mut from, mut had) = (0, false);
            let chunked = pair.base.is_none() && pair.size >= MIN_CHUNKED as u64;
            while chunked && from < pair.size {
                let len = take_varint(&mut body)?;
                let digest = take_bytes(&mut body, CHUNK)?;
                if len == 0 || len > pair.size - from {
                    return Err(SyncError::Number);
                }
                let index = match &mut index {
                    Some(index) => index,
                    none => none.insert(self.old.chunk_index(&self.key)?),
                };
                let held = index.get(digest).filter(|held| held.1 == len);
                answers.put(1 + usize::from(had), held.is_some());
                had = held.is_some();
                if let Some(&(at, _)) = held {
                    pair.cover.know(from, from + len, at);
                }
                from += len;
            }
            pair.cover.settle(|_| None);
        }
        if !body.is_empty() {
            return Err(SyncError::Trailing(body.len()));
        }
        self.turn = Turn::Rounds;
        Ok(Self::claims(answers))
    }

    fn claims(answers: AnswerWriter) -> Reply {
        let mut message = vec![tag::CLAIMS];
        message.extend(answers.finish());
        Reply::Send(message)
    }

    /// Checks the claims on trial, then looks for the round's blocks.
    fn round(&mut self, body: &[u8]) -> Result<Reply, SyncError> {
        let (&level, body) = body.split_first().ok_or(SyncError::Truncated)?;
        let len = 1_u64.checked_shl(u32::from(level & 127)).filter(|len| *len >= 8);
        let level = Level { len: len.ok_or(SyncError::Number)?, middle: level >> 7 == 1 };
        let mut bits = BitReader::new(body);
        let mut answers = AnswerWriter::new();
        let mut revoked = Vec::new();
        for hash in self.trials.hashes() {
            let failed = bits.take(GROUP_BITS)? != hash;
            answers.put(0, failed);
            revoked.push(failed);
        }
        let verdicts = self.trials.judge(revoked);
        for pair in &mut self.pairs {
            if pair.shared.is_some() {
                continue;
            }
            if pair.cover.least_bits(level) > bits.left() {
                return Err(SyncError::Truncated);
            }
            let tests = pair.cover.tests(level);
            let wanted = tests.iter().map(|test| bits.take(test.bits));
            let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
            let search = Search { old: &self.old, roller: &self.roller, level };
            let found = search.run(pair, &tests, &wanted)?;
            let (mut claims, mut next, mut had) = (Vec::new(), found.iter().peekable(), false);
            for (n, test) in tests.iter().enumerate() {
                let hit = next.next_if(|found| found.0 == n);
                answers.put(context(test, had), hit.is_some());
                had = hit.is_some();
                if let Some(&(_, at, hash)) = hit {
                    claims.push((n, at, self.trials.put(hash)));
                }
            }
            pair.cover.claim(&tests, level.len, &claims);
            pair.cover.settle(|trial| verdicts.of(trial));
        }
        if bits.left() >= 8 {
            return Err(SyncError::Trailing((bits.left() / 8) as usize));
        }
        Ok(Self::claims(answers))
    }

    /// Makes the parts of files that a batch brings.
    fn batch(&mut self, mut body: &[u8], sink: &mut dyn Sink) -> Result<Reply, SyncError> {
        let slices = self.queue.next().ok_or(SyncError::Kind(tag::BATCH))?;
        let mut checks = Vec::new();
        for slice in slices.iter().filter(|slice| self.pairs[slice.pair].size > EXTENT as u64) {
            let count = (slice.to - slice.from).div_ceil(EXTENT as u64) as usize;
            checks.extend_from_slice(take_bytes(&mut body, count * 4)?);
        }
        let (prefix, unknown) = self.prefix(&slices)?;
        let unpacked = batch::unpack(&prefix, body, unknown)?;
        let (mut prefix, mut unpacked) = (prefix.as_slice(), unpacked.as_slice());
        let mut checks = checks.as_chunks::<4>().0.iter();
        for slice in slices {
            let pair = &self.pairs[slice.pair];
            if let (Some(base), false) = (pair.shared, self.again) {
                let len = self.old.range(base);
                let beside = batch::beside(slice, (len.end - len.start) as usize);
                take_bytes(&mut prefix, beside.len())?;
            }
            let mut bytes = Vec::with_capacity((slice.to - slice.from) as usize);
            for span in pair.cover.within(slice.from, slice.to) {
                let known = span.at.is_some() && !self.again;
                let from = if known { &mut prefix } else { &mut unpacked };
                bytes.extend_from_slice(take_bytes(from, (span.to - span.from) as usize)?);
            }
            sink.write(pair.file, pair.size, slice.from, &bytes)?;
            self.check(slice, &bytes, &mut checks);
        }
        Ok(Reply::None)
    }

    /// The known bytes of `slices`, and how many are unknown.
    fn prefix(&self, slices: &[Slice]) -> Result<(Vec<u8>, usize), SyncError> {
        let changed = || io::Error::other("an old file changed while it was compared");
        let mut prefix = Vec::new();
        let mut unknown = 0;
        let mut reader = Reader::new(&self.old);
        for slice in slices {
            let pair = &self.pairs[slice.pair];
            if let (Some(base), false) = (pair.shared, self.again) {
                let range = self.old.range(base);
                let beside = batch::beside(*slice, (range.end - range.start) as usize);
                let (from, to) =
                    (range.start + beside.start as u64, range.start + beside.end as u64);
                if !beside.is_empty() {
                    prefix.extend_from_slice(reader.get(from, to)?.ok_or_else(changed)?);
                }
            }
            for span in pair.cover.within(slice.from, slice.to) {
                let len = span.to - span.from;
                match span.at.filter(|_| !self.again) {
                    Some(at) => {
                        prefix.extend_from_slice(reader.get(at, at + len)?.ok_or_else(changed)?);
                    }
                    None => unknown += len as usize,
                }
            }
        }
        Ok((prefix, unknown))
    }

    /// Compares the digests of a slice's extents with what the sender gave of them.
    fn check<'c>(
        &mut self,
        slice: Slice,
        bytes: &[u8],
        checks: &mut impl Iterator<Item = &'c [u8; 4]>,
    ) {
        let pair = &self.pairs[slice.pair];
        for (n, part) in bytes.chunks(EXTENT).enumerate() {
            let digest = hash::extent(&self.key, part);
            let from = slice.from + (n * EXTENT) as u64;
            let right = if pair.size > EXTENT as u64 {
                checks.next().is_some_and(|check| check[..] == digest[..4])
            } else {
                self.offered[pair.file][..] == digest[..3]
            };
            if !right {
                let to = from + part.len() as u64;
                self.failed.push(Slice { pair: slice.pair, from, to });
            }
            let digests = &mut self.digests[pair.file];
            let place = (from / EXTENT as u64) as usize;
            match digests.get_mut(place) {
                Some(held) => *held = digest,
                None => digests.push(digest),
            }
        }
    }

    /// Asks for what came out wrong, or ends.
    fn end(&mut self, body: &[u8]) -> Result<Reply, SyncError> {
        if body.len() != 32 {
            return Err(SyncError::Truncated);
        }
        if let (Some(failed), true) = (self.failed.first(), self.again) {
            return Err(SyncError::Restless(self.pairs[failed.pair].file));
        }
        if self.failed.is_empty() {
            let files: Vec<_> = self.digests.iter().map(|all| hash::file(&self.key, all)).collect();
            if hash::extent(&self.key, files.as_flattened()) != *body {
                return Err(SyncError::Doubt);
            }
            self.turn = Turn::Done;
            return Ok(Reply::Done(vec![tag::DONE]));
        }
        let mut message = vec![tag::AGAIN];
        for failed in &self.failed {
            put_varint(&mut message, failed.pair as u64);
            put_varint(&mut message, failed.from / EXTENT as u64);
        }
        self.queue = Queue::of(std::mem::take(&mut self.failed));
        self.again = true;
        Ok(Reply::Send(message))
    }
}
