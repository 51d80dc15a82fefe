//! The latest messages, for `LOG_FLUSH`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Messages that are kept.
const KEPT: usize = 256;

/// What happened lately, oldest first; also told to `tracing`.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<VecDeque<String>>);

impl Journal {
    /// Notes `message`: a line, without its end.
    pub(super) fn note(&self, message: String) {
        tracing::info!("{message}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(message);
    }

    /// The latest `limit` messages, oldest first; all are forgotten.
    pub(super) fn flush(&self, limit: usize) -> Vec<String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.len().saturating_sub(limit);
        kept.drain(..).skip(skip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept() {
        let journal = Journal::default();
        for number in 0..300 {
            journal.note(number.to_string());
        }
        assert_eq!(journal.flush(2), ["298", "299"]);
        assert!(journal.flush(9).is_empty());
        journal.note("a".into());
        assert_eq!(journal.flush(usize::MAX), ["a"]);
    }
}
