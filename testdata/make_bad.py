#!/usr/bin/env python3
"""Makes the corrupt captures of `bad/` and the table in `bad/README.md`. Deterministic.

  testdata/make_bad.py [FOLDER]    default: bad/ beside this script

Each row below says what a reader must do; the offsets are computed here, beside the bytes.
"""
import os
import struct
import sys

MAC = bytes.fromhex("02005e005301 02005e005302".replace(" ", ""))
TEXT = b"the quick ship sails past the old stone harbour "
rows = []


# --- frames ------------------------------------------------------------------------------------

def ip_sum(header):
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def eth(kind, body):
    return MAC + struct.pack(">H", kind) + body


def udp(body, length=None):
    """Checksum 0: none, as IPv4 allows. Over IPv6 it is one lie more, for nothing reads it."""
    return struct.pack(">HHHH", 4000, 7007, 8 + len(body) if length is None else length, 0) + body


def tcp(body, offset=5, options=b""):
    return struct.pack(">HHIIBBHHH", 4000, 7007, 1, 1, offset << 4, 0x18, 512, 0, 0) + options + body


def ipv4(body, proto=17, ihl=5, total=None, version=4, fragment=0, options=b""):
    size = 20 + len(options) + len(body) if total is None else total
    head = struct.pack(">BBHHHBBH", version << 4 | ihl, 0, size, 1, fragment, 64, proto, 0)
    head += bytes([192, 0, 2, 1, 192, 0, 2, 2]) + options
    return head[:10] + struct.pack(">H", ip_sum(head)) + head[12:] + body


def ipv6(body, proto=17, payload=None, version=6):
    size = len(body) if payload is None else payload
    hosts = b"".join(bytes.fromhex("20010db8000700000000000000000000")[:15] + bytes([n]) for n in (1, 2))
    return struct.pack(">IHBB", version << 28, size, proto, 64) + hosts + body


def good(i=0):
    return eth(0x0800, ipv4(udp(TEXT * (i % 3 + 1))))


# --- classic pcap ------------------------------------------------------------------------------

def head(order="<", magic=0xA1B2C3D4, snaplen=262144, link=1, version=(2, 4)):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def record(frame, order="<", caplen=None, length=None, fraction=1):
    caplen = len(frame) if caplen is None else caplen
    return struct.pack(order + "IIII", 1_700_000_000, fraction, caplen,
                       max(caplen, len(frame)) if length is None else length) + frame


def pcap(*records, **how):
    return head(**how) + b"".join(records)


# --- pcapng ------------------------------------------------------------------------------------

def block(kind, body, order="<", length=None, trailer=None):
    body += bytes(-len(body) % 4)
    real = 12 + len(body)
    length = real if length is None else length
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length if trailer is None else trailer)


def shb(order="<", magic=0x1A2B3C4D, version=(1, 0)):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", magic, *version, -1), order)


def idb(order="<", link=1, snaplen=0, resolution=None):
    options = b""
    if resolution is not None:
        options = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def epb(frame, order="<", interface=0, caplen=None, options=b"", **how):
    caplen = len(frame) if caplen is None else caplen
    padded = frame + bytes(-len(frame) % 4)
    return block(6, struct.pack(order + "IIIII", interface, 0x60A24, 1, caplen, max(caplen, len(frame))) + padded + options, order, **how)


def spb(frame, order="<", length=None):
    return block(3, struct.pack(order + "I", len(frame) if length is None else length) + frame, order)


# --- table -------------------------------------------------------------------------------------

def case(name, data, frames, malformed, error, what):
    """frames: handed out before the end or the error; malformed: how many of them parse must
    refuse; error: byte offset of the field, record or block at fault, None when there is none."""
    rows.append((name, data, frames, malformed, error, what))


def frame_case(name, frame, kind, what):
    """A bad frame between two good ones; kind None: well-formed, and to be delivered."""
    expect = f"{what}; refused as `{kind}`" if kind else f"{what}; delivered"
    case(f"frame-{name}.pcap", pcap(record(good(0)), record(frame), record(good(1))), 3, int(bool(kind)), None, expect)


def classic_files():
    two = pcap(record(good(0)), record(good(1)))
    full = two + record(good(2))
    body = 16 + len(good(2))
    case("empty.pcap", b"", 0, 0, 0, "no byte at all")
    case("header-cut-3.pcap", head()[:3], 0, 0, 0, "ends within the magic number")
    case("header-cut-4.pcap", head()[:4], 0, 0, 0, "the magic number alone")
    case("header-cut-23.pcap", head()[:23], 0, 0, 0, "ends one byte before the end of the file header")
    case("no-packets.pcap", head(), 0, 0, None, "a file header alone: sound, and empty")
    for cut in (1, 15, 16, 17, body - 1):
        where = "header" if cut < 16 else "frame"
        case(f"record-cut-{cut}.pcap", full[:len(two) + cut], 2, 0, len(two),
             f"the third record is cut in its {where}: {cut} of {body} bytes are there")
    case("magic-unknown.pcap", pcap(record(good()), magic=0xDEADBEEF), 0, 0, 0, "unknown magic number")
    case("version-9.pcap", pcap(record(good()), version=(9, 4)), 0, 0, 4, "version 9.4")
    case("link-type-unknown.pcap", pcap(record(good()), link=148), 0, 0, 20, "link type 148 (private use)")
    case("link-type-upper-bits.pcap", pcap(record(good()), link=0x14000001), 1, 0, None,
         "Ethernet with the FCS bits of the link-type field set: sound, the upper bits are no part of the type")
    case("caplen-beyond-file.pcap", two + record(good(2), caplen=5000), 2, 0, len(two), "caplen 5,000, fewer bytes follow")
    case("caplen-huge.pcap", two + record(good(2), caplen=0x7FFFFFFF), 2, 0, len(two), "caplen 2^31 - 1")
    case("caplen-max.pcap", two + record(good(2), caplen=0xFFFFFFFF), 2, 0, len(two), "caplen 2^32 - 1: sums with it overflow 32 bits")
    case("caplen-over-snaplen.pcap", pcap(record(good(0)), record(good(2)), snaplen=64), 2, 0, None,
         "snaplen 64, caplen above it: delivered, as libpcap does; the frames are whole in the file")
    case("caplen-over-len.pcap", pcap(record(good(0)), record(good(1), length=20)), 2, 0, None,
         "caplen above len: the longer one holds")
    case("snaplen-0.pcap", pcap(record(good(0)), snaplen=0), 1, 0, None, "snaplen 0 means no limit")
    orders = [(n, o, m) for n, o in (("little", "<"), ("big", ">")) for m in ("micro", "nano")]
    for name, order, unit in orders:
        magic, fraction = (0xA1B2C3D4, 999_999) if unit == "micro" else (0xA1B23C4D, 999_999_999)
        data = pcap(*(record(good(i), order, fraction=fraction) for i in range(3)), order=order, magic=magic)
        case(f"order-{name}-{unit}.pcap", data, 3, 0, None, f"sound: {name}-endian, {unit}seconds, last tick of the second")
    case("order-mixed.pcap", pcap(record(good(0)), record(good(1), ">")), 1, 0, 40 + len(good(0)),
         "the second record is in the other byte order: its caplen reads as a huge number")


def frame_files():
    whole = good(2)
    for cut, malformed in ((14, 1), (33, 1), (41, 1), (42, 0), (60, 0)):
        data = pcap(record(good(0)), record(whole[:cut], length=len(whole)), record(good(1)))
        what = "refused as `cut_in_header`" if malformed else "delivered, payload cut short"
        case(f"frame-caplen-{cut}.pcap", data, 3, malformed, None, f"{cut} of {len(whole)} bytes captured; {what}")
    case("frame-caplen-0.pcap", pcap(record(good(0)), record(b"", length=len(whole)), record(good(1))), 3, 1, None,
         f"0 of {len(whole)} bytes captured; refused as `cut_in_header`")
    frame_case("empty", b"", "ethernet_short", "zero-length frame, len 0 as well")
    tiny = pcap(*(record(whole[:n]) for n in range(1, 14)))
    case("frames-1-to-13.pcap", tiny, 13, 13, None, "thirteen frames of 1 to 13 bytes; refused as `ethernet_short`")
    frame_case("14", eth(0x88B5, b""), None, "an Ethernet header alone, EtherType 0x88B5, empty payload")
    frame_case("20000", eth(0x0800, ipv4(udp((TEXT * 500)[:19958]))), None,
               "20,000 bytes; a receiver whose frames are smaller chains buffers or counts the drop")
    frame_case("65549", eth(0x0800, ipv4(udp((TEXT * 1400)[:65507]))), None,
               "the largest IPv4 datagram, 65,535 bytes, and its Ethernet header")
    for ihl in (0, 4):
        frame_case(f"ihl-{ihl}", eth(0x0800, ipv4(udp(TEXT), ihl=ihl)), "ipv4_header_length", f"IHL {ihl}")
    frame_case("ihl-beyond", eth(0x0800, ipv4(b"12345678", ihl=15)), "ipv4_total_short", "IHL 15, total length 28")
    frame_case("total-beyond", eth(0x0800, ipv4(udp(TEXT), total=1500)), "ipv4_total_beyond", "total length beyond the frame")
    frame_case("total-0", eth(0x0800, ipv4(udp(TEXT), total=0)), "ipv4_total_short", "total length 0")
    frame_case("total-19", eth(0x0800, ipv4(udp(TEXT), total=19)), "ipv4_total_short", "total length shorter than the IP header")
    frame_case("total-27", eth(0x0800, ipv4(udp(TEXT), total=27)), "udp_short", "total length ends within the UDP header")
    frame_case("padding", eth(0x0800, ipv4(udp(b"abc"))) + bytes(15), None, "15 bytes of padding behind the IP packet: not payload")
    frame_case("ip-cut", eth(0x0800, ipv4(udp(TEXT)))[:33], "ipv4_short", "the frame ends within its IPv4 header")
    frame_case("version-5", eth(0x0800, ipv4(udp(TEXT), version=5)), "ip_version", "EtherType IPv4, version 5")
    frame_case("version-4-in-6", eth(0x86DD, ipv6(udp(TEXT), version=4)), "ip_version", "EtherType IPv6, version 4")
    for length in (0, 7, 9 + len(TEXT), 65535):
        frame_case(f"udp-length-{length}", eth(0x0800, ipv4(udp(TEXT, length))), "udp_length",
                   f"UDP length {length} where {8 + len(TEXT)} bytes are")
    frame_case("udp-length-8", eth(0x0800, ipv4(udp(TEXT, 8))), None, "UDP length 8: empty payload, the bytes behind it belong to nobody")
    for offset in (0, 4, 15):
        frame_case(f"tcp-offset-{offset}", eth(0x0800, ipv4(tcp(b"0123456789", offset), 6)), "tcp_data_offset",
                   f"TCP data offset {offset}, 30 bytes of segment")
    frame_case("tcp-cut", eth(0x0800, ipv4(tcp(b"")[:19], 6)), "tcp_short", "the IP packet ends within the TCP header")
    frame_case("fragment-tiny", eth(0x0800, ipv4(b"1234", fragment=0x2000)), "udp_short", "a first fragment of 4 bytes: no UDP header in it")
    frame_case("fragment-past-64k", eth(0x0800, ipv4(TEXT, fragment=0x1FFF)), None,
               "a later fragment that ends past 65,535: payload is all of it, nothing reassembles here")


def ipv6_and_tag_files():
    pad = bytes([1, 4, 0, 0, 0, 0])

    def chain(kinds, last, body, lengths=None):
        out = b""
        for i, _ in enumerate(kinds):
            following = kinds[i + 1] if i + 1 < len(kinds) else last
            out += bytes([following, lengths[i] if lengths else 0]) + pad
        return eth(0x86DD, ipv6(out + body, kinds[0]))

    frame_case("ip6-cut", eth(0x86DD, ipv6(udp(TEXT)))[:50], "ipv6_short", "the frame ends within its IPv6 header")
    frame_case("ip6-beyond", eth(0x86DD, ipv6(udp(TEXT), payload=1400)), "ipv6_payload_beyond", "payload length beyond the frame")
    frame_case("ip6-jumbogram", eth(0x86DD, ipv6(bytes([17, 0, 0xC2, 4, 0, 1, 0, 0]) + udp(TEXT), 0, payload=0)),
               "ipv6_jumbogram", "payload length 0 and a jumbo option")
    frame_case("ip6-chain-6", chain([60] * 6, 17, udp(TEXT)), None, "six destination-options headers, then UDP")
    frame_case("ip6-chain-7", chain([60] * 7, 17, udp(TEXT)), "ipv6_chain_long", "seven: lawful, but one more than are followed")
    frame_case("ip6-chain-loop", chain([0, 60] * 80, 60, b""), "ipv6_chain_long", "160 headers, each of which announces one more")
    frame_case("ip6-chain-early", chain([0, 60], 60, b""), "ipv6_chain_short", "the last header announces one more, the packet ends")
    frame_case("ip6-chain-half", chain([0], 60, b"\x11\x00\x01"), "ipv6_chain_short", "3 bytes of a header are there")
    frame_case("ip6-chain-length", chain([60], 17, udp(TEXT), [255]), "ipv6_chain_short", "an 8-byte header that says 2,048")
    frame_case("ip6-none", chain([60], 59, b"ignored!"), None, "next header 59 (none)")
    frame_case("ip6-udp-gone", chain([60], 17, b""), "udp_short", "the chain ends in UDP, the packet before it")
    for n in (0, 1, 3):
        frame_case(f"vlan-cut-{n}", eth(0x8100, b"\x00\x0a\x08\x00"[:n]), "vlan_short", f"802.1Q, {n} of the tag's 4 bytes")
    frame_case("qinq-cut", eth(0x88A8, b"\x00\x64\x81\x00\x00"), "vlan_short", "802.1ad, the inner tag has 1 byte")
    frame_case("vlan-ip-cut", eth(0x8100, b"\x00\x0a\x08\x00" + ipv4(udp(TEXT))[:10]), "ipv4_short", "a whole tag, half an IPv4 header")
    frame_case("vlan-3", eth(0x88A8, b"\x00\x64\x81\x00\x00\x1e\x81\x00\x00\x01\x08\x00" + ipv4(udp(TEXT))), None,
               "three tags: two are followed, the rest is payload")


def ng_files():
    start = shb() + idb()
    two = start + epb(good(0)) + epb(good(1))
    third = epb(good(2))
    case("ng-header-cut.pcapng", shb()[:20], 0, 0, 0, "ends within the section header")
    case("ng-no-packets.pcapng", start, 0, 0, None, "a section and an interface: sound, and empty")
    case("ng-byte-order.pcapng", shb(magic=0x12345678) + idb(), 0, 0, 8, "unknown byte-order magic")
    case("ng-version-7.pcapng", shb(version=(7, 0)) + idb() + epb(good()), 0, 0, 12, "version 7.0")
    for length, why in ((0, "0: a reader must not stand still"), (8, "8, below the least of 12"), (13, "13, no multiple of 4"),
                        (0xFFFFFFFC, "2^32 - 4, beyond the file")):
        case(f"ng-block-length-{length}.pcapng", two + struct.pack("<II", 6, length) + third[8:], 2, 0, len(two), f"block length {why}")
    case("ng-block-cut.pcapng", two + third[:-5], 2, 0, len(two), "the last block is cut")
    case("ng-block-header-cut.pcapng", two + third[:6], 2, 0, len(two), "6 bytes of a block header")
    case("ng-trailer.pcapng", two + epb(good(2), trailer=32), 2, 0, len(two), "leading and trailing block length differ")
    case("ng-interface-unknown.pcapng", two + epb(good(2), interface=7), 2, 0, len(two), "a packet of interface 7; there is one interface")
    case("ng-interface-none.pcapng", shb() + epb(good()), 0, 0, len(shb()), "a packet before any interface")
    case("ng-section-resets.pcapng", two + shb() + epb(good(2)), 2, 0, len(two) + len(shb()),
         "a second section without an interface: those of the first do not hold there")
    case("ng-caplen-beyond-block.pcapng", two + epb(good(2), caplen=4000), 2, 0, len(two), "caplen beyond its block")
    case("ng-packet-short.pcapng", two + block(6, bytes(16)), 2, 0, len(two), "a packet block without room for its fixed fields")
    case("ng-interface-short.pcapng", shb() + block(1, bytes(4)) + epb(good()), 0, 0, len(shb()), "an interface block of 4 bytes")
    case("ng-link-type-unknown.pcapng", shb() + idb(link=148) + epb(good()), 0, 0, len(shb()) + len(idb()),
         "link type 148: refused when a packet comes from it")
    case("ng-options-lie.pcapng", start + epb(good(0), options=struct.pack("<HH", 1, 60000)) + epb(good(1)), 2, 0, None,
         "an option that says 60,000 bytes: the packet is whole, options of packets are not needed")
    case("ng-unknown-blocks.pcapng", start + block(0x0BAD, TEXT) + epb(good(0)) + block(0x80000001, b"") + epb(good(1)) + block(5, bytes(12)),
         2, 0, None, "unknown block types between packets, statistics at the end: passed over")
    case("ng-simple.pcapng", shb() + idb(snaplen=60) + spb(good(0)[:60], length=len(good(0))), 1, 0, None,
         "a simple packet block, cut at the interface's snaplen 60")
    case("ng-simple-lies.pcapng", two + spb(good(0), length=9999), 2, 0, len(two), "a simple packet block that says 9,999 bytes and has fewer")
    for name, order in (("little", "<"), ("big", ">")):
        data = shb(order) + idb(order) + idb(order, resolution=9) + epb(good(0), order) + epb(good(1), order, interface=1)
        case(f"ng-order-{name}.pcapng", data, 2, 0, None, f"sound: {name}-endian, two interfaces, in micro- and nanoseconds")
    mixed = two + shb(">") + idb(">") + epb(good(2), ">")
    case("ng-order-mixed.pcapng", mixed, 3, 0, None, "sound: a little-endian section, then a big-endian one")
    case("ng-resolution-max.pcapng", shb() + idb(resolution=0x7F) + idb(resolution=0xFF) + epb(good(0)) + epb(good(1), interface=1), 2, 0, None,
         "time units of 10^-127 and 2^-127 s: the packets count, their times mean nothing")


# --- out ---------------------------------------------------------------------------------------

INTRO = """# Corrupt and odd captures

Made by `../make_bad.py`, which also writes this page: edit that, not this.

- **frames**: how many a reader hands out before the end or the error.
- **malformed**: how many of those the header parse must refuse and count, by the kind that the last column names. The others are delivered.
- **error at**: byte offset in the file of the field, record or block that the error must name; `-`: the file ends well.
  Whatever came before the error is delivered, and stays delivered.

| file | bytes | frames | malformed | error at | what is wrong, and what follows |
|---|---:|---:|---:|---:|---|
"""


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad")
    classic_files()
    frame_files()
    ipv6_and_tag_files()
    ng_files()
    os.makedirs(folder, exist_ok=True)
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names), "two cases of one name"
    for old in os.listdir(folder):
        if old.endswith((".pcap", ".pcapng")) and old not in names:
            os.remove(os.path.join(folder, old))
    with open(os.path.join(folder, "README.md"), "w") as page:
        page.write(INTRO)
        for name, data, frames, malformed, error, what in rows:
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            at = "-" if error is None else error
            page.write(f"| `{name}` | {len(data)} | {frames} | {malformed} | {at} | {what} |\n")
    print(f"{len(rows)} files, {sum(len(row[1]) for row in rows)} bytes in {folder}")


if __name__ == "__main__":
    main()
