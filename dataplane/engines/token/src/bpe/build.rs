//! From a vocabulary's tokens and ranks to the tables.

use foldhash::{HashMap, HashMapExt};

use super::merge::{Joins, merge_any};
use super::pairs;
use super::{Bpe, MOST_NUMBERS, NONE};
use crate::split::Level;
use crate::trie::Trie;
use crate::vocab::{Ranks, SourceError, VocabSource};
use crate::vocabulary::VocabError;

/// The tables while they grow, rank by rank.
struct Work<'a> {
    bytes: Vec<u32>,
    pairs: pairs::Builder,
    ids: Vec<u32>,
    halves: Vec<[u32; 2]>,
    spelled: Vec<&'a [u8]>,
}

impl Joins for Work<'_> {
    fn bytes(&self, first: u8, second: u8) -> u32 {
        self.bytes[usize::from(first) << 8 | usize::from(second)]
    }

    fn numbers(&self, left: u32, right: u32) -> u32 {
        self.pairs.get(left, right)
    }
}

impl<'a> Work<'a> {
    /// With the 256 bytes, which all must be tokens.
    fn new(source: &'a VocabSource) -> Result<Self, VocabError> {
        let mut single: [Option<(u32, &[u8])>; 256] = [None; 256];
        for (id, bytes) in &source.tokens {
            if let [byte] = bytes[..] {
                single[usize::from(byte)] = Some((*id, bytes));
            }
        }
        let mut work = Self {
            bytes: vec![NONE; 1 << 16],
            pairs: pairs::Builder::with_room(source.tokens.len()),
            ids: vec![],
            halves: vec![],
            spelled: vec![],
        };
        for (byte, token) in (0..=255u8).zip(single) {
            let Some((id, bytes)) = token else {
                let (name, source) = (source.name.clone(), SourceError::Byte { byte });
                return Err(VocabError::Source { name, source });
            };
            work.ids.push(id);
            work.halves.push([u32::from(byte); 2]);
            work.spelled.push(bytes);
        }
        Ok(work)
    }

    /// Gives the next number to the token `id` that `pair` merges into.
    fn add(&mut self, pair: [u32; 2], id: u32, bytes: &'a [u8]) {
        let number = self.ids.len() as u32;
        if let [Ok(first), Ok(second)] = pair.map(usize::try_from)
            && first.max(second) < 256
        {
            self.bytes[first << 8 | second] = number;
        }
        self.pairs.insert(pair[0], pair[1], number);
        self.ids.push(id);
        self.halves.push(pair);
        self.spelled.push(bytes);
    }

    /// The tables.
    fn finish(self) -> Result<Bpe, VocabError> {
        let numbers = (0..).zip(self.spelled.iter().copied());
        let trie = Trie::build(numbers)?;
        let shorter = |bytes: &[u8]| trie.longest(&bytes[..bytes.len() - 1]).map_or(NONE, |t| t.0);
        let shorter: Vec<u32> = self.spelled.iter().map(|bytes| shorter(bytes)).collect();
        let lengths: Vec<u32> = self.spelled.iter().map(|bytes| bytes.len() as u32).collect();
        let halves = (256..).zip(&self.halves[256..]);
        let rising = halves.into_iter().all(|(number, pair)| pair[0].max(pair[1]) < number);
        Ok(Bpe {
            longest: self.spelled.iter().map(|bytes| bytes.len()).max().unwrap_or(0),
            bytes: self.bytes.into(),
            pairs: self.pairs.build(),
            ids: self.ids.into(),
            halves: self.halves.into(),
            lengths: lengths.into(),
            shorter: shorter.into(),
            trie,
            rising,
            certain: None,
            level: Level::detect(),
        })
    }
}

impl Bpe {
    /// The tables of `source`, whose ids and bytes are distinct.
    ///
    /// # Errors
    /// A byte has no token, or there are more than about two million tokens.
    pub(crate) fn build(source: &VocabSource) -> Result<Self, VocabError> {
        if source.tokens.len() > MOST_NUMBERS {
            let (found, most) = (source.tokens.len(), MOST_NUMBERS);
            return Err(VocabError::TooMany { found, most });
        }
        let rules = Rules::new(source);
        let mut work = Work::new(source)?;
        let mut left_over = vec![];
        match &source.ranks {
            Ranks::ById => by_id(source, &mut work, &mut left_over),
            Ranks::Merges(list) => by_list(&rules, list, &mut work, &mut left_over),
        }
        // A token that the merges before its own do not lead to may still come about if a later
        // merge makes one of its halves. No trained vocabulary has such tokens.
        if left_over.iter().any(|&bytes| rules.last_merge(bytes).is_some()) {
            work = Work::new(source)?;
            out_of_order(source, &rules, &mut work);
        }
        let mut bpe = work.finish()?;
        bpe.find_certain(source);
        Ok(bpe)
    }
}

/// Tokens in the order of their ids.
fn by_id<'a>(source: &'a VocabSource, work: &mut Work<'a>, left_over: &mut Vec<&'a [u8]>) {
    for (id, bytes) in source.tokens.iter().filter(|(_, bytes)| bytes.len() > 1) {
        match merge_any(work, bytes)[..] {
            [left, right] => work.add([left, right], *id, bytes),
            _ => left_over.push(bytes),
        }
    }
}

/// Tokens in the order of the listed merges.
fn by_list<'a>(
    rules: &Rules<'a>,
    list: &[(u32, u32)],
    work: &mut Work<'a>,
    left_over: &mut Vec<&'a [u8]>,
) {
    let mut number_of: HashMap<u32, u32> = work.ids.iter().copied().zip(0..).collect();
    let mut joined = vec![];
    for (left, right) in list {
        let Some((bytes, id)) = rules.joined(*left, *right, &mut joined) else { continue };
        if number_of.contains_key(&id) {
            continue;
        }
        let pair = [left, right].map(|id| number_of.get(id).copied());
        match (pair, &merge_any(work, bytes)[..]) {
            ([Some(left), Some(right)], found) if found == [left, right] => {
                number_of.insert(id, work.ids.len() as u32);
                work.add([left, right], id, bytes);
            }
            _ => left_over.push(bytes),
        }
    }
    left_over.retain(|bytes| !number_of.contains_key(&rules.ids[bytes]));
}

/// Every token by the merges that make it, whatever their ranks.
fn out_of_order<'a>(source: &'a VocabSource, rules: &Rules<'a>, work: &mut Work<'a>) {
    let tokens = source.tokens.iter().filter(|(_, bytes)| bytes.len() > 1);
    let mut made: Vec<_> = tokens
        .filter_map(|(id, bytes)| Some((rules.last_merge(bytes)?, *id, bytes.as_slice())))
        .collect();
    made.sort_by_key(|((rank, _), ..)| *rank);
    let numbered: HashMap<u32, u32> =
        work.ids.iter().copied().chain(made.iter().map(|(_, id, _)| *id)).zip(0..).collect();
    for ((_, pair), id, bytes) in made {
        work.add(pair.map(|id| numbered[&id]), id, bytes);
    }
}

/// The vocabulary's merges as its file says them, by ids.
struct Rules<'a> {
    ids: HashMap<&'a [u8], u32>,
    bytes: HashMap<u32, &'a [u8]>,
    /// Rank of each listed merge; `None` where ids are ranks.
    ranks: Option<HashMap<(u32, u32), u32>>,
}

impl<'a> Rules<'a> {
    fn new(source: &'a VocabSource) -> Self {
        let mut ids = HashMap::with_capacity(source.tokens.len());
        ids.extend(source.tokens.iter().map(|(id, bytes)| (bytes.as_slice(), *id)));
        let mut bytes = HashMap::with_capacity(source.tokens.len());
        bytes.extend(source.tokens.iter().map(|(id, bytes)| (*id, bytes.as_slice())));
        let ranks = match &source.ranks {
            Ranks::ById => None,
            Ranks::Merges(list) => Some(
                list.iter().enumerate().map(|(rank, &pair)| (pair, rank as u32)).rev().collect(),
            ),
        };
        Self { ids, bytes, ranks }
    }

    /// The token that two tokens' bytes make together.
    fn joined(&self, left: u32, right: u32, buffer: &mut Vec<u8>) -> Option<(&'a [u8], u32)> {
        buffer.clear();
        buffer.extend_from_slice(self.bytes.get(&left)?);
        buffer.extend_from_slice(self.bytes.get(&right)?);
        let (bytes, id) = self.ids.get_key_value(buffer.as_slice())?;
        Some((bytes, *id))
    }

    /// Rank of merging two tokens, and the token.
    fn join(&self, left: u32, right: u32, buffer: &mut Vec<u8>) -> Option<(u32, u32)> {
        let rank = match &self.ranks {
            None => None,
            Some(ranks) => Some(*ranks.get(&(left, right))?),
        };
        let (_, id) = self.joined(left, right, buffer)?;
        Some((rank.unwrap_or(id), id))
    }

    /// Rank and halves of the merge that makes `token` from its bytes; `None` where merging does
    /// not lead to it.
    fn last_merge(&self, token: &[u8]) -> Option<(u32, [u32; 2])> {
        let mut buffer = Vec::new();
        let mut parts: Vec<u32> =
            token.iter().map(|byte| self.ids[std::slice::from_ref(byte)]).collect();
        let pairs = parts.windows(2);
        let mut joins: Vec<_> = pairs.map(|p| self.join(p[0], p[1], &mut buffer)).collect();
        loop {
            let possible = joins.iter().enumerate().filter_map(|(at, j)| Some((j.as_ref()?, at)));
            let (&(rank, id), at) = possible.min_by_key(|&((rank, _), at)| (*rank, at))?;
            if let [left, right] = parts[..] {
                return Some((rank, [left, right]));
            }
            parts[at] = id;
            parts.remove(at + 1);
            joins.remove(at);
            if let Some(&right) = parts.get(at + 1) {
                joins[at] = self.join(id, right, &mut buffer);
            }
            if at > 0 {
                joins[at - 1] = self.join(parts[at - 1], id, &mut buffer);
            }
        }
    }
}
