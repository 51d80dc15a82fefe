//! The line grammar on the store.

mod admin;
mod jobs;
mod pairs;
mod session;

pub(super) use jobs::Jobs;
pub(super) use session::LineSession;
