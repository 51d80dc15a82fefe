//! Where frames go out and come in: UDP here, other ways by these two traits.

mod faults;
mod udp;

use std::time::Duration;

pub use faults::{Faults, Faulty};
pub use udp::{UdpSink, UdpSource};

use super::error::TransferError;

/// Takes frames to the receiver; it may lose, repeat and reorder them.
pub trait FrameSink: Send {
    /// Sends frames in order, as many as there is room for, and returns how many it took.
    ///
    /// # Errors
    /// When the way is gone for good.
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError>;

    /// Waits a little until there is room, after [`Self::send`] took none.
    ///
    /// # Errors
    /// As [`Self::send`].
    fn wait(&mut self) -> Result<(), TransferError> {
        std::thread::sleep(Duration::from_micros(100));
        Ok(())
    }

    /// The longest frame that goes through whole, as far as is known.
    fn frame_most(&self) -> usize;
}

/// Gives frames as they come from the sender, and from anybody.
pub trait FrameSource: Send {
    /// Waits until frames are there, at most for `wait`, and gives them to `each`: bytes, and how
    /// many of them each frame but the last has. Returns how many bytes there were.
    ///
    /// # Errors
    /// When the way is gone for good.
    fn receive(
        &mut self,
        wait: Duration,
        each: &mut dyn FnMut(&[u8], usize),
    ) -> Result<usize, TransferError>;

    /// Bytes of frames that can wait unread before some are lost.
    fn room(&self) -> u64;

    /// The UDP port that frames are to be sent to; 0 where the way has none.
    fn port(&self) -> u16;
}

impl<S: FrameSink + ?Sized> FrameSink for Box<S> {
    fn send(&mut self, frames: &[&[u8]]) -> Result<usize, TransferError> {
        (**self).send(frames)
    }

    fn wait(&mut self) -> Result<(), TransferError> {
        (**self).wait()
    }

    fn frame_most(&self) -> usize {
        (**self).frame_most()
    }
}
