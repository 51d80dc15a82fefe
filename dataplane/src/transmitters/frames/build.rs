//! Builds Ethernet frames: IPv4/UDP, or EtherType 0x88B5 (IEEE 802, local experiments).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A MAC address; as text, six hexadecimal octets with colons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Mac(pub [u8; 6]);

/// Text that is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address; write six octets like 02:00:00:00:00:01")]
pub struct BadMac(String);

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(bad)?;
            if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(bad());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(octets)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = BadMac;

    fn try_from(text: String) -> Result<Self, BadMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Bytes of Ethernet, IPv4 and UDP header together.
pub const UDP_HEADERS: usize = 14 + 20 + 8;
/// Bytes of an Ethernet header.
pub const ETHERNET_HEADER: usize = 14;
/// Longest frame that the IPv4 length field allows.
pub const LONGEST: usize = 14 + 65_535;
/// Shortest frame on Ethernet, frame check sequence not counted.
pub const SHORTEST: usize = 60;

/// Addresses of UDP frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UdpAddresses {
    /// Source MAC address.
    pub src_mac: Mac,
    /// Destination MAC address.
    pub dst_mac: Mac,
    /// Source address and UDP port.
    pub src: SocketAddrV4,
    /// Destination address and UDP port.
    pub dst: SocketAddrV4,
}

impl Default for UdpAddresses {
    /// Locally administered MACs; addresses of the benchmark network (RFC 2544); port 9, discard.
    fn default() -> Self {
        Self {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 1), 1024),
            dst: SocketAddrV4::new(Ipv4Addr::new(198, 19, 0, 1), 9),
        }
    }
}

impl UdpAddresses {
    /// The same for flow `index`: another source port, after 64,512 of them another source
    /// address. Counting begins at the own source port, which is at least 1,024 afterwards.
    #[must_use]
    pub fn flow(mut self, index: u32) -> Self {
        const PORTS: u32 = 65_536 - 1024;
        let first = u32::from(self.src.port().max(1024)) - 1024;
        let nth = first + index % PORTS;
        self.src.set_port((1024 + nth % PORTS) as u16);
        self.src.set_ip(Ipv4Addr::from_bits(self.src.ip().to_bits().wrapping_add(index / PORTS)));
        self
    }
}

/// Writes the headers of one UDP datagram into `frame[..UDP_HEADERS]`, lengths and checksums for
/// the payload that already lies in `frame[UDP_HEADERS..UDP_HEADERS + payload]`. What follows is
/// Ethernet padding.
///
/// # Panics
/// When headers and payload do not fit into `frame`, or not into [`LONGEST`].
pub fn write_udp(frame: &mut [u8], payload: usize, to: &UdpAddresses) {
    let total = UDP_HEADERS + payload;
    assert!(total <= LONGEST, "a datagram of {payload} bytes does not fit into IPv4");
    let frame = &mut frame[..total];
    ethernet(frame, to.src_mac, to.dst_mac, [0x08, 0x00]);
    let ip_len = (total - ETHERNET_HEADER) as u16;
    let udp_len = ip_len - 20;
    let ip = &mut frame[14..34];
    ip.copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ip[2..4].copy_from_slice(&ip_len.to_be_bytes());
    ip[12..16].copy_from_slice(&to.src.ip().octets());
    ip[16..20].copy_from_slice(&to.dst.ip().octets());
    let header_sum = !fold(sum(ip));
    ip[10..12].copy_from_slice(&header_sum.to_be_bytes());
    // The pseudo-header: both addresses, protocol, UDP length.
    let pseudo = sum_words(&ip[12..20]) + 17 + u64::from(udp_len);
    let udp = &mut frame[34..];
    udp[0..2].copy_from_slice(&to.src.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.dst.port().to_be_bytes());
    udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
    udp[6..8].fill(0);
    // 0 says "no checksum", so a sum of 0 is sent as its other form.
    let datagram_sum = match !fold(pseudo + sum(udp)) {
        0 => 0xffff,
        other => other,
    };
    udp[6..8].copy_from_slice(&datagram_sum.to_be_bytes());
}

/// Writes an Ethernet header with EtherType 0x88B5 into the first 14 bytes of `frame`.
///
/// # Panics
/// When `frame` has less than 14 bytes.
pub fn write_raw(frame: &mut [u8], src: Mac, dst: Mac) {
    ethernet(frame, src, dst, [0x88, 0xb5]);
}

fn ethernet(frame: &mut [u8], src: Mac, dst: Mac, ether_type: [u8; 2]) {
    frame[0..6].copy_from_slice(&dst.0);
    frame[6..12].copy_from_slice(&src.0);
    frame[12..14].copy_from_slice(&ether_type);
}

/// Sum of big-endian 16-bit words; an odd last byte is padded with 0.
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u64 = words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum();
    whole + rest.first().map_or(0, |&byte| u64::from(byte) << 8)
}

/// As [`sum_words`], up to carries: four bytes at a time.
pub(in crate::transmitters) fn sum(bytes: &[u8]) -> u64 {
    let (quads, rest) = bytes.as_chunks::<4>();
    quads.iter().map(|&quad| u64::from(u32::from_be_bytes(quad))).sum::<u64>() + sum_words(rest)
}

/// Folds carries in (RFC 1071).
pub(in crate::transmitters) const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Fills `bytes` with the pseudo-random sequence of `seed` (splitmix64).
pub(super) fn fill(bytes: &mut [u8], seed: u64) {
    let mut state = seed;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let word = (z ^ (z >> 31)).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn etherparse_finds_the_same_and_the_checksums_hold(
            payload in prop::collection::vec(any::<u8>(), 0..300),
            src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16,
        ) {
            let to = UdpAddresses {
                src: SocketAddrV4::new(src.into(), sport),
                dst: SocketAddrV4::new(dst.into(), dport),
                ..UdpAddresses::default()
            };
            let mut frame = vec![0xee; UDP_HEADERS];
            frame.extend_from_slice(&payload);
            write_udp(&mut frame, payload.len(), &to);
            let packet = SlicedPacket::from_ethernet(&frame).expect("parses");
            let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("not IPv4") };
            let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("not UDP") };
            let header = ip.header();
            prop_assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            let want = udp.to_header().calc_checksum_ipv4(&header.to_header(), &payload);
            prop_assert_eq!(want.expect("fits"), udp.checksum());
            prop_assert_eq!(udp.payload(), &payload[..]);
            prop_assert_eq!((header.source(), header.destination()), (src, dst));
            prop_assert_eq!((udp.source_port(), udp.destination_port()), (sport, dport));
        }
    }

    #[test]
    fn flows_are_distinct_and_keep_off_low_ports() {
        let base = UdpAddresses::default();
        let mut seen: Vec<_> = (0..70_000).map(|index| base.flow(index).src).collect();
        assert!(seen.iter().all(|src| src.port() >= 1024));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 70_000);
    }

    #[test]
    fn macs_are_read_as_they_are_written() {
        let mac: Mac = "02:00:5e:Ab:00:ff".parse().expect("a MAC");
        assert_eq!(mac.to_string(), "02:00:5e:ab:00:ff");
        for bad in
            ["", "02:00:5e:ab:00", "02:00:5e:ab:00:ff:01", "2:0:5e:ab:0:ff", "+2:00:5e:ab:00:ff"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
