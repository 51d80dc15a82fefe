//! RESP2 and RESP3, the protocol of Redis: requests in, replies out, and the other way round for clients.
//!
//! A request is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or a line of words
//! (`GET k\r\n`). [`Parser`] turns what a connection has read into [`Requests`] without copying: an
//! argument is a range of the input. [`Encoder`] writes replies, [`Reply`] reads them.

mod client;
mod encoder;
mod error;
pub mod fuzzing;
mod inline;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub(crate) use encoder::decimal;
pub use encoder::{Encoder, Version};
pub use error::ProtocolError;
pub use reply::{Reply, ReplyError, ReplyLimits};
pub use request::{Parsed, Parser, RequestLimits, Requests, Span};
