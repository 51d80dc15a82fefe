//! Placing words: buckets from the fullest to the emptiest, each at the first displacement that
//! brings all its keys to free cells.

use foldhash::{HashMap, HashSet, HashSetExt};

use super::{BUCKET_BITS, Cell, Key, Seed, WORD_BYTES, WORD_IDS, WordTable, bucket, place};
use crate::bpe::Bpe;
use crate::vocab::VocabSource;

/// Keys per bucket, on average: more make the displacements smaller and harder to find.
const BUCKET: usize = 4;

/// Words of less heat may choose among all displacements.
const HOTTEST: u32 = 2048;
/// Heat of a word that is not among the hot ones.
const COLD: u32 = u32::MAX;

/// Collects words and their ids.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    cells: Vec<Cell>,
    /// The rank of each hot word, the most common 0.
    hot: HashMap<Key, u32>,
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

    /// Says which words are the most common in text, the first of them most: they get cells side by
    /// side, so that they share cache lines with each other and not with rare ones.
    pub(crate) fn heat<'a>(&mut self, words: impl IntoIterator<Item = &'a [u8]>) {
        self.hot = words.into_iter().map(Key::of).zip(0..).collect();
    }

    /// The table of the words.
    pub(crate) fn build(self) -> WordTable {
        let mut room = (self.cells.len() + self.cells.len() / 12).max(8);
        let heat = |cell: &Cell| self.hot.get(&cell.key()).copied().unwrap_or(COLD);
        let heat: Vec<u32> = self.cells.iter().map(heat).collect();
        loop {
            let seed = Seed::random();
            if let Some(table) = attempt(&self.cells, &heat, seed, room) {
                return table;
            }
            // Only on bad luck, and less likely each time.
            room += room / 16;
        }
    }
}

/// The table with `seed` and `room` cells; `None` where some bucket finds no place.
///
/// Buckets with hot words choose first, the hottest before the others, and take the displacement
/// that brings their hottest word farthest to the front. The rest come from the fullest to the
/// emptiest.
fn attempt(words: &[Cell], heat: &[u32], seed: Seed, room: usize) -> Option<WordTable> {
    let buckets = (words.len() / BUCKET).next_power_of_two().clamp(4, 1 << BUCKET_BITS);
    let (starts, members) = group(words, heat, seed, buckets);
    let of = |b: u32| &members[starts[b as usize] as usize..starts[b as usize + 1] as usize];
    let hottest = |b: u32| of(b).first().map_or(COLD, |member| heat[member.1 as usize]);
    let mut order: Vec<u32> = (0..buckets as u32).collect();
    order.sort_by_cached_key(|&b| (hottest(b), std::cmp::Reverse(of(b).len())));
    let mut cells = vec![Cell::FREE; room];
    let mut taken = Taken(vec![0; room / 64 + 1]);
    let mut pilots = vec![0u8; buckets];
    for bucket in order {
        let members = of(bucket);
        let pilot = if hottest(bucket) == COLD {
            (0..=255).find(|&pilot| settle(words, members, pilot, &mut cells, &mut taken))?
        } else {
            // Few fail because of the bucket's other words.
            let mut least = 0;
            let last = if hottest(bucket) < HOTTEST { 255 } else { 31 };
            loop {
                let front = |pilot: u8| (place(members[0].0, pilot, room), pilot);
                let free = |&(slot, _): &(u32, u8)| slot >= least && !taken.has(slot);
                let (slot, pilot) = (0..=last).map(front).filter(free).min()?;
                if settle(words, members, pilot, &mut cells, &mut taken) {
                    break pilot;
                }
                least = slot + 1;
            }
        };
        pilots[bucket as usize] = pilot;
    }
    Some(WordTable { seed, pilots: pilots.into(), cells: cells.into(), len: words.len() })
}

/// The members of each bucket as (hash, word), bucket `b`'s from `starts[b]` on, the hottest first.
fn group(words: &[Cell], heat: &[u32], seed: Seed, buckets: usize) -> (Vec<u32>, Vec<(u64, u32)>) {
    let hashes: Vec<u64> = words.iter().map(|cell| seed.hash(cell.key())).collect();
    let bucket = |hash: u64| bucket(hash, buckets);
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
    for range in starts.windows(2) {
        let bucket = &mut members[range[0] as usize..range[1] as usize];
        if let Some(hottest) = (0..bucket.len()).min_by_key(|&i| heat[bucket[i].1 as usize]) {
            bucket.swap(0, hottest);
        }
    }
    (starts, members)
}

/// Which cells are taken: as bits, so that they stay in the first cache.
struct Taken(Vec<u64>);

impl Taken {
    fn has(&self, slot: u32) -> bool {
        self.0[slot as usize / 64] >> (slot % 64) & 1 != 0
    }

    fn turn(&mut self, slot: u32) {
        self.0[slot as usize / 64] ^= 1 << (slot % 64);
    }
}

/// Puts the members at displacement `pilot`, if all the cells that it gives them are free.
fn settle(
    words: &[Cell],
    members: &[(u64, u32)],
    pilot: u8,
    cells: &mut [Cell],
    taken: &mut Taken,
) -> bool {
    let room = cells.len();
    for (done, &(hash, _)) in members.iter().enumerate() {
        let slot = place(hash, pilot, room);
        if taken.has(slot) {
            members[..done].iter().for_each(|&(hash, _)| taken.turn(place(hash, pilot, room)));
            return false;
        }
        taken.turn(slot);
    }
    for &(hash, word) in members {
        cells[place(hash, pilot, room) as usize] = words[word as usize];
    }
    true
}
