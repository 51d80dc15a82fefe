//! Pieces of files in datagrams.
//!
//! A piece is a payload of its own, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `PFSF` |
//! | 4 | version, 1 |
//! | 5 | 0 |
//! | 6..8 | bytes of the name, 1 to 1,024 |
//! | 8..16 | the file's number: of one sender, no other file has it at the time |
//! | 16..20 | where the piece begins in the file |
//! | 20..24 | bytes of the whole file |
//! | 24..28 | CRC-32C of the whole file |
//! | 28..32 | bytes of the piece |
//! | 32.. | the name, UTF-8, then the piece; what follows is padding |
//!
//! Pieces come in any order and may come again; they may overlap. A file is whole when every byte of it
//! came. An empty file is one piece of no bytes.

/// Bytes before the name.
pub const HEADER: usize = 32;
/// Longest name.
pub const NAME_MAX: usize = 1024;

const MAGIC: &[u8; 4] = b"PFSF";
const VERSION: u8 = 1;

/// A piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The file's number.
    pub file: u64,
    /// The file's name.
    pub name: &'a str,
    /// Where the piece begins in it.
    pub offset: u32,
    /// Bytes of the whole file.
    pub total: u32,
    /// CRC-32C of the whole file.
    pub crc: u32,
    /// The piece.
    pub bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Reads a payload; `None` for what is no piece of version 1, whole and inside its file.
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let (header, rest) = payload.split_first_chunk::<HEADER>()?;
        if header[..4] != *MAGIC || header[4] != VERSION || header[5] != 0 {
            return None;
        }
        let word = |at: usize| header[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let name_len = usize::from(u16::from_le_bytes([header[6], header[7]]));
        if !(1..=NAME_MAX).contains(&name_len) {
            return None;
        }
        let (name, rest) = rest.split_at_checked(name_len)?;
        let bytes = rest.get(..word(28)? as usize)?;
        let (offset, total) = (word(16)?, word(20)?);
        let fits = u64::from(offset) + bytes.len() as u64 <= u64::from(total);
        let holds = !bytes.is_empty() || total == 0;
        let file = u64::from(word(8)?) | u64::from(word(12)?) << 32;
        let name = std::str::from_utf8(name).ok()?;
        (fits && holds).then_some(Self { file, name, offset, total, crc: word(24)?, bytes })
    }

    /// Writes it behind `out`. A name that is too long is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = &self.name[..self.name.floor_char_boundary(NAME_MAX)];
        out.extend(MAGIC);
        out.extend([VERSION, 0]);
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(self.file.to_le_bytes());
        for word in [self.offset, self.total, self.crc, self.bytes.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(name.as_bytes());
        out.extend(self.bytes);
    }

    /// Cuts a file into payloads of at most `most` bytes, which are more than header and name.
    pub fn cut(file: u64, name: &str, source: &[u8], most: usize) -> Vec<Vec<u8>> {
        let room = most.saturating_sub(HEADER + name.len().min(NAME_MAX)).max(1);
        let crc = crc_of(source);
        let payload = |(number, bytes): (usize, &[u8])| {
            let (offset, total) = ((number * room) as u32, source.len() as u32);
            let mut out = Vec::with_capacity(most);
            Piece { file, name, offset, total, crc, bytes }.write(&mut out);
            out
        };
        if source.is_empty() {
            return vec![payload((0, source))];
        }
        source.chunks(room).enumerate().map(payload).collect()
    }
}

/// The check of a whole file.
pub(super) fn crc_of(bytes: &[u8]) -> u32 {
    pfs_cst::digest::crc32c(bytes)
}

/// A file of which pieces have come.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    pub(super) file: u64,
    pub(super) name: String,
    total: u32,
    crc: u32,
    pub(super) bytes: Vec<u8>,
    /// Which bytes came: ranges apart from one another, in order.
    have: Vec<(u32, u32)>,
    /// Pieces are expected, rather than nothing yet or no more.
    pub(super) open: bool,
}

/// Ranges that a file may be in: more is no file cut in order, but somebody's attempt.
const RANGES_MAX: usize = 1024;

/// What a piece did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The file is whole.
    Whole,
    /// More has to come. So many of its bytes had come before.
    Part(u32),
    /// The file is in too many parts.
    Scattered,
}

impl Assembly {
    /// Whether `piece` is of this file, or of what was this file's.
    pub(super) fn is_of(&self, piece: &Piece<'_>) -> bool {
        let same = (self.file, self.total, self.crc) == (piece.file, piece.total, piece.crc);
        same && self.name == piece.name
    }

    /// Becomes the file that `piece` is of, without any of its bytes.
    pub(super) fn begin(&mut self, piece: &Piece<'_>) {
        self.clear();
        (self.file, self.total, self.crc) = (piece.file, piece.total, piece.crc);
        self.name.push_str(piece.name);
        self.open = true;
    }

    /// Forgets the file.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets the bytes, and takes no more of them.
    pub(super) fn close(&mut self) {
        (self.bytes, self.have, self.open) = (Vec::new(), Vec::new(), false);
    }

    /// Whether the bytes are those that the sender had.
    pub(super) fn is_right(&self) -> bool {
        crc_of(&self.bytes) == self.crc
    }

    /// Bytes of memory that `piece` would add.
    pub(super) fn growth(&self, piece: &Piece<'_>) -> u64 {
        let end = piece.offset as usize + piece.bytes.len();
        end.saturating_sub(self.bytes.len()) as u64
    }

    /// Takes the bytes of a piece of this file.
    pub(super) fn add(&mut self, piece: &Piece<'_>) -> Added {
        let (from, to) = (piece.offset as usize, piece.offset as usize + piece.bytes.len());
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes[from..to].copy_from_slice(piece.bytes);
        let (mut from, mut to) = (from as u32, to as u32);
        let first = self.have.partition_point(|(_, end)| *end < from);
        let last = first + self.have[first..].partition_point(|(start, _)| *start <= to);
        let mut again = 0;
        for (start, end) in self.have.drain(first..last) {
            again += end.min(to).saturating_sub(start.max(from));
            (from, to) = (from.min(start), to.max(end));
        }
        self.have.insert(first, (from, to));
        match self.have[..] {
            [(0, end)] if end == self.total => Added::Whole,
            _ if self.have.len() > RANGES_MAX => Added::Scattered,
            _ => Added::Part(again),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn files_come_together_in_any_order(
            source in prop::collection::vec(any::<u8>(), 0..2000),
            most in 40usize..400,
            seed in any::<u64>(),
        ) {
            let mut payloads = Piece::cut(7, "a/b.rs", &source, most);
            let mut state = seed | 1;
            for at in (1..payloads.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                payloads.swap(at, (state >> 33) as usize % (at + 1));
            }
            let twice = payloads[0].clone();
            payloads.insert(0, twice);
            let mut assembly = Assembly::default();
            let mut whole = 0;
            for (at, payload) in payloads.iter().enumerate() {
                let piece = Piece::read(payload).unwrap();
                if !assembly.is_of(&piece) {
                    assembly.begin(&piece);
                }
                let added = assembly.add(&piece);
                whole += usize::from(added == Added::Whole);
                if at == 1 && payloads.len() > 2 {
                    prop_assert_eq!(added, Added::Part(piece.bytes.len() as u32));
                }
            }
            prop_assert!(whole >= 1);
            prop_assert!(assembly.is_right());
            prop_assert_eq!(&assembly.bytes, &source);
        }

        #[test]
        fn any_payload_is_refused_or_is_what_it_says(payload in prop::collection::vec(any::<u8>(), 0..200), front in any::<bool>()) {
            let mut payload = payload;
            if front && payload.len() > 8 {
                payload[..8].copy_from_slice(b"PFSF\x01\0\x04\0");
            }
            if let Some(piece) = Piece::read(&payload) {
                let mut again = Vec::new();
                piece.write(&mut again);
                prop_assert!(payload.starts_with(&again));
            }
        }
    }
}
