//! 32 stretches of text at once, with AVX-512: four sets of eight lanes.
//!
//! A lane walks one job: a stretch that begins where a token does and ends at a certain boundary.
//! In each step every lane looks at one cell, or at the entry of the pair table for the first two
//! bytes of a token. Where a walk has ended, the lane notes its id, and goes on behind the token.
//! Four sets, so that the loads of one overlap with the work on the others. The loads are scalar
//! ones: gather instructions take four times as long on the processors this was measured on.

use std::arch::x86_64::*;

use super::Greedy;
use crate::trie::View;

/// Bytes of text in a block at most: its ids are put in order in a buffer of as many places.
const BLOCK: usize = 12 * 1024;
/// Texts shorter than this are walked one token after the other.
const LEAST: usize = 256;
/// Sets of eight lanes.
const SETS: usize = 4;
const LANES: usize = SETS * 8;
/// A job's bytes, at least.
const LEAST_JOB: usize = 32;
/// How far a boundary is looked for behind a job's least end.
const REACH: usize = 512;
/// Bytes that a lane may look at behind the end of its job.
const BEYOND: usize = 16;
/// Ids that are noted before they are put in order.
const LOG: usize = 512;

/// A stretch of text. Its ids go to places `start..start + ids` of the buffer.
#[derive(Clone, Copy, Debug)]
struct Job {
    start: u32,
    end: u32,
    ids: u32,
}

/// What [`block`] works in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    jobs: Vec<Job>,
    ids: Vec<u32>,
}

/// Encodes the beginning of `text` as far as there are boundaries in it, and gives its length:
/// 0 where there are too few for it to be worth it.
#[inline]
pub(super) fn block(
    greedy: &Greedy,
    scratch: &mut Scratch,
    text: &[u8],
    ids: &mut Vec<u32>,
) -> usize {
    if text.len() < LEAST {
        return 0;
    }
    plan(greedy, text, &mut scratch.jobs);
    // A few jobs take as long as one after the other.
    let Some(last) = scratch.jobs.last().filter(|_| scratch.jobs.len() >= 6) else { return 0 };
    let end = last.end as usize;
    scratch.ids.resize(BLOCK, 0);
    // SAFETY: this is called on the level that has these instructions. The jobs end at certain
    // boundaries and `BEYOND` bytes before the end of the text, and in the first `BLOCK` bytes.
    unsafe { run(greedy.trie.view(), text, &mut scratch.jobs, &mut scratch.ids) };
    for job in &scratch.jobs {
        let start = job.start as usize;
        ids.extend_from_slice(&scratch.ids[start..start + job.ids as usize]);
    }
    end
}

/// Jobs from the start of `text` on, without gaps. They become shorter towards the end, so that
/// the lanes end together.
fn plan(greedy: &Greedy, text: &[u8], jobs: &mut Vec<Job>) {
    jobs.clear();
    let whole = text.len().saturating_sub(BEYOND).min(BLOCK);
    // In a short text each lane has one job.
    let least = if whole < LANES * LEAST_JOB * 4 { whole / LANES } else { LEAST_JOB };
    let mut start = 0;
    while start < whole {
        let least = ((whole - start) / (2 * LANES)).max(least);
        let reach = (start + least + REACH).min(whole);
        let Some(end) = greedy.pairs.next(&text[..=reach], start + least) else { return };
        jobs.push(Job { start: start as u32, end: end as u32, ids: 0 });
        start = end;
    }
}

/// Ids and where they go: place in the low half, id in the high half.
struct Log {
    notes: [u64; LOG],
    len: usize,
}

impl Log {
    /// Puts the ids in their places.
    #[inline(always)]
    fn flush(&mut self, ids: &mut [u32]) {
        for &note in &self.notes[..self.len] {
            if let Some(place) = ids.get_mut(note as u32 as usize) {
                *place = (note >> 32) as u32;
            }
        }
        self.len = 0;
    }
}

/// Jobs that wait for a lane.
struct Queue<'a> {
    jobs: &'a mut [Job],
    next: usize,
}

/// Eight lanes, 64 bits each. Offsets count from the start of the text.
#[derive(Clone, Copy)]
struct Set {
    /// Next byte of the walk.
    at: __m512i,
    /// The text from there on, first byte lowest.
    word: __m512i,
    /// Offset where `word` has no more bytes.
    word_end: __m512i,
    /// Base of the node.
    base: __m512i,
    /// The cell of the longest token so far.
    best: __m512i,
    /// Where that token ends.
    best_end: __m512i,
    /// Where the next id goes.
    place: __m512i,
    /// Where the job ends.
    end: __m512i,
    /// Lanes at the first two bytes of a token.
    fresh: __mmask8,
    /// Lanes that have a job.
    live: __mmask8,
    job: [u32; 8],
}

/// The tables, as addresses.
#[derive(Clone, Copy)]
struct Tables {
    cells: *const u64,
    pairs: *const u64,
    text: *const u8,
}

/// Walks all `jobs` over `text` and puts their ids into `ids`.
///
/// # Safety
/// The features below must be available. Every byte has a token in `view`. The jobs lie in
/// `text` up to `BEYOND` bytes before its end, are not empty, and end at certain boundaries.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
unsafe fn run(view: View<'_>, text: &[u8], jobs: &mut [Job], ids: &mut [u32]) {
    let (cells, pairs) = view.addresses();
    let tables = Tables { cells, pairs, text: text.as_ptr() };
    let mut log = Log { notes: [0; LOG], len: 0 };
    let mut queue = Queue { jobs, next: 0 };
    let mut sets = [Set::idle(); SETS];
    for set in &mut sets {
        // SAFETY: the features are those of this function, the rest is the caller's word.
        unsafe {
            set.assign(0xff, &mut queue);
            set.begin(set.live, tables);
        }
    }
    loop {
        let mut live = 0;
        for set in &mut sets {
            // SAFETY: as above.
            unsafe { set.step(tables, &mut queue, &mut log) };
            live |= set.live;
        }
        if live == 0 || log.len > LOG - 8 * (SETS + 1) {
            log.flush(ids);
        }
        if live == 0 {
            return;
        }
    }
}

impl Set {
    #[target_feature(enable = "avx512f")]
    fn idle() -> Self {
        let zero = _mm512_setzero_si512();
        Self {
            at: zero,
            word: zero,
            word_end: zero,
            base: zero,
            best: zero,
            best_end: zero,
            place: zero,
            end: zero,
            fresh: 0,
            live: 0,
            job: [0; 8],
        }
    }

    /// One cell further in every lane.
    ///
    /// # Safety
    /// As [`run`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
    unsafe fn step(&mut self, tables: Tables, queue: &mut Queue<'_>, log: &mut Log) {
        let one = _mm512_set1_epi64(1);
        let byte = _mm512_and_si512(self.word, _mm512_set1_epi64(0xff));
        // SAFETY: as this function's.
        let cell = unsafe { self.look(byte, tables) };
        let label = _mm512_and_si512(cell, _mm512_set1_epi64(0xff));
        let matched = _mm512_cmpeq_epi64_mask(label, byte) | self.fresh;
        // Behind this byte, or, in an entry for two bytes, behind the token that it has.
        let here = _mm512_add_epi64(self.at, _mm512_mask_mov_epi64(one, self.fresh, label));
        let no_id = _mm512_set1_epi64((u64::from(u32::MAX) << 32).cast_signed());
        let token = _mm512_mask_cmplt_epu64_mask(matched, cell, no_id);
        self.best = _mm512_mask_mov_epi64(self.best, token, cell);
        self.best_end = _mm512_mask_mov_epi64(self.best_end, token, here);
        self.base = _mm512_and_si512(_mm512_srli_epi64::<8>(cell), _mm512_set1_epi64(0xff_ffff));
        let further = _mm512_mask_test_epi64_mask(matched, self.base, self.base);
        let taken = _mm512_mask_mov_epi64(one, self.fresh, _mm512_set1_epi64(2));
        self.at = _mm512_add_epi64(self.at, taken);
        self.word = _mm512_srlv_epi64(self.word, _mm512_slli_epi64::<3>(taken));
        let done = !further & self.live;
        // SAFETY: as this function's.
        unsafe {
            self.note(done, log);
            let finished = _mm512_mask_cmpge_epu64_mask(done, self.best_end, self.end);
            if finished != 0 {
                self.assign(finished, queue);
            }
            self.begin(done, tables);
        }
    }

    /// The entry for two bytes in fresh lanes, the child along `byte` in the others.
    ///
    /// # Safety
    /// As [`run`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
    unsafe fn look(&self, byte: __m512i, tables: Tables) -> __m512i {
        let cells = _mm512_set1_epi64((tables.cells as u64).cast_signed());
        let pairs = _mm512_set1_epi64((tables.pairs as u64).cast_signed());
        let child = _mm512_xor_si512(self.base, byte);
        let pair = _mm512_and_si512(self.word, _mm512_set1_epi64(0xffff));
        let index = _mm512_mask_mov_epi64(child, self.fresh, pair);
        let table = _mm512_mask_mov_epi64(cells, self.fresh, pairs);
        // SAFETY: a base comes from a cell or an entry (0 at first), so the child of any byte lies
        // in the cells, whatever the lane; and every pair of bytes has an entry.
        unsafe { load(_mm512_add_epi64(table, _mm512_slli_epi64::<3>(index))) }
    }

    /// Notes the ids of the lanes in `done`.
    ///
    /// # Safety
    /// As [`run`]; the log has room for eight.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
    unsafe fn note(&mut self, done: __mmask8, log: &mut Log) {
        let low = _mm512_set1_epi64(i64::from(u32::MAX));
        // Bits of `best` where `low` has none, of `place` where it has.
        let notes = _mm512_ternarylogic_epi64::<0xca>(low, self.place, self.best);
        debug_assert!(log.len + 8 <= LOG);
        // SAFETY: the log has room for eight more.
        unsafe {
            let to = log.notes.as_mut_ptr().add(log.len);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(done, notes));
        }
        log.len += done.count_ones() as usize;
        self.place = _mm512_mask_add_epi64(self.place, done, self.place, _mm512_set1_epi64(1));
    }

    /// Makes the lanes in `done` fresh behind their tokens, and loads text where it is needed.
    ///
    /// # Safety
    /// As [`run`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
    unsafe fn begin(&mut self, done: __mmask8, tables: Tables) {
        self.fresh = done & self.live;
        self.at = _mm512_mask_mov_epi64(self.at, done, self.best_end);
        let empty = _mm512_cmpeq_epi64_mask(self.at, self.word_end);
        let need = (done | empty) & self.live;
        let text = _mm512_set1_epi64((tables.text as u64).cast_signed());
        // SAFETY: a live lane is at most two bytes behind the end of its job, since no token
        // reaches over a certain boundary; so eight bytes from there on lie in the text. The other
        // lanes load the text's first eight.
        let words = unsafe { load(_mm512_mask_add_epi64(text, need, text, self.at)) };
        self.word = _mm512_mask_mov_epi64(self.word, need, words);
        let end = _mm512_add_epi64(self.at, _mm512_set1_epi64(8));
        self.word_end = _mm512_mask_mov_epi64(self.word_end, need, end);
    }

    /// Closes the jobs of the lanes in `finished` and gives them others, while there are any.
    ///
    /// # Safety
    /// As [`run`].
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
    unsafe fn assign(&mut self, finished: __mmask8, queue: &mut Queue<'_>) {
        let (mut place, mut end, mut at) = ([0u64; 8], [0u64; 8], [0u64; 8]);
        // SAFETY: the arrays have 64 bytes each.
        unsafe {
            _mm512_storeu_si512(place.as_mut_ptr().cast(), self.place);
            _mm512_storeu_si512(end.as_mut_ptr().cast(), self.end);
            _mm512_storeu_si512(at.as_mut_ptr().cast(), self.best_end);
        }
        let mut rest = finished;
        while rest != 0 {
            let lane = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if self.live >> lane & 1 == 1 {
                let job = &mut queue.jobs[self.job[lane] as usize];
                job.ids = place[lane] as u32 - job.start;
            }
            if let Some(job) = queue.jobs.get(queue.next) {
                (place[lane], end[lane], at[lane]) =
                    (u64::from(job.start), u64::from(job.end), u64::from(job.start));
                self.job[lane] = queue.next as u32;
                self.live |= 1 << lane;
                queue.next += 1;
            } else {
                self.live &= !(1 << lane);
            }
        }
        // SAFETY: as above.
        unsafe {
            self.place = _mm512_loadu_si512(place.as_ptr().cast());
            self.end = _mm512_loadu_si512(end.as_ptr().cast());
            self.best_end = _mm512_loadu_si512(at.as_ptr().cast());
        }
    }
}

/// The eight bytes at each of eight addresses, by scalar loads.
///
/// # Safety
/// AVX-512 F must be available, and the bytes readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
unsafe fn load(addresses: __m512i) -> __m512i {
    let mut at = [0u64; 8];
    // SAFETY: the array has 64 bytes; what the addresses point to is the caller's.
    unsafe {
        _mm512_storeu_si512(at.as_mut_ptr().cast(), addresses);
        let two = |i: usize| {
            let high = (at[i + 1] as *const i64).read_unaligned();
            _mm_insert_epi64::<1>(_mm_loadl_epi64((at[i] as *const i64).cast()), high)
        };
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(two(0)), two(2));
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(two(4)), two(6));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }
}
