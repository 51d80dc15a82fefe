//! The commands of Redis on the store.

mod admin;
mod commands;
mod keys;
mod options;
mod plan;
mod session;

pub(super) use plan::Plan;
pub(super) use session::RedisSession;
