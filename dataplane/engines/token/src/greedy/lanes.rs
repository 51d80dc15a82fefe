//! 32 stretches of text at once, with AVX-512: four sets of eight lanes.
//!
//! A lane walks one job: a stretch that begins where a token does and ends at a certain boundary.
//! In each step every lane looks at one cell, or at the entry of the pair table for the first two
//! bytes of a token. Where a walk has ended, the lane notes its id, and goes on behind the token.
//! Four sets, so that the loads of one overlap with the work on the others. The loads are scalar
//! ones: gather instructions take four times as long on the processors this was measured on.

use std::arch::x86_64::*;

use crate::trie::View;

/// Sets of eight lanes.
const SETS: usize = 4;
/// All lanes.
const LANES: usize = SETS * 8;
/// Ids that are noted before they are put in order.
const LOG: usize = 512;

/// Stretches of text that do not overlap, and where their ids go: those of job `j` begin at place
/// `places[j]`, and there is a place for each of its bytes.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Addresses.
    starts: Vec<u64>,
    ends: Vec<u64>,
    places: Vec<u32>,
    /// Of closed jobs: place behind the last id in the low half, number of the job in the high one.
    closed: Vec<u64>,
    bytes: usize,
}

impl Jobs {
    /// Bytes of memory that it has allocated.
    pub(super) fn memory(&self) -> usize {
        let pairs = self.starts.capacity() + self.ends.capacity() + self.closed.capacity();
        pairs * size_of::<u64>() + self.places.capacity() * size_of::<u32>()
    }

    /// Forgets all jobs.
    pub(super) fn clear(&mut self) {
        self.starts.clear();
        self.ends.clear();
        self.places.clear();
        self.closed.clear();
        self.bytes = 0;
    }

    /// Adds the stretch of `len` bytes at `start`.
    #[inline(always)]
    pub(super) fn push(&mut self, start: u64, len: usize) {
        self.starts.push(start);
        self.ends.push(start + len as u64);
        self.places.push(self.bytes as u32);
        self.bytes += len;
    }

    /// Number of jobs.
    fn len(&self) -> usize {
        self.starts.len()
    }

    /// Walks all jobs: afterwards their ids are in `ids`, where [`Jobs::done`] says.
    ///
    /// # Safety
    /// The processor must have what [`run`] needs. The jobs are stretches of text that is borrowed
    /// meanwhile; they are not empty, each begins where a token does and ends at a certain boundary,
    /// and 16 bytes can be read from there on, of which a lane looks at ten. Every byte has a token in `view`.
    pub(super) unsafe fn walk(&mut self, view: View<'_>, ids: &mut Vec<u32>) {
        let len = self.len();
        // Eight numbers are loaded from the place of each job on, and stored to that of each.
        self.starts.resize(len + 8, 0);
        self.ends.resize(len + 8, 0);
        self.places.resize(len + 8, 0);
        self.closed.resize(len + 8, 0);
        ids.clear();
        ids.resize(self.bytes, 0);
        let mut queue = Queue {
            starts: &self.starts,
            ends: &self.ends,
            places: &self.places,
            len,
            next: 0,
            closed: &mut self.closed,
            done: 0,
        };
        // SAFETY: the caller's word; all arrays have eight elements more than there are jobs.
        unsafe { run(view, &mut queue, ids) };
    }

    /// The number of each job, the place of its first id and the place behind its last, in the order
    /// in which they were done.
    pub(super) fn done(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.closed.iter().zip(0..self.closed.len().saturating_sub(8)).map(|(&closed, _)| {
            let job = (closed >> 32) as usize;
            (job, self.places[job] as usize, closed as u32 as usize)
        })
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

/// Jobs that wait for a lane, and those that are done.
struct Queue<'a> {
    /// Eight more than there are jobs, as in the next two.
    starts: &'a [u64],
    ends: &'a [u64],
    places: &'a [u32],
    /// Number of jobs.
    len: usize,
    /// The first that waits; `len` or less.
    next: usize,
    /// Eight more than there are jobs.
    closed: &'a mut [u64],
    /// How many of them are; `len` or less.
    done: usize,
}

/// Eight lanes, 64 bits each.
#[derive(Clone, Copy)]
struct Set {
    /// Address of the next byte of the walk.
    at: __m512i,
    /// The text from there on, first byte lowest.
    word: __m512i,
    /// Address where `word` has no more bytes.
    word_end: __m512i,
    /// Base of the node.
    base: __m512i,
    /// The cell of the longest token so far.
    best: __m512i,
    /// Where that token ends.
    best_end: __m512i,
    /// Where the next id goes, and in the high half the number of the job.
    place: __m512i,
    /// Where the job ends.
    end: __m512i,
    /// Lanes at the first two bytes of a token.
    fresh: __mmask8,
    /// Lanes that have a job.
    live: __mmask8,
}

/// The tables, as addresses.
#[derive(Clone, Copy)]
struct Tables {
    cells: *const u64,
    pairs: *const u64,
}

/// Walks all jobs of `queue` and puts their ids into `ids`.
///
/// # Safety
/// The features below must be available, and what [`Jobs::walk`] asks of the jobs and the view.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2,popcnt")]
unsafe fn run(view: View<'_>, queue: &mut Queue<'_>, ids: &mut [u32]) {
    let (cells, pairs) = view.addresses();
    let tables = Tables { cells, pairs };
    let mut log = Log { notes: [0; LOG], len: 0 };
    // SAFETY: the features are those of this function, the rest is the caller's word. The log is
    // emptied before it has no room for a step of all sets.
    unsafe {
        let mut new = || Set::new(tables, queue);
        let (mut a, mut b, mut c, mut d) = (new(), new(), new(), new());
        const { assert!(SETS == 4) };
        while a.live | b.live | c.live | d.live != 0 {
            a = a.step(tables, queue, &mut log);
            b = b.step(tables, queue, &mut log);
            c = c.step(tables, queue, &mut log);
            d = d.step(tables, queue, &mut log);
            if log.len > LOG - LANES {
                log.flush(ids);
            }
        }
    }
    log.flush(ids);
}

// SAFETY of the functions below: each is only called from `run`, inlined, so that its features are
// available; the intrinsics without pointers are register work.
impl Set {
    /// Eight lanes with a job each, as far as there are jobs.
    #[inline(always)]
    unsafe fn new(tables: Tables, queue: &mut Queue<'_>) -> Self {
        // SAFETY: as above.
        unsafe {
            let zero = _mm512_setzero_si512();
            let mut set = Self {
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
            };
            set.assign(0xff, queue);
            set.begin(0xff, tables);
            set
        }
    }

    /// One cell further in every lane. The log must have room for eight.
    #[inline(always)]
    unsafe fn step(mut self, tables: Tables, queue: &mut Queue<'_>, log: &mut Log) -> Self {
        // SAFETY: as above.
        unsafe {
            let one = _mm512_set1_epi64(1);
            let byte = _mm512_and_si512(self.word, _mm512_set1_epi64(0xff));
            let cell = self.look(byte, tables);
            let label = _mm512_and_si512(cell, _mm512_set1_epi64(0xff));
            let matched = _mm512_cmpeq_epi64_mask(label, byte) | self.fresh;
            // Behind this byte, or, in an entry for two bytes, behind the token that it has.
            let here = _mm512_add_epi64(self.at, _mm512_mask_mov_epi64(one, self.fresh, label));
            let no_id = _mm512_set1_epi64((u64::from(u32::MAX) << 32).cast_signed());
            let token = _mm512_mask_cmplt_epu64_mask(matched, cell, no_id);
            self.best = _mm512_mask_mov_epi64(self.best, token, cell);
            self.best_end = _mm512_mask_mov_epi64(self.best_end, token, here);
            let base = _mm512_srli_epi64::<8>(cell);
            self.base = _mm512_and_si512(base, _mm512_set1_epi64(0xff_ffff));
            let further = _mm512_mask_test_epi64_mask(matched, self.base, self.base);
            let taken = _mm512_mask_mov_epi64(one, self.fresh, _mm512_set1_epi64(2));
            self.at = _mm512_add_epi64(self.at, taken);
            self.word = _mm512_srlv_epi64(self.word, _mm512_slli_epi64::<3>(taken));
            let done = !further & self.live;
            self.note(done, log);
            let finished = _mm512_mask_cmpge_epu64_mask(done, self.best_end, self.end);
            if finished != 0 {
                self.assign(finished, queue);
            }
            self.begin(done, tables);
            self
        }
    }

    /// The entry for two bytes in fresh lanes, the child along `byte` in the others.
    #[inline(always)]
    unsafe fn look(&self, byte: __m512i, tables: Tables) -> __m512i {
        // SAFETY: a base comes from a cell or an entry (0 at first), so the child of any byte lies
        // in the cells, whatever the lane; and every pair of bytes has an entry.
        unsafe {
            let cells = _mm512_set1_epi64((tables.cells as u64).cast_signed());
            let pairs = _mm512_set1_epi64((tables.pairs as u64).cast_signed());
            let child = _mm512_xor_si512(self.base, byte);
            let pair = _mm512_and_si512(self.word, _mm512_set1_epi64(0xffff));
            let index = _mm512_mask_mov_epi64(child, self.fresh, pair);
            let table = _mm512_mask_mov_epi64(cells, self.fresh, pairs);
            load(_mm512_add_epi64(table, _mm512_slli_epi64::<3>(index)))
        }
    }

    /// Notes the ids of the lanes in `done`. The log must have room for eight.
    #[inline(always)]
    unsafe fn note(&mut self, done: __mmask8, log: &mut Log) {
        debug_assert!(log.len + 8 <= LOG);
        // SAFETY: as above, and the log has room for eight.
        unsafe {
            let low = _mm512_set1_epi64(i64::from(u32::MAX));
            // Bits of `best` where `low` has none, of `place` where it has.
            let notes = _mm512_ternarylogic_epi64::<0xca>(low, self.place, self.best);
            let to = log.notes.as_mut_ptr().add(log.len);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(done, notes));
            log.len += done.count_ones() as usize;
            let one = _mm512_set1_epi64(1);
            self.place = _mm512_mask_add_epi64(self.place, done, self.place, one);
        }
    }

    /// Makes the lanes in `done` fresh behind their tokens, and loads text where it is needed.
    #[inline(always)]
    unsafe fn begin(&mut self, done: __mmask8, tables: Tables) {
        // SAFETY: as above. A live lane is at most two bytes behind the end of its job, since no
        // token reaches over a certain boundary; so eight bytes from there on can be read. The other
        // lanes load the first entry of the pair table.
        unsafe {
            self.fresh = done & self.live;
            self.at = _mm512_mask_mov_epi64(self.at, done, self.best_end);
            let empty = _mm512_cmpeq_epi64_mask(self.at, self.word_end);
            let need = (done | empty) & self.live;
            let some = _mm512_set1_epi64((tables.pairs as u64).cast_signed());
            let words = load(_mm512_mask_mov_epi64(some, need, self.at));
            self.word = _mm512_mask_mov_epi64(self.word, need, words);
            let end = _mm512_add_epi64(self.at, _mm512_set1_epi64(8));
            self.word_end = _mm512_mask_mov_epi64(self.word_end, need, end);
        }
    }

    /// Closes the jobs of the lanes in `finished` and gives them others, while there are any.
    #[inline(always)]
    unsafe fn assign(&mut self, finished: __mmask8, queue: &mut Queue<'_>) {
        let closed = finished & self.live;
        debug_assert!(queue.done <= queue.len && queue.next <= queue.len);
        debug_assert!(queue.closed.len() >= queue.len + 8);
        // SAFETY: as above. The four arrays have eight more elements than there are jobs, and
        // `done` and `next` never exceed the number of jobs: a job is taken once and closed once.
        unsafe {
            let to = queue.closed.as_mut_ptr().add(queue.done);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi64(closed, self.place));
            queue.done += closed.count_ones() as usize;
            let load = |from: &[u64]| _mm512_loadu_si512(from.as_ptr().add(queue.next).cast());
            let (starts, ends) = (load(queue.starts), load(queue.ends));
            let places = _mm256_loadu_si256(queue.places.as_ptr().add(queue.next).cast());
            let places = _mm512_cvtepu32_epi64(places);
            let eight = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
            let first = _mm512_set1_epi64(queue.next as i64);
            let numbers = _mm512_slli_epi64::<32>(_mm512_add_epi64(first, eight));
            let places = _mm512_or_si512(numbers, places);
            self.place = _mm512_mask_expand_epi64(self.place, finished, places);
            self.best_end = _mm512_mask_expand_epi64(self.best_end, finished, starts);
            self.end = _mm512_mask_expand_epi64(self.end, finished, ends);
            let waiting = (queue.len - queue.next).min(8);
            let new = _pdep_u32((1 << waiting) - 1, u32::from(finished)) as __mmask8;
            self.live = (self.live & !finished) | new;
            queue.next += new.count_ones() as usize;
        }
    }
}

/// The eight bytes at each of eight addresses, which must be readable, by scalar loads.
#[inline(always)]
unsafe fn load(addresses: __m512i) -> __m512i {
    /// In one cache line: the loads below take their values from the store before it is done.
    #[repr(align(64))]
    struct Line([u64; 8]);
    let mut at = Line([0; 8]);
    // SAFETY: only called from `run`, inlined; the array has 64 bytes; what the addresses point to
    // is the caller's.
    unsafe {
        _mm512_store_si512(at.0.as_mut_ptr().cast(), addresses);
        // Left to itself the compiler takes the lanes apart with shuffles, which is slower.
        let Line(at) = std::hint::black_box(&at);
        let two = |i: usize| {
            let high = (at[i + 1] as *const i64).read_unaligned();
            _mm_insert_epi64::<1>(_mm_loadl_epi64((at[i] as *const i64).cast()), high)
        };
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(two(0)), two(2));
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(two(4)), two(6));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }
}
