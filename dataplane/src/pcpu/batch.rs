//! The batch that a program runs over: up to 64 payload spans.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// Most spans in one batch.
pub const BATCH: usize = 64;

/// How many spans of the batch after this one can be hinted; see [`SpanBatch::hint`].
pub const AHEAD: usize = 16;

/// One span as the kernels see it.
#[derive(Clone, Copy)]
pub(crate) struct Seg {
    pub(crate) ptr: *mut u8,
    pub(crate) len: u32,
    pub(crate) som: bool,
    pub(crate) eom: bool,
}

/// Up to [`BATCH`] payload spans, in order of arrival.
///
/// A span with both marks is a message; a longer message is a run of spans from `som` to `eom`,
/// which may go on in the next batch. A span after an `eom` begins a message with or without its
/// mark. A `som` in the middle of a message abandons that message: its bytes were counted, its
/// digest is not folded in.
///
/// `'a` is how long the payload is borrowed.
pub struct SpanBatch<'a> {
    segs: [Seg; BATCH + AHEAD],
    len: usize,
    hints: usize,
    /// Sum of the spans' lengths and number of their `eom`s, kept so that no pass has to add up.
    bytes: u64,
    messages: u32,
    payload: PhantomData<&'a mut [u8]>,
}

// SAFETY: the batch owns its spans exclusively (the contract of `push`), like the `&mut [u8]`s
// that it stands for, and those may move to another thread.
unsafe impl Send for SpanBatch<'_> {}

impl Default for SpanBatch<'_> {
    fn default() -> Self {
        let none = Seg { ptr: NonNull::dangling().as_ptr(), len: 0, som: true, eom: true };
        let segs = [none; BATCH + AHEAD];
        Self { segs, len: 0, hints: 0, bytes: 0, messages: 0, payload: PhantomData }
    }
}

impl<'a> SpanBatch<'a> {
    /// A batch of whole messages, one per slice.
    ///
    /// # Panics
    /// When there are more than [`BATCH`] slices, or one of 4 GiB or more.
    #[must_use]
    pub fn of_messages(messages: &'a mut [&mut [u8]]) -> Self {
        let mut batch = Self::default();
        let spans = messages.iter_mut().map(|message| {
            let len = u32::try_from(message.len()).expect("a span is below 4 GiB");
            (message.as_mut_ptr(), len, true, true)
        });
        // SAFETY: borrowed exclusively for 'a, which the batch cannot outlive.
        unsafe { batch.extend(spans) };
        batch
    }

    /// A batch of one message that lies in several slices.
    ///
    /// # Panics
    /// When there are more than [`BATCH`] slices, or one of 4 GiB or more.
    #[must_use]
    pub fn of_chain(parts: &'a mut [&mut [u8]]) -> Self {
        let last = parts.len().wrapping_sub(1);
        let mut batch = Self::default();
        for (i, part) in parts.iter_mut().enumerate() {
            let len = u32::try_from(part.len()).expect("a span is below 4 GiB");
            // SAFETY: borrowed exclusively for 'a, which the batch cannot outlive.
            unsafe { batch.push(part.as_mut_ptr(), len, i == 0, i == last) };
        }
        batch
    }

    /// Adds a span of `len` bytes at `ptr`.
    ///
    /// # Panics
    /// When the batch is full: callers look at [`Self::room`] first.
    ///
    /// # Safety
    /// `ptr..ptr + len` must be readable and writable, and this batch its only user, until the
    /// batch is cleared or dropped: it owns the span, as a worker does that took its descriptor
    /// off a ring. The spans of one batch must not overlap.
    #[inline]
    pub unsafe fn push(&mut self, ptr: *mut u8, len: u32, som: bool, eom: bool) {
        assert!(self.len < BATCH, "batch is full");
        self.segs[self.len] = Seg { ptr, len, som, eom };
        self.len += 1;
        self.hints = 0;
        self.bytes += u64::from(len);
        self.messages += u32::from(eom);
    }

    /// Adds spans, given as to [`Self::push`], as many as there are: the faster way for many.
    ///
    /// # Panics
    /// When there are more than [`Self::room`].
    ///
    /// # Safety
    /// As [`Self::push`], for each span.
    #[inline]
    pub unsafe fn extend(&mut self, spans: impl IntoIterator<Item = (*mut u8, u32, bool, bool)>) {
        let (mut len, mut bytes, mut messages) = (self.len, self.bytes, self.messages);
        for (ptr, span_len, som, eom) in spans {
            assert!(len < BATCH, "batch is full");
            self.segs[len] = Seg { ptr, len: span_len, som, eom };
            len += 1;
            bytes += u64::from(span_len);
            messages += u32::from(eom);
        }
        (self.len, self.bytes, self.messages) = (len, bytes, messages);
        self.hints = 0;
    }

    /// Names a span of the batch to come, so that its payload is fetched while this one is
    /// worked on. Call after the last `push`; at most [`AHEAD`] count, the rest are ignored.
    /// The address is never dereferenced.
    #[inline]
    pub fn hint(&mut self, ptr: *const u8, len: u32) {
        if self.hints < AHEAD {
            self.segs[self.len + self.hints] =
                Seg { ptr: ptr.cast_mut(), len, som: true, eom: true };
            self.hints += 1;
        }
    }

    /// Spans in the batch.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the batch holds no span.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Spans that still fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        BATCH - self.len
    }

    /// Forgets all spans but the first `len`, and all hints.
    pub fn truncate(&mut self, len: usize) {
        let len = self.len.min(len);
        for seg in &self.segs[len..self.len] {
            self.bytes -= u64::from(seg.len);
            self.messages -= u32::from(seg.eom);
        }
        self.len = len;
        self.hints = 0;
    }

    /// Forgets all spans and hints.
    #[inline]
    pub const fn clear(&mut self) {
        self.len = 0;
        self.hints = 0;
        self.bytes = 0;
        self.messages = 0;
    }

    /// The spans' bytes, total.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages that end in this batch.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages as u64
    }

    /// The parts of each message, message by message; a message that the batch holds only the
    /// beginning of comes last.
    pub(crate) fn each_message(
        &self,
    ) -> impl Iterator<Item = impl Iterator<Item = &[u8]> + Clone + '_> + '_ {
        self.segs().split_inclusive(|seg| seg.eom).map(|parts| {
            parts.iter().map(|seg| {
                // SAFETY: readable for as long as the batch holds it and owned by the batch alone
                // (the contract of `push`), which is borrowed while the slice lives.
                unsafe { std::slice::from_raw_parts(seg.ptr.cast_const(), seg.len as usize) }
            })
        })
    }

    pub(crate) fn segs(&self) -> &[Seg] {
        &self.segs[..self.len]
    }

    /// Spans of this batch, then hints of the next: what may be prefetched.
    pub(crate) fn window(&self) -> &[Seg] {
        &self.segs[..self.len + self.hints]
    }
}

impl fmt::Debug for SpanBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanBatch")
            .field("spans", &self.len)
            .field("bytes", &self.bytes())
            .field("hints", &self.hints)
            .finish_non_exhaustive()
    }
}
