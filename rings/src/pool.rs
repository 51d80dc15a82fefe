//! The frame pool: a receiver's free frames and the private record of what it has lent.

use thiserror::Error;

/// A frame that its holder owns: neither free nor on loan.
///
/// Move-only, so that a frame cannot be freed or lent twice.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(u32);

impl Frame {
    /// Index of the frame in its pool, `0..pool.capacity()`.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.0
    }
}

/// A token that came back on a return ring and does not name a frame on loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefusedToken {
    /// The token is not below the pool's capacity.
    #[error("frame token {token} is out of range: the pool has {capacity} frames")]
    OutOfRange {
        /// The token as it came back.
        token: u32,
        /// Frames in the pool.
        capacity: u32,
    },
    /// The frame is not on loan: it was returned before, or never lent.
    #[error("frame token {0} is not on loan: returned twice, or never lent")]
    NotOnLoan(u32),
}

/// Free list and on-loan bitmap of one receiver's frames.
///
/// Both are private memory of the receiver. A worker only ever sends back a number,
/// and [`FramePool::reclaim`] accepts it only while that frame is on loan.
#[derive(Debug)]
pub struct FramePool {
    free: Vec<u32>,
    loan: Box<[u64]>,
    capacity: u32,
    on_loan: u32,
    refused: u64,
}

impl FramePool {
    /// A pool of `frames` free frames; the lowest index is taken first.
    #[must_use]
    pub fn new(frames: u32) -> Self {
        Self {
            free: (0..frames).rev().collect(),
            loan: vec![0; (frames as usize).div_ceil(64)].into_boxed_slice(),
            capacity: frames,
            on_loan: 0,
            refused: 0,
        }
    }

    /// Takes a free frame, the most recently freed one first (its lines may still be cached).
    #[inline]
    pub fn take(&mut self) -> Option<Frame> {
        self.free.pop().map(Frame)
    }

    /// Gives a frame back that was not lent, or was reclaimed.
    #[inline]
    #[allow(clippy::needless_pass_by_value, reason = "moving the frame in is the contract")]
    pub fn put(&mut self, frame: Frame) {
        debug_assert!(self.free.len() < self.capacity as usize);
        self.free.push(frame.0);
    }

    /// Marks a frame as lent and returns the token that goes into [`crate::Desc::frame`].
    #[inline]
    #[allow(clippy::needless_pass_by_value, reason = "moving the frame in is the contract")]
    pub fn lend(&mut self, frame: Frame) -> u32 {
        let index = frame.0;
        self.loan[index as usize / 64] |= 1 << (index % 64);
        self.on_loan += 1;
        index
    }

    /// Takes a lent frame back.
    ///
    /// # Errors
    /// [`RefusedToken`] when the token is out of range or its frame not on loan; the
    /// refusal is counted and the pool unchanged.
    #[inline]
    pub fn reclaim(&mut self, token: u32) -> Result<Frame, RefusedToken> {
        let bit = 1u64 << (token % 64);
        match self.loan.get_mut(token as usize / 64) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                self.on_loan -= 1;
                Ok(Frame(token))
            }
            _ => Err(self.refuse(token)),
        }
    }

    #[cold]
    fn refuse(&mut self, token: u32) -> RefusedToken {
        self.refused += 1;
        if token < self.capacity {
            RefusedToken::NotOnLoan(token)
        } else {
            RefusedToken::OutOfRange { token, capacity: self.capacity }
        }
    }

    /// Frames in the pool, free or not.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Frames that [`Self::take`] can still give.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Frames out on loan.
    #[must_use]
    pub const fn on_loan(&self) -> u32 {
        self.on_loan
    }

    /// Tokens refused since the pool was made.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_once() {
        let mut pool = FramePool::new(65);
        let frames: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(frames.len(), 65);
        let tokens: Vec<_> = frames.into_iter().map(|frame| pool.lend(frame)).collect();
        assert_eq!(pool.on_loan(), 65);
        for &token in &tokens {
            let frame = pool.reclaim(token).expect("on loan");
            pool.put(frame);
            assert_eq!(pool.reclaim(token), Err(RefusedToken::NotOnLoan(token)));
        }
        assert_eq!((pool.free(), pool.on_loan(), pool.refused()), (65, 0, 65));
    }

    #[test]
    fn tokens_outside_the_pool_are_refused() {
        let mut pool = FramePool::new(65);
        for token in [65, 127, 128, u32::MAX] {
            assert_eq!(pool.reclaim(token), Err(RefusedToken::OutOfRange { token, capacity: 65 }));
        }
        assert_eq!(pool.refused(), 4);
    }
}
