//! Memory that packets live in and the rings that hand it over.
//!
//! | module | what it gives |
//! |---|---|
//! | [`region`] | mapped memory: what was asked, what the host granted |
//! | [`spsc`] | a ring between two threads or two processes |
//! | [`lane`] | a forward ring of descriptors with a return ring of frame tokens |
//! | [`wait`] | how a side of a ring waits |
//! | [`attach`] | passing regions to another process |
//! | root | [`Desc`], [`FramePool`], [`RegionView`], [`Process`] |
//!
//! This crate knows nothing of packets.

pub mod attach;
mod desc;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod fuzzing;
pub mod lane;
mod pool;
mod process;
pub mod region;
pub mod spsc;
mod sync;
mod view;
pub mod wait;

pub use desc::Desc;
pub use pool::{Frame, FramePool, RefusedToken};
pub use process::Process;
pub use region::{PageSize, PageWish, Region, RegionError, RegionGranted, RegionRequest};
pub use view::RegionView;
pub use wait::{WaitStrategy, Waited};
