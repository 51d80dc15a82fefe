//! A way that loses, repeats and reorders frames, by a seed: the same in every run.

use super::FrameSink;
use crate::transfer::error::TransferError;

/// How often what happens, in frames of a million, and from which seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Frames lost.
    pub lost: u32,
    /// Frames that come twice.
    pub twice: u32,
    /// Frames that come late, after up to 64 others.
    pub late: u32,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Faults {
    /// Reads `loss=0.05,dup=0.01,reorder=0.02,seed=7`; shares of 1, each may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let bad = || {
                format!(
                    "`{part}` is none of loss=, dup=, reorder= (a share from 0 to 1), seed= (a number)"
                )
            };
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let share = || {
                let share = value.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
                share.map(|share| (share * 1e6) as u32).ok_or_else(bad)
            };
            match name {
                "loss" => faults.lost = share()?,
                "dup" => faults.twice = share()?,
                "reorder" => faults.late = share()?,
                "seed" => faults.seed = value.parse().map_err(|_| bad())?,
                _ => return Err(bad()),
            }
        }
        Ok(faults)
    }
}

/// A sink with [`Faults`].
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
    state: u64,
    /// Frames held back, with how many others go first.
    held: Vec<(u32, Vec<u8>)>,
    /// Frames on their way into `inner`, one behind the other as sinks like them, and their lengths.
    ready: Vec<u8>,
    lengths: Vec<usize>,
}

impl<S: FrameSink> Faulty<S> {
    /// Puts `faults` before `inner`.
    pub const fn new(inner: S, faults: Faults) -> Self {
        Self {
            inner,
            faults,
            state: faults.seed,
            held: Vec::new(),
            ready: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// SplitMix64, of Steele and Vigna.
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    const fn happens(&mut self, share: u32) -> bool {
        self.next() % 1_000_000 < share as u64
    }

    fn pass(&mut self, frame: &[u8]) {
        for (left, _) in &mut self.held {
            *left = left.saturating_sub(1);
        }
        if !self.happens(self.faults.lost) {
            if self.happens(self.faults.late) {
                let after = self.next() % 64 + 1;
                self.held.push((after as u32, frame.to_vec()));
            } else {
                self.put(frame);
            }
            if self.happens(self.faults.twice) {
                self.put(frame);
            }
        }
        let due: Vec<_> = self.held.extract_if(.., |(left, _)| *left == 0).collect();
        due.iter().for_each(|(_, frame)| self.put(frame));
    }

    fn put(&mut self, frame: &[u8]) {
        self.ready.extend_from_slice(frame);
        self.lengths.push(frame.len());
    }

    fn push(&mut self) -> Result<bool, TransferError> {
        let (mut rest, mut frames) =
            (self.ready.as_slice(), Vec::with_capacity(self.lengths.len()));
        for length in &self.lengths {
            let (frame, behind) = rest.split_at(*length);
            frames.push(frame);
            rest = behind;
        }
        let taken = if frames.is_empty() { 0 } else { self.inner.send(&frames)? };
        let bytes: usize = self.lengths.drain(..taken).sum();
        self.ready.drain(..bytes);
        Ok(self.lengths.is_empty())
    }
}

impl<S: FrameSink> FrameSink for Faulty<S> {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        if !self.push()? {
            return Ok(0);
        }
        for frame in frames {
            self.pass(frame);
        }
        self.push()?;
        Ok(frames.len())
    }

    fn wait(&mut self) -> Result<(), TransferError> {
        self.inner.wait()
    }

    fn frame_most(&self) -> usize {
        self.inner.frame_most()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<Vec<u8>>);

    impl FrameSink for Kept {
        fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
            // Takes a few at a time, as a full socket does.
            let taken = frames.len().min(7);
            self.0.extend(frames[..taken].iter().map(|frame| frame.to_vec()));
            Ok(taken)
        }

        fn frame_most(&self) -> usize {
            100
        }
    }

    fn run(faults: Faults) -> Vec<u32> {
        let mut sink = Faulty::new(Kept::default(), faults);
        for number in 0_u32..10_000 {
            while sink.send(&[&number.to_le_bytes()]).expect("sends") == 0 {}
        }
        while !sink.push().expect("sends") {}
        sink.inner
            .0
            .iter()
            .map(|frame| u32::from_le_bytes(frame[..].try_into().expect("4")))
            .collect()
    }

    #[test]
    fn faults_are_as_many_as_asked_and_the_same_each_time() {
        assert_eq!(run(Faults::default()), (0..10_000).collect::<Vec<_>>());
        let faults = Faults::parse("loss=0.05,dup=0.02,reorder=0.1,seed=3").expect("good");
        let got = run(faults);
        assert_eq!(got, run(faults));
        assert_ne!(got, run(Faults { seed: 4, ..faults }));
        let mut once = got.clone();
        once.sort_unstable();
        once.dedup();
        let (lost, twice) = (10_000 - once.len(), got.len() - once.len());
        assert!((400..600).contains(&lost) && (130..270).contains(&twice), "{lost} {twice}");
        assert!(got.windows(2).filter(|pair| pair[0] > pair[1]).count() > 500);
    }

    #[test]
    fn texts_that_say_nothing_are_refused() {
        for text in ["loss", "loss=2", "loss=-1", "loss=x", "seed=x", "what=1"] {
            assert!(Faults::parse(text).is_err(), "{text}");
        }
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
    }
}
