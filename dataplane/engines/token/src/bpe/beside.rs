//! Words and wider pieces that merge side by side, with AVX-512.

use super::Bpe;
use super::columns::{Columns, PIECES, merge, merge_one};
use super::merge::Few;
use crate::words::Key;

/// Words of up to so many bytes need half as many registers.
const SHORT: usize = 8;

/// So few words are merged one by one.
const LONE: usize = 4;

/// Words that wait until there are as many as merge at once.
struct Group<const P: usize> {
    sets: [Columns<P>; 2],
    /// Places of their ids.
    places: [[u8; PIECES]; 2],
    count: usize,
}

impl<const P: usize> Group<P> {
    const EMPTY: Self =
        Self { sets: [const { Columns::EMPTY }; 2], places: [[0; PIECES]; 2], count: 0 };

    /// Adds a piece: the first `len` of `bytes`. There is room for it.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8; 16], len: usize, place: u8) {
        let (set, lane) = (self.count / PIECES % 2, self.count % PIECES);
        for (column, &byte) in self.sets[set].bytes.iter_mut().zip(bytes) {
            column[lane] = byte;
        }
        self.sets[set].lens[lane] = len as u32;
        self.places[set][lane] = place;
        self.count += 1;
    }

    /// As [`Group::flush`], for few words.
    fn one_by_one(&mut self, bpe: &Bpe, out: &mut [Few]) {
        for (lane, &place) in self.places[0][..self.count].iter().enumerate() {
            let (mut word, len) = ([0; P], self.sets[0].lens[lane] as usize);
            let bytes = word.iter_mut().zip(&self.sets[0].bytes);
            bytes.for_each(|(byte, column)| *byte = column[lane]);
            bpe.hand_out(&word[..len], &mut out[usize::from(place)]);
        }
        self.count = 0;
    }

    /// Merges the words and hands out their ids.
    ///
    /// # Safety
    /// As of [`merge`].
    #[inline(always)]
    unsafe fn flush(&mut self, bpe: &Bpe, out: &mut [Few]) {
        if self.count <= LONE {
            return self.one_by_one(bpe, out);
        }
        for at in self.count..2 * PIECES {
            self.sets[at / PIECES].lens[at % PIECES] = 0;
        }
        // SAFETY: features by the caller.
        unsafe {
            if self.count > PIECES {
                merge(bpe, &mut self.sets);
            } else {
                merge_one(bpe, &mut self.sets[0]);
            }
        }
        for at in 0..self.count {
            let (set, lane) = (at / PIECES % 2, at % PIECES);
            let few = &mut out[usize::from(self.places[set][lane])];
            // SAFETY: features by the caller. A `Few` is as large as 16 ids, and any ids make one.
            few.count = unsafe { self.sets[set].ids(bpe, lane, std::ptr::from_mut(few).cast()) };
        }
        self.count = 0;
    }
}

/// As [`Bpe::few`].
#[target_feature(
    enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
pub(super) fn few(bpe: &Bpe, keys: &[Key], places: &[u8], out: &mut [Few]) {
    // SAFETY of the calls: this function has the features.
    let mut short = Group::<SHORT>::EMPTY;
    let mut long = Group::<16>::EMPTY;
    let mut first = 0;
    while first < keys.len() {
        let mut at = first;
        while let Some(key) = keys.get(at) {
            if let Some((bytes, len)) = key.word() {
                if len <= SHORT {
                    short.add(&bytes, len, places[at]);
                } else {
                    long.add(&bytes, len, places[at]);
                }
            }
            at += 1;
            if short.count.max(long.count) == 2 * PIECES {
                break;
            }
        }
        first = at;
        let last = first == keys.len();
        if short.count == 2 * PIECES || last && short.count > 0 {
            // SAFETY: as above.
            unsafe { short.flush(bpe, out) };
        }
        if long.count == 2 * PIECES || last && long.count > 0 {
            // SAFETY: as above.
            unsafe { long.flush(bpe, out) };
        }
    }
}
