//! The control socket's protocol: one JSON object a line, each way. It changes nothing in a run.
//!
//! A run says [`Answer::Hello`] to whoever connects, then answers each [`Request`]. After `watch`
//! it sends a [`Answer::Live`] every `interval_ms` on its own, and a last one when it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Live, RunId};
use crate::plan::Plan;

/// Version of the protocol.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest request in bytes, its newline included.
pub(crate) const REQUEST_BYTES: usize = 4096;
/// Shortest and longest interval of `watch`, in milliseconds.
pub(crate) const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// What a viewer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A document now; its rates are since the last one that this viewer had.
    Snapshot,
    /// A document every `interval_ms`, from 100 to 60,000; a later `watch` changes it.
    Watch {
        /// Milliseconds.
        interval_ms: u64,
    },
    /// The plan as it runs, with what was granted.
    Plan,
}

/// What a run says: an object with one key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To whoever connects.
    Hello(Hello),
    /// To `snapshot` and `watch`.
    Live(Box<Live>),
    /// To `plan`.
    Plan(Box<Plan>),
    /// To what is no request; the run closes the connection after it.
    Error(String),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// Version of the protocol: 1.
    pub protocol_version: u32,
    /// Version of the live document.
    pub schema_version: u32,
    /// Which run.
    pub run: RunId,
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let request = serde_json::from_slice(line).map_err(|error| {
            format!("{error}; a request is {{\"request\":\"snapshot\"}}, {{\"request\":\"plan\"}} or {{\"request\":\"watch\",\"interval_ms\":1000}}")
        })?;
        match request {
            Self::Watch { interval_ms } if !INTERVAL_MS.contains(&interval_ms) => Err(format!(
                "interval_ms {interval_ms} is not from {} to {}",
                INTERVAL_MS.start(),
                INTERVAL_MS.end()
            )),
            request => Ok(request),
        }
    }
}

/// A message as it goes over the socket.
pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    // Maps with text keys and numbers only: none of what serde_json refuses.
    let mut text = serde_json::to_vec(message).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_others_refused() {
        assert_eq!(Request::parse(br#"{"request":"plan"}"#), Ok(Request::Plan));
        assert_eq!(
            Request::parse(br#"{"request":"watch","interval_ms":250}"#),
            Ok(Request::Watch { interval_ms: 250 })
        );
        for bad in [
            "",
            "[]",
            "{}",
            "\u{0}\u{ff}",
            r#"{"request":"stop"}"#,
            r#"{"request":"watch"}"#,
            r#"{"request":"watch","interval_ms":1}"#,
            r#"{"request":"watch","interval_ms":-1}"#,
            r#"{"request":"watch","interval_ms":99999999}"#,
        ] {
            assert!(Request::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
