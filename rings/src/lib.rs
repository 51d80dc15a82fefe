//! Memory that packets live in and the rings that hand it over.

mod desc;
mod pool;
mod view;

pub use desc::Desc;
pub use pool::{Frame, FramePool, RefusedToken};
pub use view::RegionView;
