//! Placing words: buckets from the fullest to the emptiest, each at the first displacement that
//! brings all its keys to free cells.

use foldhash::{HashSet, HashSetExt};

use super::{Cell, Key, Seed, WORD_BYTES, WORD_IDS, WordTable, place};
use crate::bpe::Bpe;
use crate::vocab::VocabSource;

/// Keys per bucket, on average: more make the displacements smaller and harder to find.
const BUCKET: usize = 4;

/// Collects words and their ids.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    cells: Vec<Cell>,
}

impl Builder {
    /// Adds a word, if it fits into a cell. Words must be distinct.
    pub(crate) fn add(&mut self, word: &[u8], ids: &[u32]) {
        let fits = (1..=WORD_BYTES).contains(&word.len()) && (1..=WORD_IDS).contains(&ids.len());
        if fits {
            self.cells.push(Cell::new(Key::of(word), ids));
        }
    }

    /// Adds the tokens of `source`, which `bpe` was built from, and then `words`.
    pub(crate) fn add_bpe<'a>(
        &mut self,
        bpe: &Bpe,
        source: &VocabSource,
        words: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let mut ids = Vec::new();
        let whole = bpe.whole_pieces(source);
        for (id, bytes) in &source.tokens {
            if whole(*id) {
                self.add(bytes, &[*id]);
            } else if bytes.len() <= WORD_BYTES {
                ids.clear();
                ids.extend(bpe.short(bytes).iter().map(|number| bpe.id(number)));
                self.add(bytes, &ids);
            }
        }
        let tokens = source.tokens.iter().map(|(_, bytes)| bytes.as_slice());
        let mut known = HashSet::with_capacity(source.tokens.len());
        known.extend(tokens.filter(|bytes| bytes.len() <= WORD_BYTES));
        for word in words {
            if (1..=WORD_BYTES).contains(&word.len()) && known.insert(word) {
                ids.clear();
                ids.extend(bpe.short(word).iter().map(|number| bpe.id(number)));
                self.add(word, &ids);
            }
        }
    }

    /// The table of the words.
    pub(crate) fn build(self) -> WordTable {
        let mut room = (self.cells.len() * 5 / 4).max(8);
        loop {
            let seed = Seed::random();
            if let Some(table) = attempt(&self.cells, seed, room) {
                return table;
            }
            // Only on bad luck, and less likely each time.
            room += room / 16;
        }
    }
}

/// The table with `seed` and `room` cells; `None` where some bucket finds no place.
fn attempt(words: &[Cell], seed: Seed, room: usize) -> Option<WordTable> {
    let buckets = (words.len() / BUCKET).next_power_of_two().max(1);
    let (starts, members) = group(words, seed, buckets);
    let mut order: Vec<u32> = (0..buckets as u32).collect();
    let size = |b: u32| starts[b as usize + 1] - starts[b as usize];
    order.sort_by_key(|&b| std::cmp::Reverse(size(b)));
    let mut cells = vec![Cell::FREE; room];
    let mut pilots = vec![0u8; buckets];
    for bucket in order {
        let bucket = bucket as usize;
        let members = &members[starts[bucket] as usize..starts[bucket + 1] as usize];
        pilots[bucket] = (0..=255).find(|&pilot| settle(words, members, pilot, &mut cells))?;
    }
    Some(WordTable { seed, pilots: pilots.into(), cells: cells.into(), len: words.len() })
}

/// The members of each bucket as (hash, word), bucket `b`'s from `starts[b]` on.
fn group(words: &[Cell], seed: Seed, buckets: usize) -> (Vec<u32>, Vec<(u64, u32)>) {
    let hashes: Vec<u64> = words.iter().map(|cell| seed.hash(cell.key)).collect();
    let bucket = |hash: u64| hash as usize & (buckets - 1);
    let mut starts = vec![0u32; buckets + 1];
    for &hash in &hashes {
        starts[bucket(hash) + 1] += 1;
    }
    for b in 0..buckets {
        starts[b + 1] += starts[b];
    }
    let mut next = starts.clone();
    let mut members = vec![(0, 0); words.len()];
    for (word, &hash) in hashes.iter().enumerate() {
        let at = &mut next[bucket(hash)];
        members[*at as usize] = (hash, word as u32);
        *at += 1;
    }
    (starts, members)
}

/// Puts the members at displacement `pilot`, if all the cells that it gives them are free.
fn settle(words: &[Cell], members: &[(u64, u32)], pilot: u8, cells: &mut [Cell]) -> bool {
    for (done, &(hash, word)) in members.iter().enumerate() {
        let slot = place(hash, pilot, cells.len()) as usize;
        if cells[slot].key != Cell::FREE.key {
            for &(hash, _) in &members[..done] {
                cells[place(hash, pilot, cells.len()) as usize] = Cell::FREE;
            }
            return false;
        }
        cells[slot] = words[word as usize];
    }
    true
}
