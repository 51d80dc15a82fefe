//! Frames by hand, so that each length can lie.

/// An Ethernet frame with tags (TPID, id) before the type.
pub(crate) fn ethernet(tags: &[(u16, u16)], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for &(tpid, id) in tags {
        frame.extend(tpid.to_be_bytes());
        // Priority 5 and the drop bit, which are no part of the id.
        frame.extend((0xB000 | id).to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A UDP datagram to `port`, without checksum.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let mut out = [4000_u16, port, len, 0].map(u16::to_be_bytes).concat();
    out.extend(payload);
    out
}

/// A TCP header to `port`.
pub(crate) fn tcp(port: u16) -> Vec<u8> {
    let mut out = vec![0; 20];
    out[2..4].copy_from_slice(&port.to_be_bytes());
    out[12] = 5 << 4;
    out
}

/// An IPv4 packet 10.1.2.3 → 192.0.2.7 with `options` bytes of options; `fragment` is the
/// flags-and-offset field.
pub(crate) fn ipv4(protocol: u8, options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options;
    let mut out = vec![0; header];
    out[0] = 0x40 | (header / 4) as u8;
    out[2..4].copy_from_slice(&((header + payload.len()) as u16).to_be_bytes());
    out[6..8].copy_from_slice(&fragment.to_be_bytes());
    out[8] = 64;
    out[9] = protocol;
    out[12..20].copy_from_slice(&[10, 1, 2, 3, 192, 0, 2, 7]);
    out[20..].fill(1);
    out.extend(payload);
    out
}

/// An IPv6 packet 2001:db8::1 → 2001:db8:ff::2 with `next` and `payload` behind its header.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 40];
    out[0] = 0x60;
    out[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    out[6] = next;
    out[7] = 64;
    out[8..12].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    out[23] = 1;
    out[24..30].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8, 0, 0xFF]);
    out[39] = 2;
    out.extend(payload);
    out
}

/// An extension header of 8 × (`units` + 1) bytes (4 × (`units` + 2) for 51) before `payload`.
pub(crate) fn extension(kind: u8, next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let len = if kind == 51 { 4 * (usize::from(units) + 2) } else { 8 * (usize::from(units) + 1) };
    let mut out = vec![0; len];
    out[0] = next;
    out[1] = units;
    out.extend(payload);
    out
}

/// A fragment header with `offset` in units of 8 bytes before `payload`; its reserved byte is
/// set, since nothing may read it as a length.
pub(crate) fn fragment(next: u8, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![next, 0xFF];
    out.extend((offset << 3 | 1).to_be_bytes());
    out.extend([0, 0, 0, 9]);
    out.extend(payload);
    out
}
