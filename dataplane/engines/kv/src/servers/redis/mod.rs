//! The commands of Redis on the store.

mod admin;
mod commands;
mod keys;
mod options;
mod plan;
mod session;
mod tasks;

pub(super) use plan::Plan;
pub(super) use session::{RedisAnswers, RedisSession};
pub(super) use tasks::RedisTask;
