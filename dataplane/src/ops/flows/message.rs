//! A message on its way into its stream, span by span.

use super::Place;
use crate::pcpu::EngineSpan;

/// What is to be done with the spans of one message. The default one belongs to no stream.
#[derive(Debug, Default)]
pub(in crate::ops) struct Message {
    place: Option<Place>,
    /// Bytes at its front that are left out.
    skip: usize,
    /// The stream ends with it.
    ends: bool,
}

impl Message {
    /// Of the stream at `place`, which has the first `skip` bytes already, and ends with it or not.
    pub(in crate::ops) const fn new(place: Place, skip: usize, ends: bool) -> Self {
        Self { place: Some(place), skip, ends }
    }

    /// The stream that the next span goes to, the bytes of it that are new there, and whether the
    /// stream ends behind them; `None` where it goes to none.
    #[inline]
    pub(in crate::ops) fn next<'s>(
        &mut self,
        span: &EngineSpan<'s>,
    ) -> Option<(Place, &'s [u8], bool)> {
        let place = self.place?;
        let bytes = span.bytes.get(self.skip..).unwrap_or_default();
        self.skip -= span.bytes.len() - bytes.len();
        Some((place, bytes, span.eom && self.ends))
    }
}
