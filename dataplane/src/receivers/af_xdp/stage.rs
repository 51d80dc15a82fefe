//! Between RX ring and batch: descriptors whose packet is not whole yet, or does not fit.

use xsk_rs::FrameDesc;

use crate::receivers::BATCH;

/// Descriptors off the RX ring whose packet has not been handed out.
#[derive(Debug)]
pub(super) struct Stage {
    descs: [FrameDesc; BATCH],
    len: usize,
    /// The rest of a packet too long for any batch is being thrown away.
    discarding: bool,
    /// Packets of more buffers than a batch has places.
    pub(super) too_long: u64,
}

/// What is to be done with the descriptors from a position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A whole packet of so many buffers begins here, and fits.
    Packet(usize),
    /// This one buffer belongs to a packet that is thrown away.
    Discard,
    /// Nothing, before more descriptors or more room are there.
    Stop,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self { descs: [FrameDesc::default(); BATCH], len: 0, discarding: false, too_long: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Descriptors that still fit.
    pub(super) const fn room(&self) -> usize {
        BATCH - self.len
    }

    /// Places for up to `most` descriptors; [`Self::filled`] tells how many were used.
    pub(super) fn vacant(&mut self, most: usize) -> &mut [FrameDesc] {
        let end = (self.len + most).min(BATCH);
        &mut self.descs[self.len..end]
    }

    pub(super) const fn filled(&mut self, count: usize) {
        self.len += count;
    }

    #[inline]
    pub(super) const fn desc(&self, at: usize) -> FrameDesc {
        self.descs[at]
    }

    /// The buffers of a packet that [`Self::step`] found.
    pub(super) fn packet(&self, at: usize, buffers: usize) -> &[FrameDesc] {
        &self.descs[at..at + buffers]
    }

    /// What to do at `at` when a batch has `room` places.
    #[inline]
    pub(super) fn step(&mut self, at: usize, room: usize) -> Step {
        if at == self.len {
            return Step::Stop;
        }
        if self.discarding {
            self.discarding = self.descs[at].has_more_frames();
            return Step::Discard;
        }
        match self.descs[at..self.len].iter().position(|desc| !desc.has_more_frames()) {
            Some(last) if last < room => Step::Packet(last + 1),
            None if at == 0 && self.len == BATCH => {
                self.too_long += 1;
                self.discarding = true;
                Step::Discard
            }
            _ => Step::Stop,
        }
    }

    /// Forgets the descriptors before `at`.
    pub(super) fn done_to(&mut self, at: usize) {
        self.descs.copy_within(at..self.len, 0);
        self.len -= at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::af_xdp::socket::CONTINUED;

    /// Feeds packets of so many buffers through the stage into batches of 64 places, at most
    /// `burst` descriptors at a time; gives the sizes of those handed out.
    fn feed(packets: &[usize], burst: usize) -> (Vec<usize>, u64) {
        let mut descs = packets.iter().flat_map(|&buffers| {
            (1..=buffers).map(move |at| {
                let mut desc = FrameDesc::default();
                desc.set_options(if at < buffers { CONTINUED } else { 0 });
                desc
            })
        });
        let (mut stage, mut out) = (Stage::new(), Vec::new());
        let (mut room, mut discarded, mut idle) = (BATCH, 0, 0);
        while idle < 2 {
            let vacant = stage.vacant(burst.min(room));
            let taken = vacant.iter_mut().zip(&mut descs).map(|(to, desc)| *to = desc).count();
            stage.filled(taken);
            let mut at = 0;
            loop {
                match stage.step(at, room) {
                    Step::Packet(buffers) => {
                        assert_eq!(stage.packet(at, buffers).len(), buffers);
                        out.push(buffers);
                        room -= buffers;
                        at += buffers;
                    }
                    Step::Discard => {
                        discarded += 1;
                        at += 1;
                    }
                    Step::Stop => break,
                }
            }
            stage.done_to(at);
            idle = if taken + at == 0 { idle + 1 } else { 0 };
            if taken == 0 {
                room = BATCH;
            }
        }
        assert!(stage.is_empty());
        let all: usize = packets.iter().sum();
        assert_eq!(out.iter().sum::<usize>() + discarded, all, "each buffer once");
        (out, stage.too_long)
    }

    #[test]
    fn packets_come_whole_and_long_ones_go() {
        for burst in [1, 7, 63, 64] {
            assert_eq!(feed(&[1; 200], burst), (vec![1; 200], 0));
            assert_eq!(feed(&[6; 40], burst), (vec![6; 40], 0));
            assert_eq!(feed(&[60, 6, 64, 1, 63], burst), (vec![60, 6, 64, 1, 63], 0));
            assert_eq!(feed(&[2, 65, 3, 64, 200, 128, 1], burst), (vec![2, 3, 64, 1], 3));
        }
    }
}
