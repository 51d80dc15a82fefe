//! A stream of bytes, cut into payloads and put into frames.

use std::fmt;
use std::io::{ErrorKind, Read};

use super::build::{ETHERNET_HEADER, UDP_HEADERS, write_raw, write_udp};
use super::{Burst, Mac, UdpAddresses};
use crate::receivers::{BATCH, ReceiveError, errors};

/// Largest payload of a UDP datagram over IPv4.
const LARGEST: usize = 65_507;

/// What a payload is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Ethernet, IPv4 and UDP.
    Udp(UdpAddresses),
    /// Ethernet with EtherType 0x88B5. Such a frame does not say how long its payload is: on a
    /// real link, one below 46 bytes arrives with padding.
    Raw {
        /// Source MAC address.
        src_mac: Mac,
        /// Destination MAC address.
        dst_mac: Mac,
    },
    /// Nothing: for the `udp` transmitter, whose kernel writes the headers.
    Bare,
}

impl Envelope {
    /// Bytes before the payload.
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        match self {
            Self::Udp(_) => UDP_HEADERS,
            Self::Raw { .. } => ETHERNET_HEADER,
            Self::Bare => 0,
        }
    }

    /// Writes the headers before the payload that fills the rest of `frame`.
    fn seal(&self, frame: &mut [u8]) {
        match self {
            Self::Udp(to) => write_udp(frame, frame.len() - UDP_HEADERS, to),
            Self::Raw { src_mac, dst_mac } => write_raw(frame, *src_mac, *dst_mac),
            Self::Bare => {}
        }
    }
}

/// Cuts a stream into frames of equal payload; the last one holds what is left.
pub struct PayloadFrames {
    input: Box<dyn Read + Send>,
    name: String,
    envelope: Envelope,
    payload: usize,
    /// Bytes read and not yet given: `raw[start..end]`.
    raw: Vec<u8>,
    start: usize,
    end: usize,
    /// 64 frames.
    slots: Vec<u8>,
    ended: bool,
}

impl PayloadFrames {
    /// Cuts `input`, called `name` in errors, into payloads of `payload` bytes, 1 to 65,507.
    ///
    /// # Errors
    /// When `payload` is out of range.
    pub fn new(
        input: Box<dyn Read + Send>,
        name: impl Into<String>,
        payload: usize,
        envelope: Envelope,
    ) -> Result<Self, ReceiveError> {
        if !(1..=LARGEST).contains(&payload) {
            let what = format!("a payload of {payload} bytes does not fit into a datagram");
            return Err(errors::unsupported(what, format!("use 1 to {LARGEST}")));
        }
        let slots = match envelope {
            Envelope::Bare => 0,
            _ => BATCH * (payload + envelope.header_bytes()),
        };
        Ok(Self {
            input,
            name: name.into(),
            envelope,
            payload,
            raw: vec![0; BATCH * payload],
            start: 0,
            end: 0,
            slots: vec![0; slots],
            ended: false,
        })
    }

    /// Reads until a whole payload is there, or the input ends. One read that gives more is
    /// taken whole, so that a slow pipe is not waited for.
    fn fill(&mut self) -> Result<(), ReceiveError> {
        self.raw.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while !self.ended && self.end < self.payload {
            match self.input.read(&mut self.raw[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(errors::io(format!("reading {}", self.name), error, ""));
                }
            }
        }
        Ok(())
    }

    /// The next frames; an empty burst at the end. Waits while the input gives nothing.
    ///
    /// # Errors
    /// When the input cannot be read; what was read of the last payload is not given.
    pub fn next_burst(&mut self) -> Result<Burst<'_>, ReceiveError> {
        self.fill()?;
        let whole = (self.end - self.start) / self.payload * self.payload;
        let taken = if self.ended { self.end - self.start } else { whole };
        let content = &self.raw[self.start..self.start + taken];
        self.start += taken;
        let mut burst = Burst::default();
        if self.envelope == Envelope::Bare {
            for payload in content.chunks(self.payload) {
                burst.push(payload, 0);
            }
            return Ok(burst);
        }
        let header = self.envelope.header_bytes();
        let slots = self.slots.chunks_mut(self.payload + header);
        for (payload, slot) in content.chunks(self.payload).zip(slots) {
            let frame = &mut slot[..header + payload.len()];
            frame[header..].copy_from_slice(payload);
            self.envelope.seal(frame);
            burst.push(frame, 0);
        }
        Ok(burst)
    }
}

impl fmt::Debug for PayloadFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadFrames")
            .field("name", &self.name)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Gives its bytes in pieces, as a pipe does.
    struct Pieces(Vec<u8>, usize);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let take = self.1.min(into.len()).min(self.0.len());
            into[..take].copy_from_slice(&self.0[..take]);
            self.0.drain(..take);
            self.1 = self.1 % 37 + 1;
            Ok(take)
        }
    }

    #[test]
    fn the_payloads_put_together_are_the_input() {
        let input: Vec<u8> = (0..10_007u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let raw = Envelope::Raw { src_mac: Mac::default(), dst_mac: Mac([2; 6]) };
        for (envelope, payload) in [
            (Envelope::Bare, 1),
            (Envelope::Bare, 100),
            (raw, 64),
            (Envelope::Udp(UdpAddresses::default()), 1400),
            (raw, 20_000),
        ] {
            let pieces = Box::new(Pieces(input.clone(), 5));
            let mut source = PayloadFrames::new(pieces, "test", payload, envelope).expect("fits");
            let (mut got, mut lens) = (Vec::new(), Vec::new());
            loop {
                let burst = source.next_burst().expect("reads");
                if burst.frames().is_empty() {
                    break;
                }
                for frame in burst.frames() {
                    got.extend_from_slice(&frame[envelope.header_bytes()..]);
                    lens.push(frame.len() - envelope.header_bytes());
                }
            }
            assert_eq!(got, input);
            let (last, whole) = lens.split_last().expect("frames");
            assert!(whole.iter().all(|&len| len == payload) && *last <= payload && *last > 0);
        }
    }

    #[test]
    fn payloads_that_no_datagram_holds_are_refused() {
        for payload in [0, LARGEST + 1] {
            let made = PayloadFrames::new(Box::new(io::empty()), "x", payload, Envelope::Bare);
            assert!(made.is_err(), "{payload}");
        }
    }
}
