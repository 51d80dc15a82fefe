//! Bodies of several windows in one frame.
//!
//! Each is behind two varints: how many windows are left out since the one before it (of the first:
//! since the header's window), and the body's length.

use super::BodyError;
use crate::wire::varint;

/// Bodies gathered for one frame.
#[derive(Clone, Debug)]
pub struct Pack {
    most: usize,
    first: u32,
    next: u32,
    bytes: Vec<u8>,
}

impl Pack {
    /// An empty one of up to `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, first: 0, next: 0, bytes: Vec::new() }
    }

    /// Adds the body of `window`; `false`, and nothing is added, when it does not fit or `window` is
    /// not behind those that are there.
    pub fn push(&mut self, window: u32, body: &[u8]) -> bool {
        let first = self.bytes.is_empty();
        let next = if first { window } else { self.next };
        let (Some(skipped), Some(after)) = (window.checked_sub(next), window.checked_add(1)) else {
            return false;
        };
        let before = self.bytes.len();
        varint::put(u64::from(skipped), &mut self.bytes);
        varint::put(body.len() as u64, &mut self.bytes);
        if self.bytes.len() + body.len() > self.most {
            self.bytes.truncate(before);
            return false;
        }
        self.bytes.extend_from_slice(body);
        if first {
            self.first = window;
        }
        self.next = after;
        true
    }

    /// The first body's window.
    #[must_use]
    pub const fn window(&self) -> u32 {
        self.first
    }

    /// The frame's payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether no body is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all bodies out.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// The bodies of a frame's payload with their windows, in order.
#[derive(Clone, Debug)]
pub struct Packed<'a> {
    next: Option<u32>,
    rest: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Those of `payload` in a frame whose header says `window`.
    #[must_use]
    pub const fn new(window: u32, payload: &'a [u8]) -> Self {
        Self { next: Some(window), rest: payload }
    }

    fn body(&mut self) -> Option<(u32, &'a [u8])> {
        let skipped = u32::try_from(varint::take(&mut self.rest)?).ok()?;
        let len = usize::try_from(varint::take(&mut self.rest)?).ok()?;
        let window = self.next?.checked_add(skipped)?;
        let body = self.rest.get(..len)?;
        self.rest = &self.rest[len..];
        self.next = window.checked_add(1);
        Some((window, body))
    }
}

impl<'a> Iterator for Packed<'a> {
    type Item = Result<(u32, &'a [u8]), BodyError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let body = self.body().ok_or(BodyError::Short("pack"));
        if body.is_err() {
            self.rest = &[];
        }
        Some(body)
    }
}
