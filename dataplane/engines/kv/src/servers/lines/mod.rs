//! The line grammar on the store.

mod admin;
mod jobs;
mod session;
mod tasks;
mod walk;

pub(super) use jobs::{Jobs, SharedJobs};
pub(super) use session::{LineAnswers, LineSession};
pub(super) use tasks::LineTask;
