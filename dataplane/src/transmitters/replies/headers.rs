//! A request's headers turned round: those of its reply.

use crate::packet::{Fragment, Frame, Network, PROTOCOL_UDP, Parsed, parse};
use crate::receivers::Framing;
use crate::transmitters::frames::{SHORTEST, fold, sum};

/// Bytes of an Ethernet header without tags, and of a tag.
const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
/// Most bytes of headers: two tags, IPv6.
const MOST: usize = ETHERNET + 2 * TAG + IPV6 + UDP;
/// Hops that a reply may take.
const HOPS: u8 = 64;

/// The headers of a reply, whose lengths and checks are still to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    bytes: [u8; MOST],
    len: usize,
    /// Where the network header begins; that of the payload where there is none.
    network: usize,
    kind: Network,
}

impl Headers {
    /// The way back to where a frame came from, of which `frame` is the part up to its payload's end.
    ///
    /// `None` where nobody may be answered: no UDP and no bare Ethernet, fragments, a sender that is
    /// a group or nobody, a frame that was sent to a group.
    pub(super) fn back(frame: &[u8]) -> Option<Self> {
        // What follows the payload is not here: nothing may depend on the length on the wire.
        let parsed = parse(Framing::Ethernet, Frame::new(frame, 0, u32::MAX)).ok()?;
        let network = ETHERNET + TAG * parsed.vlans.ids().len();
        let (macs, rest) = frame.get(..network)?.split_first_chunk::<12>()?;
        let (to, from) = macs.split_at(6);
        if (to[0] | from[0]) & 1 != 0 {
            return None;
        }
        let mut headers = Self { bytes: [0; MOST], len: network, network, kind: parsed.network };
        headers.bytes[..6].copy_from_slice(from);
        headers.bytes[6..12].copy_from_slice(to);
        headers.bytes[12..network].copy_from_slice(rest);
        match parsed.network {
            Network::Link => Some(headers),
            Network::Ipv4 | Network::Ipv6 => headers.ip(&parsed).then_some(headers),
            Network::None => None,
        }
    }

    /// Adds the headers of IP and UDP; whether their ends can be answered.
    fn ip(&mut self, parsed: &Parsed) -> bool {
        let Some(ports) = parsed.ports.filter(|ports| ports.source != 0) else { return false };
        let (Some(from), Some(to)) = (parsed.source_ip(), parsed.destination_ip()) else {
            return false;
        };
        let one = |ip: std::net::IpAddr| !ip.is_multicast() && !ip.is_unspecified();
        let whole = parsed.fragment == Fragment::Whole;
        let limited = parsed.network == Network::Ipv4
            && (parsed.source as u32 == u32::MAX || parsed.destination as u32 == u32::MAX);
        if !whole || parsed.protocol != PROTOCOL_UDP || !one(from) || !one(to) || limited {
            return false;
        }
        let udp = if parsed.network == Network::Ipv4 {
            let ip = &mut self.bytes[self.network..][..IPV4];
            // No options; not to be fragmented; length and check come with the payload.
            ip.copy_from_slice(&[
                0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]);
            ip[12..16].copy_from_slice(&(parsed.destination as u32).to_be_bytes());
            ip[16..20].copy_from_slice(&(parsed.source as u32).to_be_bytes());
            self.network + IPV4
        } else {
            let ip = &mut self.bytes[self.network..][..IPV6];
            ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, PROTOCOL_UDP, HOPS]);
            ip[8..24].copy_from_slice(&parsed.destination.to_be_bytes());
            ip[24..40].copy_from_slice(&parsed.source.to_be_bytes());
            self.network + IPV6
        };
        self.bytes[udp..udp + 2].copy_from_slice(&ports.destination.to_be_bytes());
        self.bytes[udp + 2..udp + 4].copy_from_slice(&ports.source.to_be_bytes());
        self.len = udp + UDP;
        true
    }

    /// Bytes of headers that count against a link's MTU.
    pub(super) const fn within_mtu(&self) -> usize {
        self.len - self.network
    }

    /// Appends the frame that carries `payload`; it is short enough for the link.
    pub(super) fn write(&self, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes[..self.len]);
        out.extend_from_slice(payload);
        let frame = &mut out[start..];
        let udp_len = (UDP + payload.len()) as u16;
        match self.kind {
            Network::Ipv4 => {
                let ip = &mut frame[self.network..];
                ip[2..4].copy_from_slice(&(IPV4 as u16 + udp_len).to_be_bytes());
                let check = !fold(sum(&ip[..IPV4]));
                ip[10..12].copy_from_slice(&check.to_be_bytes());
                seal(ip, 12..IPV4, udp_len);
            }
            Network::Ipv6 => {
                let ip = &mut frame[self.network..];
                ip[4..6].copy_from_slice(&udp_len.to_be_bytes());
                seal(ip, 8..IPV6, udp_len);
            }
            Network::Link | Network::None => {}
        }
        if out.len() - start < SHORTEST {
            out.resize(start + SHORTEST, 0);
        }
    }
}

/// Writes length and check of the UDP datagram behind the addresses of `ip`.
fn seal(ip: &mut [u8], addresses: std::ops::Range<usize>, udp_len: u16) {
    let (head, udp) = ip.split_at_mut(addresses.end);
    udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
    // The pseudo-header: both addresses, protocol, length (RFC 768, RFC 8200).
    let pseudo = sum(&head[addresses]) + u64::from(PROTOCOL_UDP) + u64::from(udp_len);
    // 0 says "no checksum", so a sum of 0 is sent as its other form.
    let check = match !fold(pseudo + sum(udp)) {
        0 => 0xffff,
        other => other,
    };
    udp[6..8].copy_from_slice(&check.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    use super::*;

    /// A request as etherparse builds it.
    fn request(tags: u8, six: bool, payload: &[u8], ports: (u16, u16)) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2, 1, 1, 1, 1, 1], [2, 2, 2, 2, 2, 2]);
        let mut frame = Vec::new();
        macro_rules! rest {
            ($builder:expr) => {
                if six {
                    let (a, b) = ([0xfe; 16], [0xfd; 16]);
                    let built = $builder.ipv6(a, b, 9).udp(ports.0, ports.1);
                    built.write(&mut frame, payload).expect("writes");
                } else {
                    let built = $builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9);
                    built.udp(ports.0, ports.1).write(&mut frame, payload).expect("writes");
                }
            };
        }
        let id = |n| etherparse::VlanId::try_new(n).expect("an id");
        match tags {
            0 => rest!(builder),
            1 => rest!(builder.single_vlan(id(7))),
            _ => rest!(builder.double_vlan(id(7), id(8))),
        }
        frame
    }

    proptest! {
        #[test]
        fn the_reply_goes_back_and_its_checks_hold(
            tags in 0..3_u8, six: bool, asked in prop::collection::vec(any::<u8>(), 0..50),
            answer in prop::collection::vec(any::<u8>(), 0..200), from in 1..u16::MAX, to: u16,
        ) {
            let frame = request(tags, six, &asked, (from, to));
            let headers = Headers::back(&frame).expect("there is a way back");
            let mut reply = vec![0xaa; 3];
            headers.write(&answer, &mut reply);
            let packet = SlicedPacket::from_ethernet(&reply[3..]).expect("parses");
            prop_assert_eq!(&reply[3..9], &frame[6..12]);
            prop_assert_eq!(&reply[9..15], &frame[..6]);
            prop_assert_eq!(&reply[15..15 + 4 * tags as usize], &frame[12..12 + 4 * tags as usize]);
            let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("not UDP") };
            prop_assert_eq!((udp.source_port(), udp.destination_port()), (to, from));
            prop_assert_eq!(udp.payload(), &answer[..]);
            let want = match packet.net {
                Some(NetSlice::Ipv4(ip)) => {
                    let ip = ip.header().to_header();
                    prop_assert_eq!((ip.source, ip.destination), ([10, 0, 0, 2], [10, 0, 0, 1]));
                    prop_assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
                    udp.to_header().calc_checksum_ipv4(&ip, &answer)
                }
                Some(NetSlice::Ipv6(ip)) => {
                    let ip = ip.header().to_header();
                    prop_assert_eq!((ip.source, ip.destination), ([0xfd; 16], [0xfe; 16]));
                    udp.to_header().calc_checksum_ipv6(&ip, &answer)
                }
                _ => panic!("no IP"),
            };
            prop_assert_eq!(want.expect("fits"), udp.checksum());
        }

        #[test]
        fn no_frame_panics(frame in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Some(headers) = Headers::back(&frame) {
                headers.write(&frame, &mut Vec::new());
            }
        }
    }

    #[test]
    fn bare_ethernet_is_answered_and_groups_are_not() {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 1, 2, 3];
        let mut reply = Vec::new();
        Headers::back(&frame).expect("there is a way back").write(b"hello", &mut reply);
        assert_eq!(reply[..19], *b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5hello");
        assert_eq!(reply.len(), SHORTEST);
        frame[0] = 0xff;
        assert!(Headers::back(&frame).is_none());

        let good = request(0, false, b"x", (5, 6));
        assert!(Headers::back(&good).is_some());
        // Octets of: protocol, fragment, source and destination address, source port, groups.
        for (at, byte) in [(23, 6), (21, 1), (26, 224), (30, 239), (6, 1), (0, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Headers::back(&bad).is_none(), "byte {at}");
        }
        assert!(Headers::back(&request(0, false, b"x", (0, 6))).is_none());
        for at in [26, 30] {
            let mut bad = good.clone();
            bad[at..at + 4].fill(255);
            assert!(Headers::back(&bad).is_none(), "broadcast at {at}");
        }
    }
}
