#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod queue;
#[cfg(not(loom))]
mod shared;
