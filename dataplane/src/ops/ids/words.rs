//! A record as words of a ring.
//!
//! ```text
//! word  0  words of the record, these 20 and its ids     10..14  destination address
//!    1..3  time_ns, low word first                           14  source port | destination port << 16
//!    3..5  stream                                            15  flags | rule << 16
//!    5     flow                                              16  network | protocol << 8
//!    6..10 source address                                17..19  records lost before this one
//!                                                            19  0
//!   20..   ids
//! ```

use thiserror::Error;

use super::IdRecord;
use super::columns::network;
use crate::ops::flows::Endpoints;

/// Words before the ids.
pub(super) const HEAD: usize = 20;

/// Words that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a record of {words} words, in a ring that can hold {capacity}")]
pub struct BadRecord {
    /// Words that it says it has.
    pub words: u32,
    /// Words of the ring.
    pub capacity: u32,
}

const fn low_high(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// The words before the ids.
pub(super) fn encode(record: &IdRecord, lost: u64) -> [u32; HEAD] {
    let ends = &record.ends;
    let [t0, t1] = low_high(record.time_ns);
    let [n0, n1] = low_high(record.stream);
    let [s0, s1] = low_high(ends.source as u64);
    let [s2, s3] = low_high((ends.source >> 64) as u64);
    let [d0, d1] = low_high(ends.destination as u64);
    let [d2, d3] = low_high((ends.destination >> 64) as u64);
    let ports = u32::from(ends.source_port) | u32::from(ends.destination_port) << 16;
    let marks = u32::from(record.flags) | u32::from(record.rule) << 16;
    let kinds = ends.network as u32 | u32::from(ends.protocol) << 8;
    let [l0, l1] = low_high(lost);
    let words = HEAD as u32 + record.count;
    [
        words,
        t0,
        t1,
        n0,
        n1,
        record.flow,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
        ports,
        marks,
        kinds,
        l0,
        l1,
        0,
    ]
}

/// The record that `words` begin, and how many were lost before it.
///
/// # Errors
/// When its length cannot be.
pub(super) fn decode(words: &[u32; HEAD], capacity: u32) -> Result<(IdRecord, u64), BadRecord> {
    let wide = |at: usize| u64::from(words[at]) | u64::from(words[at + 1]) << 32;
    let address = |at: usize| u128::from(wide(at)) | u128::from(wide(at + 2)) << 64;
    let count = words[0].checked_sub(HEAD as u32).filter(|_| words[0] <= capacity);
    let record = IdRecord {
        time_ns: wide(1),
        stream: wide(3),
        ends: Endpoints {
            source: address(6),
            destination: address(10),
            source_port: words[14] as u16,
            destination_port: (words[14] >> 16) as u16,
            network: network(words[16] as u8),
            protocol: (words[16] >> 8) as u8,
        },
        count: count.ok_or(BadRecord { words: words[0], capacity })?,
        flow: words[5],
        rule: (words[15] >> 16) as u16,
        flags: words[15] as u16,
    };
    Ok((record, wide(17)))
}

/// The words as a record of a ring that holds 2^17.
pub(crate) fn fuzz_words(data: &[u8]) {
    let (words, _) = data.as_chunks::<4>();
    let Some(first) = words.first_chunk::<HEAD>() else { return };
    let words = first.map(u32::from_le_bytes);
    if let Ok((record, lost)) = decode(&words, 1 << 17) {
        assert!(record.count as usize + HEAD <= 1 << 17);
        let (again, lost_again) =
            decode(&encode(&record, lost), 1 << 17).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((again, lost_again), (record, lost));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::Network;

    proptest! {
        #[test]
        fn records_come_back(
            time_ns: u64, stream: u64, source: u128, destination: u128, ports: (u16, u16),
            count in 0..1000u32, flow: u32, rule: u16, flags: u16, protocol: u8, lost: u64,
        ) {
            let ends = Endpoints {
                source, destination, source_port: ports.0, destination_port: ports.1,
                network: Network::Ipv6, protocol,
            };
            let record = IdRecord { time_ns, stream, ends, count, flow, rule, flags };
            prop_assert_eq!(decode(&encode(&record, lost), 1 << 17), Ok((record, lost)));
        }

        #[test]
        fn any_words_are_a_record_or_an_error(words: [u32; HEAD]) {
            match decode(&words, 1 << 17) {
                Ok((record, _)) => prop_assert!(record.count + (HEAD as u32) <= 1 << 17),
                Err(error) => prop_assert!(error.to_string().contains("131072")),
            }
        }
    }
}
