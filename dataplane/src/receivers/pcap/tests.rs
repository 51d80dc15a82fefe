//! Captures written by the crate `pcap-file`, and pcapng built by hand, read back.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;

use super::*;
use crate::fuzzing::pcap_read;

/// A packet as a test knows it: bytes, length on the wire, nanoseconds.
type Known = (Vec<u8>, u32, Option<u64>);

/// Reads a capture held in a slice; the packets, and the error that ended it.
fn read(data: &[u8]) -> (Vec<Known>, Option<CaptureError>) {
    let bytes = Bytes::of_slice(data);
    let mut packets = Vec::new();
    let mut reader = match Reader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (packets, Some(error)),
    };
    loop {
        match reader.next(bytes) {
            Ok(Some(packet)) => {
                let start = packet.offset as usize;
                let frame = data[start..start + packet.captured as usize].to_vec();
                packets.push((frame, packet.wire, packet.stamp_ns));
            }
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn classic(known: &[Known], endianness: Endianness, ts_resolution: TsResolution) -> Vec<u8> {
    let header = PcapHeader { endianness, ts_resolution, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("writes");
    for (data, wire, stamp) in known {
        let stamp = Duration::from_nanos(stamp.expect("has a time"));
        writer.write_packet(&PcapPacket::new(stamp, *wire, data)).expect("writes");
    }
    writer.into_writer()
}

fn ng(known: &[Known], endianness: Endianness) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).expect("writes");
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options: vec![InterfaceDescriptionOption::IfTsResol(9)],
    };
    writer.write_pcapng_block(interface).expect("writes");
    for (data, wire, stamp) in known {
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(stamp.expect("has a time")),
            original_len: *wire,
            data: Cow::Borrowed(data),
            options: vec![],
        };
        writer.write_pcapng_block(packet).expect("writes");
    }
    writer.into_inner()
}

/// Packets whose times are whole microseconds.
fn some_packets() -> Vec<Known> {
    [60, 0, 1, 61, 1514, 9000]
        .into_iter()
        .zip(1u64..)
        .map(|(len, n)| {
            let data = (0..len).map(|at| (at as u64 * n) as u8).collect();
            (data, len as u32 + n as u32 % 2 * 7, Some(1_700_000_000_000_001_000 + n * 1000))
        })
        .collect()
}

proptest! {
    #[test]
    fn pcap_reads_as_it_was_written(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..200), 0u32..100, 0u64..4_000_000_000_000_000),
            0..20,
        ),
        big: bool,
        nanoseconds: bool,
    ) {
        let unit = if nanoseconds { 1 } else { 1000 };
        let known: Vec<Known> = packets
            .into_iter()
            .map(|(data, cut, stamp)| {
                let wire = data.len() as u32 + cut;
                (data, wire, Some(stamp / unit * unit))
            })
            .collect();
        let endianness = if big { Endianness::Big } else { Endianness::Little };
        let resolution =
            if nanoseconds { TsResolution::NanoSecond } else { TsResolution::MicroSecond };
        prop_assert_eq!(read(&classic(&known, endianness, resolution)), (known.clone(), None));
        prop_assert_eq!(read(&ng(&known, endianness)), (known, None));
    }

    #[test]
    fn noise_in_a_capture_is_an_error_or_other_packets(
        at in any::<prop::sample::Index>(), value: u8, which in 0usize..4,
    ) {
        let known = some_packets();
        let mut data = match which {
            0 => classic(&known, Endianness::Little, TsResolution::NanoSecond),
            1 => classic(&known, Endianness::Big, TsResolution::MicroSecond),
            2 => ng(&known, Endianness::Little),
            _ => ng(&known, Endianness::Big),
        };
        let at = at.index(data.len());
        data[at] = value;
        pcap_read(&data);
    }
}

#[test]
fn every_truncation_gives_the_packets_before_it_and_an_error() {
    let known = &some_packets()[..4];
    let files = [
        (classic(known, Endianness::Little, TsResolution::NanoSecond), 16, 1),
        (classic(known, Endianness::Big, TsResolution::NanoSecond), 16, 1),
        (ng(known, Endianness::Little), 32, 4),
        (ng(known, Endianness::Big), 32, 4),
    ];
    for (data, overhead, align) in files {
        let sizes: Vec<_> = known
            .iter()
            .map(|(packet, ..)| overhead + packet.len().next_multiple_of(align))
            .collect();
        let first = data.len() - sizes.iter().sum::<usize>();
        // Where the file may end without being cut: behind each record, and behind each block
        // that comes before the first packet.
        let mut whole = vec![first];
        for size in &sizes {
            whole.push(whole[whole.len() - 1] + size);
        }
        if align == 4 {
            whole.push(28);
        }
        for end in 0..data.len() {
            let (packets, error) = read(&data[..end]);
            let complete = whole[1..=sizes.len()].iter().filter(|&&stop| stop <= end).count();
            assert_eq!(packets, known[..complete], "cut at {end}");
            assert_eq!(error.is_none(), whole.contains(&end), "cut at {end}: {error:?}");
            if let Some(error) = error {
                assert!(error.at <= end as u64, "{error} in {end} bytes");
                assert!(matches!(error.fault, Fault::Cut { .. }), "cut at {end}: {error}");
            }
        }
    }
}

/// A pcapng file, block by block.
struct Ng {
    data: Vec<u8>,
    big: bool,
}

impl Ng {
    fn new() -> Self {
        Self { data: Vec::new(), big: false }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn block(mut self, kind: u32, body: &[u8]) -> Self {
        let len = self.u32(12 + body.len().next_multiple_of(4) as u32);
        self.data.extend(self.u32(kind));
        self.data.extend(len);
        self.data.extend(body);
        self.data.resize(self.data.len().next_multiple_of(4), 0);
        self.data.extend(len);
        self
    }

    fn section(mut self, big: bool) -> Self {
        self.big = big;
        let body = [&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[0xff; 8]].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Self {
        let mut body = [&self.u16(link)[..], &[0, 0], &self.u32(snaplen)].concat();
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(value.len() as u16));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, ticks: u64, data: &[u8], wire: u32) -> Self {
        let words = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire];
        let mut body: Vec<u8> = words.iter().flat_map(|&word| self.u32(word)).collect();
        body.extend(data);
        self.block(6, &body)
    }
}

#[test]
fn sections_interfaces_and_other_blocks() {
    let second = 1_700_000_000_u64;
    let file = Ng::new()
        .section(false)
        .block(0x0bad, b"a block of a type that nobody knows")
        .interface(1, 0, &[(2, b"eth0"), (9, &[6]), (0, b"")])
        .interface(1, 0, &[(9, &[9]), (14, &100u64.to_le_bytes())])
        .interface(1, 0, &[(9, &[0x80 | 10])])
        .interface(1, 0, &[(9, &[12])])
        .interface(1, 0, &[(9, &[0])])
        .enhanced(0, second * 1_000_000 + 5, b"microseconds", 12)
        .enhanced(1, second * 1_000_000_000 + 7, b"nanoseconds", 2000)
        .enhanced(2, (second << 10) + 512, b"binary", 6)
        .enhanced(3, 5_000_000_001_999, b"picoseconds", 11)
        .enhanced(4, second, b"seconds", 7)
        .block(5, &[0; 12])
        .section(true)
        .interface(1, 4, &[])
        .block(3, b"\0\0\0\x09simp")
        .block(2, b"\0\0\xff\xff\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0\x03old")
        .data;
    let want: Vec<Known> = vec![
        (b"microseconds".into(), 12, Some(second * 1_000_000_000 + 5_000)),
        (b"nanoseconds".into(), 2000, Some((second + 100) * 1_000_000_000 + 7)),
        (b"binary".into(), 6, Some(second * 1_000_000_000 + 500_000_000)),
        (b"picoseconds".into(), 11, Some(5_000_000_001)),
        (b"seconds".into(), 7, Some(second * 1_000_000_000)),
        (b"simp".into(), 9, None),
        (b"old".into(), 3, Some(2000)),
    ];
    assert_eq!(read(&file), (want, None));
}

#[test]
fn corrupt_lengths_are_named() {
    let base = || Ng::new().section(false).interface(1, 0, &[]).enhanced(0, 0, b"good", 4);
    let fault = |file: Ng| {
        let (packets, error) = read(&file.data);
        assert_eq!(packets.len(), 1);
        error.expect("an error").fault
    };
    let at = base().data.len();
    for len in [0, 4, 11, 13, 33] {
        let mut file = base().block(7, &[0; 20]);
        file.data[at + 4..at + 8].copy_from_slice(&u32::to_le_bytes(len));
        assert_eq!(fault(file), Fault::BlockLength { kind: 7, len });
    }
    let mut file = base().block(7, &[0; 20]);
    file.data[at + 28] = 36;
    assert_eq!(fault(file), Fault::BlockTrailer { head: 32, tail: 36 });
    let mut file = base().block(7, &[0; 20]);
    file.data[at + 4..at + 8].copy_from_slice(&[0xfc, 0xff, 0xff, 0xff]);
    let cut = Fault::Cut { what: "block", need: 0xffff_fffc, have: 32 };
    assert_eq!(fault(file), cut);
    assert_eq!(fault(base().enhanced(1, 0, b"x", 1)), Fault::Interface(1));
    assert_eq!(fault(base().block(6, &[0; 16])), Fault::BlockLength { kind: 6, len: 28 });
    assert_eq!(fault(base().block(3, &[])), Fault::BlockLength { kind: 3, len: 12 });
    assert_eq!(fault(base().block(1, &[0; 4])), Fault::BlockLength { kind: 1, len: 16 });
    let long = base().block(3, &[9, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(fault(long), Fault::PacketLength { len: 9, limit: 4 });

    let mut file = classic(&some_packets()[..1], Endianness::Little, TsResolution::NanoSecond);
    file[32..36].copy_from_slice(&[0xff; 4]);
    let (_, error) = read(&file);
    let fault = Fault::PacketLength { len: u32::MAX, limit: 262_144 };
    assert_eq!(error, Some(CaptureError { fault, at: 24 }));
}

#[test]
fn foreign_files_are_refused_by_name() {
    let fault = |data: &[u8]| read(data).1.expect("an error").fault;
    assert_eq!(fault(b"\x1f\x8b\x08\x00"), Fault::Packed("gzip"));
    assert_eq!(fault(b"GET / HTTP/1.1"), Fault::Magic(*b"GET "));
    assert!(matches!(fault(b""), Fault::Cut { .. }));
    let mut file = classic(&[], Endianness::Little, TsResolution::NanoSecond);
    file[20] = 127;
    let text = fault(&file).to_string();
    assert_eq!(text, "link type 127 (IEEE802_11_RADIOTAP) is not supported");
    file[4] = 3;
    assert_eq!(fault(&file), Fault::Version(3, 4));
    let unused = Ng::new().section(false).interface(195, 0, &[]).interface(1, 0, &[]);
    assert_eq!(read(&unused.enhanced(1, 0, b"fine", 4).data).1, None);
    let mixed = Ng::new().section(false).interface(1, 0, &[]).interface(101, 0, &[]);
    let mixed = mixed.enhanced(0, 0, b"eth", 3).enhanced(1, 0, b"ip", 2);
    assert_eq!(fault(&mixed.data), Fault::MixedLinks(Link::Raw, Link::Ethernet));
}

/// A file in a folder of its own.
fn save(data: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.pcap");
    fs::write(&path, data).expect("writes");
    (folder, path)
}

/// Polls to the end, returning every frame at once; each packet's bytes and whether it was cut.
/// `edit` may write to them.
fn drain(
    source: &mut PcapReceiver,
    mut edit: impl FnMut(&mut [u8]),
) -> (Vec<(Vec<u8>, bool)>, Option<ReceiveError>) {
    let view = source.region();
    let mut packets = Vec::new();
    let mut batch = Batch::default();
    while !source.finished() {
        match source.poll(&mut batch) {
            Ok(_) => {}
            Err(error) => return (packets, Some(error)),
        }
        for desc in batch.descs() {
            // SAFETY: it came from `poll` and is returned below.
            let bytes = unsafe { view.bytes_mut(desc) }.expect("in the region");
            packets.push((bytes.to_vec(), desc.flags & Desc::ERR != 0));
            edit(bytes);
        }
        let tokens: Vec<_> = batch.descs().iter().map(|desc| desc.frame).collect();
        source.recycle(&tokens);
        batch.clear();
    }
    (packets, None)
}

fn known_frames(known: &[Known]) -> Vec<(Vec<u8>, bool)> {
    known.iter().map(|(data, wire, _)| (data.clone(), data.len() < *wire as usize)).collect()
}

#[test]
fn copied_and_mapped_give_the_same_and_leave_the_file_alone() {
    let known = some_packets();
    let data = ng(&known, Endianness::Big);
    let (_folder, path) = save(&data);
    for (limit, mode) in [(COPY_LIMIT, "copied"), (0, "mapped")] {
        let spec = PcapSpec { loops: 3, frames: 4, ..PcapSpec::new(&path) };
        let mut source = PcapReceiver::open_with(&spec, limit).expect("opens");
        assert_eq!(source.granted().mode, mode);
        assert_eq!(source.framing(), Framing::Ethernet);
        let (packets, error) = drain(&mut source, |bytes| bytes.fill(0xaa));
        assert!(error.is_none());
        let want = known_frames(&known);
        assert_eq!(packets, [want.clone(), want.clone(), want].concat(), "{mode}");
        let counters = source.counters();
        assert_eq!((counters.offered, counters.polled), (18, 18));
    }
    assert_eq!(fs::read(&path).expect("reads"), data);
}

#[test]
fn a_round_waits_for_the_spans_of_the_one_before() {
    let (_folder, path) = save(&ng(&some_packets(), Endianness::Little));
    let spec = PcapSpec { loops: 2, ..PcapSpec::new(&path) };
    let mut source = PcapReceiver::open(&spec).expect("opens");
    let mut batch = Batch::default();
    assert_eq!(source.poll(&mut batch).expect("polls"), 6);
    let tokens: Vec<_> = batch.descs().iter().map(|desc| desc.frame).collect();
    source.recycle(&tokens[..5]);
    assert_eq!(source.poll(&mut batch).expect("polls"), 0);
    assert!(!source.finished());
    source.recycle(&tokens[5..]);
    assert_eq!(source.poll(&mut batch).expect("polls"), 6);
    source.detach();
    assert!(source.finished());
    assert_eq!(source.poll(&mut batch).expect("polls"), 0);
    source.recycle(&[1 << 20, 5, 5]);
    assert_eq!(source.counters().refused_tokens, 2);
}

#[test]
fn a_broken_capture_gives_what_it_holds_and_then_an_error() {
    let known = some_packets();
    let mut data = classic(&known, Endianness::Little, TsResolution::MicroSecond);
    data.truncate(data.len() - 1);
    let (_folder, path) = save(&data);
    for frames in [1, 3, 100] {
        let spec = PcapSpec { loops: 5, frames, ..PcapSpec::new(&path) };
        let mut source = PcapReceiver::open(&spec).expect("opens");
        let (packets, error) = drain(&mut source, |_| {});
        assert_eq!(packets, known_frames(&known[..5]));
        let text = error.expect("an error").to_string();
        let at = data.len() - 9016 + 1;
        assert!(text.contains("truncated") && text.ends_with(&format!("at byte {at}")), "{text}");
        assert!(source.finished());
        assert_eq!(source.counters().offered, 5);
        assert_eq!(source.poll(&mut Batch::default()).expect("nothing more"), 0);
    }
}

#[test]
fn a_mapped_file_that_is_cut_short_is_an_error() {
    let known: Vec<Known> = (0..3000).map(|_| (vec![7; 4000], 4000, Some(0))).collect();
    let (_folder, path) = save(&classic(&known, Endianness::Little, TsResolution::NanoSecond));
    let mut source = PcapReceiver::open_with(&PcapSpec::new(&path), 0).expect("opens");
    assert_eq!(source.poll(&mut Batch::default()).expect("polls"), 64);
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opens");
    file.set_len(CHECK_EVERY + (1 << 20)).expect("cuts");
    let (packets, error) = drain(&mut source, |_| {});
    assert!(packets.len() < 2000);
    assert!(error.expect("an error").to_string().contains("cut short"));
}

#[test]
fn cooked_headers_become_ethernet() {
    let ip = b"\x45and so on";
    let sll = [&b"\0\0\0\x01\0\x06\x02\xaa\xbb\xcc\xdd\xee\0\0\x08\0"[..], ip].concat();
    let sll2 = [&b"\x08\0\0\0\0\0\0\x03\0\x01\0\x06\x02\xaa\xbb\xcc\xdd\xee\0\0"[..], ip].concat();
    for (link, data) in [(113, sll), (276, sll2)] {
        let len = data.len() as u32;
        let file = Ng::new().section(false).interface(link, 0, &[]).enhanced(0, 0, &data, len);
        let (_folder, path) = save(&file.enhanced(0, 0, b"cut", 99).data);
        let mut source = PcapReceiver::open(&PcapSpec::new(&path)).expect("opens");
        assert_eq!(source.framing(), Framing::Ethernet);
        let (packets, error) = drain(&mut source, |_| {});
        assert!(error.is_none());
        assert_eq!(packets[0].0[12..14], [8, 0], "EtherType of link type {link}");
        assert_eq!(&packets[0].0[14..], ip);
        assert_eq!(packets.len(), 2);
    }
    let file = Ng::new().section(false).interface(0, 0, &[]).enhanced(0, 0, b"\x02\0\0\0\x45", 5);
    let (_folder, path) = save(&file.data);
    let mut source = PcapReceiver::open(&PcapSpec::new(&path)).expect("opens");
    assert_eq!(source.framing(), Framing::Ip);
    assert_eq!(drain(&mut source, |_| {}).0[0].0, b"\x45");
}

#[test]
fn files_that_are_no_captures_say_so_when_opened() {
    let error = |data: &[u8]| {
        let (_folder, path) = save(data);
        PcapReceiver::open(&PcapSpec::new(path)).expect_err("refused").to_string()
    };
    assert!(error(b"").contains("empty"));
    assert!(error(b"\x1f\x8b\x08\x00\x00").contains("gunzip"));
    assert!(error(b"\xd4\xc3\xb2\xa1").contains("truncated"));
    let missing = PcapReceiver::open(&PcapSpec::new("/nonexistent/x.pcap")).expect_err("refused");
    assert!(missing.to_string().contains("opening /nonexistent/x.pcap"));
    let device = PcapReceiver::open(&PcapSpec::new("/dev/zero")).expect_err("refused");
    assert!(device.to_string().contains("not a regular file"));
    for frames in [0, u32::MAX] {
        let spec = PcapSpec { frames, ..PcapSpec::new("/dev/zero") };
        let text = PcapReceiver::open(&spec).expect_err("refused").to_string();
        assert!(text.contains("set frames from 1"), "{text}");
    }
}
