//! Memory that packets live in and the rings that hand it over.

mod desc;
mod pool;
pub mod region;
mod view;

pub use desc::Desc;
pub use pool::{Frame, FramePool, RefusedToken};
pub use region::{PageSize, PageWish, Region, RegionError, RegionGranted, RegionRequest};
pub use view::RegionView;
