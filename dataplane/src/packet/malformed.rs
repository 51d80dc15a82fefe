//! The ways in which a frame can be wrong: typed, and counted by kind.

/// Declares [`Malformed`] with the name and the message of each kind in one table.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $message:literal,)*) => {
        /// Why a frame was not delivered: its headers lie or end early.
        ///
        /// A kind is a dense index (`kind as usize < Malformed::COUNT`) into counter arrays.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[repr(u8)]
        pub enum Malformed {
            $($(#[$doc])* #[doc = ""] #[doc = $message] #[error($message)] $kind,)*
        }

        impl Malformed {
            /// All kinds, in the order of their index.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The kind's name in counters: lower case, underscores.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    EthernetShort "ethernet_short" "the frame ends within its Ethernet header",
    VlanShort "vlan_short" "the frame ends within a VLAN tag",
    IpVersion "ip_version" "the version field is not that of the protocol",
    Ipv4Short "ipv4_short" "the frame ends within its IPv4 header",
    Ipv4HeaderLength "ipv4_header_length" "the IPv4 header length is below 20 bytes",
    Ipv4TotalShort "ipv4_total_short" "the IPv4 total length is shorter than the header",
    Ipv4TotalBeyond "ipv4_total_beyond" "the IPv4 total length reaches beyond the frame",
    Ipv6Short "ipv6_short" "the frame ends within its IPv6 header",
    Ipv6PayloadBeyond "ipv6_payload_beyond" "the IPv6 payload length reaches beyond the frame",
    Ipv6Jumbogram "ipv6_jumbogram" "IPv6 jumbograms (payload length 0) are not supported",
    Ipv6ChainShort "ipv6_chain_short" "the packet ends within its IPv6 extension headers",
    Ipv6ChainLong "ipv6_chain_long" "more IPv6 extension headers than are followed",
    UdpShort "udp_short" "the IP packet ends within its UDP header",
    UdpLength "udp_length" "the UDP length is below 8 or beyond the IP packet",
    TcpShort "tcp_short" "the IP packet ends within its TCP header",
    TcpDataOffset "tcp_data_offset" "the TCP data offset is below 5 or beyond the IP packet",
    CutInHeader "cut_in_header" "the capture was cut within the headers",
    SplitHeader "split_header" "the headers are not all in the frame's first buffer",
    OutsideRegion "outside_region" "the descriptor points outside its region",
}

impl Malformed {
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_dense_and_named_apart() {
        let names: std::collections::HashSet<_> = Malformed::ALL.map(Malformed::name).into();
        assert_eq!(names.len(), Malformed::COUNT);
        for (index, kind) in Malformed::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert!(!kind.to_string().is_empty());
        }
    }
}
