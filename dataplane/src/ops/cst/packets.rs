//! Payloads put together from their spans.

use super::desk::Desk;
use crate::pcpu::{EngineBatch, EngineSpan};

/// Messages, one at a time.
#[derive(Debug)]
pub(super) struct Messages {
    max_bytes: usize,
    /// One that goes on in the next span.
    open: Vec<u8>,
}

impl Messages {
    /// Longer ones than `max_bytes` are left out.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes: max_bytes as usize, open: Vec::new() }
    }

    /// Gives each whole message to `each`, with the span that ends it.
    pub(super) fn run(
        &mut self,
        batch: &EngineBatch<'_>,
        desk: &mut Desk,
        mut each: impl FnMut(&mut Desk, &EngineSpan<'_>, &[u8]),
    ) {
        for span in batch.spans() {
            if span.som {
                // A message that never ended is abandoned.
                desk.counters.incomplete += u64::from(!self.open.is_empty());
                self.open.clear();
            }
            if span.som && span.eom {
                if span.bytes.len() > self.max_bytes {
                    desk.counters.too_long += 1;
                } else {
                    each(desk, &span, span.bytes);
                }
                continue;
            }
            let room = (self.max_bytes + 1).saturating_sub(self.open.len());
            self.open.extend_from_slice(&span.bytes[..span.bytes.len().min(room)]);
            if span.eom {
                if self.open.len() > self.max_bytes {
                    desk.counters.too_long += 1;
                } else {
                    each(desk, &span, &self.open);
                }
                self.open.clear();
            }
        }
    }
}
