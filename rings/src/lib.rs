//! Memory that packets live in and the rings that hand it over.
//!
//! | module | what it gives |
//! |---|---|
//! | [`region`] | mapped memory: what was asked, what the host granted |
//! | [`spsc`] | a ring between two threads or two processes |
//! | [`wait`] | how a side of a ring waits |
//! | root | [`Desc`], [`FramePool`], [`RegionView`], [`Process`] |
//!
//! This crate knows nothing of packets.

mod desc;
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
