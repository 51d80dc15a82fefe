//! Bits, varints and rare events, packed into messages.

use super::SyncError;

/// Writes numbers of few bits, lowest bit first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `bits` of `value`; at most 48.
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= 48);
        self.held |= (value & ((1 << bits) - 1)) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// All that was put, filled with zeros to a whole byte.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.held as u8);
        }
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Over all of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, held: 0, count: 0 }
    }

    /// The next `bits`; at most 48.
    pub(super) fn take(&mut self, bits: u32) -> Result<u64, SyncError> {
        while self.count < bits {
            let (&byte, rest) = self.bytes.split_first().ok_or(SyncError::Truncated)?;
            self.bytes = rest;
            self.held |= u64::from(byte) << self.count;
            self.count += 8;
        }
        let value = self.held & ((1 << bits) - 1);
        self.held >>= bits;
        self.count -= bits;
        Ok(value)
    }

    /// Bits that are left, the filling of the last byte included.
    pub(super) const fn left(&self) -> u64 {
        self.bytes.len() as u64 * 8 + self.count as u64
    }
}

/// Appends `value` in groups of 7 bits, lowest first.
pub(super) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        into.push(value as u8 | 128);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Takes a varint off the front.
pub(super) fn take_varint(from: &mut &[u8]) -> Result<u64, SyncError> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = from.split_first().ok_or(SyncError::Truncated)?;
        *from = rest;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Ok(value);
        }
    }
    Err(SyncError::Number)
}

/// Takes `len` bytes off the front.
pub(super) fn take_bytes<'a>(from: &mut &'a [u8], len: usize) -> Result<&'a [u8], SyncError> {
    let (head, rest) = from.split_at_checked(len).ok_or(SyncError::Truncated)?;
    *from = rest;
    Ok(head)
}

/// How many kinds of events have their own odds.
pub(super) const KINDS: usize = 64;
const ODDS_BITS: u32 = 12;
const RATE: u32 = 4;

/// Odds of each kind of event, learnt as they come.
#[derive(Debug)]
struct Odds([u16; KINDS]);

impl Odds {
    const fn new() -> Self {
        Self([1 << (ODDS_BITS - 1); KINDS])
    }

    fn learn(&mut self, kind: usize, yes: bool) {
        let odds = &mut self.0[kind];
        if yes {
            *odds += ((1 << ODDS_BITS) - *odds) >> RATE;
        } else {
            *odds -= *odds >> RATE;
        }
    }
}

/// Packs yes and no answers by an adaptive binary range coder, as LZMA has it (Martin 1979).
#[derive(Debug)]
pub(super) struct AnswerWriter {
    odds: Odds,
    low: u64,
    range: u32,
    bytes: Vec<u8>,
}

impl AnswerWriter {
    /// Nothing packed.
    pub(super) const fn new() -> Self {
        Self { odds: Odds::new(), low: 0, range: u32::MAX, bytes: Vec::new() }
    }

    /// Packs one answer of a kind below [`KINDS`].
    pub(super) fn put(&mut self, kind: usize, yes: bool) {
        let bound = (self.range >> ODDS_BITS) * u32::from(self.odds.0[kind]);
        if yes {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        self.odds.learn(kind, yes);
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
    }

    /// Moves the top byte out; a carry ripples through what is out already.
    fn shift(&mut self) {
        if self.low > u64::from(u32::MAX) {
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        self.bytes.push((self.low >> 24) as u8);
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// All answers; trailing zeros are left out, the reader supplies them.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // Any value from low on within the range will do: the one with most zeros at its end.
        let top = self.low + u64::from(self.range) - 1;
        for bits in (0..32).rev() {
            let value = top >> bits << bits;
            if value >= self.low {
                self.low = value;
                break;
            }
        }
        (0..4).for_each(|_| self.shift());
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

/// Unpacks what [`AnswerWriter`] packed; past its end come answers that mean nothing.
#[derive(Debug)]
pub(super) struct AnswerReader<'a> {
    odds: Odds,
    code: u32,
    range: u32,
    bytes: &'a [u8],
}

impl<'a> AnswerReader<'a> {
    /// Over all of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self { odds: Odds::new(), code: 0, range: u32::MAX, bytes };
        (0..4).for_each(|_| reader.shift());
        reader
    }

    fn shift(&mut self) {
        let byte = self.bytes.split_first().map_or(0, |(&byte, rest)| {
            self.bytes = rest;
            byte
        });
        self.code = self.code << 8 | u32::from(byte);
    }

    /// The next answer, of a kind below [`KINDS`].
    pub(super) fn take(&mut self, kind: usize) -> bool {
        let bound = (self.range >> ODDS_BITS) * u32::from(self.odds.0[kind]);
        let yes = self.code < bound;
        if yes {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        self.odds.learn(kind, yes);
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
        yes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(values in prop::collection::vec((any::<u64>(), 0_u32..=48), 0..200)) {
            let mut writer = BitWriter::default();
            values.iter().for_each(|&(value, bits)| writer.put(value, bits));
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(value, bits) in &values {
                prop_assert_eq!(reader.take(bits), Ok(value & ((1 << bits) - 1)));
            }
            prop_assert!(reader.left() < 8);
            prop_assert_eq!(reader.take(8), Err(SyncError::Truncated));
        }

        #[test]
        fn answers_come_back(
            answers in prop::collection::vec((0..KINDS, any::<u8>()), 0..3000), rare in 0_u8..=255,
        ) {
            let mut writer = AnswerWriter::new();
            answers.iter().for_each(|&(kind, drawn)| writer.put(kind, drawn < rare));
            let bytes = writer.finish();
            let mut reader = AnswerReader::new(&bytes);
            for &(kind, drawn) in &answers {
                prop_assert_eq!(reader.take(kind), drawn < rare);
            }
        }

        #[test]
        fn varints_come_back(value in 0_u64..1 << 63) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&mut bytes.as_slice()), Ok(value));
            bytes.pop();
            prop_assert_eq!(take_varint(&mut bytes.as_slice()), Err(SyncError::Truncated));
        }
    }

    #[test]
    fn rare_events_cost_little() {
        let mut writer = AnswerWriter::new();
        (0..8000).for_each(|n| writer.put(0, n % 400 == 7));
        assert!(writer.finish().len() < 300);
    }
}
