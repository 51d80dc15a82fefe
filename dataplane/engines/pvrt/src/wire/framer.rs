//! Makes frames of windows.

use std::ops::Range;
use std::sync::Arc;

use super::body::{CHECK, Check, Pack};
use super::frame::{HEADER, Header, Kind, STEP_LEAST, STEP_MOST, TAG};
use super::seal::Key;

/// What the fragments of a window are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The window's bytes and their [`check`](super::body::check).
    Direct(&'a [u8], Check),
    /// The window's [`body`](super::body).
    Part(&'a [u8]),
}

impl Payload<'_> {
    /// Bytes of all fragments together.
    #[must_use]
    pub const fn total(&self) -> usize {
        match self {
            Self::Direct(bytes, _) => bytes.len() + CHECK,
            Self::Part(body) => body.len(),
        }
    }
}

/// Makes one transfer's frames.
///
/// It numbers them; with a key that is used in more than one place (several sockets, threads), give
/// each a range of sequences of its own, far apart.
#[derive(Clone, Debug)]
pub struct Framer {
    transfer: u32,
    step: u16,
    sequence: u64,
    key: Option<Arc<Key>>,
}

impl Framer {
    /// For frames of up to `frame_bytes`, which is what a datagram may hold; sealed with `key`.
    #[must_use]
    pub fn new(transfer: u32, frame_bytes: usize, key: Option<Arc<Key>>) -> Self {
        let around = HEADER + if key.is_some() { TAG } else { 0 };
        let step = frame_bytes.saturating_sub(around);
        let step = step.clamp(usize::from(STEP_LEAST), usize::from(STEP_MOST));
        Self { transfer, step: step as u16, sequence: 0, key }
    }

    /// The same, numbering from `sequence` on.
    #[must_use]
    pub const fn from_sequence(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    /// Numbers what comes next from `sequence` on.
    pub const fn number_from(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Number of the next frame.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Payload bytes of a full frame; also the most that a [`Pack`] may hold.
    #[must_use]
    pub const fn step(&self) -> u16 {
        self.step
    }

    /// Number of fragments of `payload`.
    #[must_use]
    pub const fn fragments(&self, payload: &Payload<'_>) -> u32 {
        (payload.total() as u32).div_ceil(self.step as u32)
    }

    /// Appends to `out` the frame of fragment `fragment` of `payload`; gives its bytes.
    ///
    /// # Panics
    /// When there is no such fragment: `payload` is empty, longer than
    /// [`TOTAL_MOST`](super::frame::TOTAL_MOST), or has fewer.
    pub fn fragment(
        &mut self,
        window: u32,
        payload: &Payload<'_>,
        fragment: u32,
        out: &mut Vec<u8>,
    ) -> usize {
        let (kind, (bytes, check)) = match payload {
            Payload::Direct(bytes, check) => (Kind::Direct, (*bytes, check.to_le_bytes())),
            Payload::Part(body) => (Kind::Part, (*body, [0; CHECK])),
        };
        let header = self.header(kind, window, fragment, payload.total());
        let part = header.offset()..header.offset() + header.payload();
        let in_bytes = |at: usize| at.min(bytes.len());
        let tail: Range<usize> =
            part.start.saturating_sub(bytes.len())..part.end.saturating_sub(bytes.len());
        self.write(&header, [&bytes[in_bytes(part.start)..in_bytes(part.end)], &check[tail]], out)
    }

    /// Appends to `out` the frame of `pack`; gives its bytes.
    ///
    /// # Panics
    /// When `pack` is empty or holds more than [`Self::step`].
    pub fn pack(&mut self, pack: &Pack, out: &mut Vec<u8>) -> usize {
        let header = self.header(Kind::Pack, pack.window(), 0, pack.bytes().len());
        self.write(&header, [pack.bytes(), &[]], out)
    }

    /// Appends to `out` a probe of `frame_bytes` in all, as near as that can be; gives its bytes.
    pub fn probe(&mut self, frame_bytes: usize, out: &mut Vec<u8>) -> usize {
        let around = HEADER + if self.key.is_some() { TAG } else { 0 };
        let len = frame_bytes.saturating_sub(around).clamp(1, usize::from(STEP_MOST));
        let (step, total) = (len as u16, len as u32);
        let header = Header { step, ..self.header_of(Kind::Probe, 0, 0, total) };
        self.write(&header, [&vec![0; len], &[]], out)
    }

    fn header_of(&self, kind: Kind, window: u32, fragment: u16, total: u32) -> Header {
        Header {
            kind,
            encrypted: self.key.is_some(),
            transfer: self.transfer,
            window,
            sequence: self.sequence,
            fragment,
            step: self.step,
            total,
        }
    }

    fn header(&self, kind: Kind, window: u32, fragment: u32, total: usize) -> Header {
        let total = u32::try_from(total).unwrap_or(0);
        let header =
            self.header_of(kind, window, u16::try_from(fragment).unwrap_or(u16::MAX), total);
        assert!(header.is_possible(), "no fragment {fragment} of {total} bytes");
        header
    }

    fn write(&mut self, header: &Header, payload: [&[u8]; 2], out: &mut Vec<u8>) -> usize {
        let before = out.len();
        match &self.key {
            Some(key) => key.write(header, payload, out),
            None => header.write_plain(payload, out),
        }
        self.sequence += 1;
        out.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seal::Cipher;

    #[test]
    fn fragments_put_together_are_the_payload() {
        let bytes: Vec<u8> = (0..3_000_u32).map(|at| at as u8).collect();
        for key in [None, Some(Arc::new(Key::new(Cipher::preferred(), &[3; 32])))] {
            // The check falls into one fragment, over two, and into one of its own.
            for len in [1, 592, 598, 600, 1_195, 1_196, 1_200, 2_999] {
                let around = HEADER + if key.is_some() { TAG } else { 0 };
                let mut framer = Framer::new(9, 600 + around, key.clone());
                let payload = Payload::Direct(&bytes[..len], Check(0x1122_3344_5566_7788));
                let mut all = Vec::new();
                for fragment in 0..framer.fragments(&payload) {
                    let mut frame = Vec::new();
                    let sequence = framer.sequence();
                    let written = framer.fragment(4, &payload, fragment, &mut frame);
                    assert!(written <= 600 + around);
                    let header = Header::parse(&frame).expect("whole");
                    assert_eq!((header.window, header.sequence), (4, sequence));
                    let mut scratch = Vec::new();
                    all.extend_from_slice(match &key {
                        Some(key) => key.open(&header, &frame, &mut scratch).expect("ours"),
                        None => header.plain(&frame).expect("ours"),
                    });
                }
                let check = 0x1122_3344_5566_7788_u64.to_le_bytes();
                assert_eq!(all, [&bytes[..len], &check[..]].concat(), "{len}");
            }
        }
    }

    #[test]
    fn probes_have_the_length_asked_for() {
        let mut framer = Framer::new(1, 1_400, None);
        for want in [33, 1_400, 9_000] {
            let mut frame = Vec::new();
            assert_eq!(framer.probe(want, &mut frame), want);
            assert_eq!(Header::parse(&frame).map(|header| header.kind), Ok(Kind::Probe));
        }
    }
}
