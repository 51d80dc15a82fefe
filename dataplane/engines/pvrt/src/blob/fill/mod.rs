//! The bytes of a blob's deterministic part, from its identity alone.
//!
//! A part is a run of areas, and each area a short pattern over and over, or numbers that count
//! up. So any stretch can be made without what is before it: areas are filled by several threads,
//! and checked without a copy of the whole.

mod orchard;
mod palette;
mod prand;

use super::error::BlobError;
use crate::{Identity, Profile};

/// Bytes before the profile's content.
pub(super) const HEADER: u64 = 32;
/// Short patterns are repeated up to this many bytes, so that copies are long ones.
const TILE_MIN: usize = 16 << 10;

/// What an area holds.
#[derive(Debug)]
enum Content {
    /// A pattern, over and over, from its beginning on.
    Tile(Vec<u8>),
    /// Little-endian numbers of four bytes: 0, 1, 2, …
    Numbers,
    /// Pairs of eight bytes each: 0, 0x78, 1, 0x78, 2, …
    Relocations,
}

#[derive(Debug)]
struct Area {
    /// First address.
    start: u64,
    /// Bytes.
    len: u64,
    content: Content,
}

/// A deterministic part: what each of its addresses holds.
#[derive(Debug)]
pub struct Deterministic {
    areas: Vec<Area>,
    size: u64,
}

impl Deterministic {
    /// That of `identity`.
    ///
    /// # Errors
    /// As [`Identity::check`].
    pub fn new(identity: &Identity) -> Result<Self, BlobError> {
        identity.check()?;
        let mut part = Self { areas: Vec::new(), size: 0 };
        part.tile(HEADER, identity.header().to_vec());
        if identity.layout == Identity::PALETTE {
            palette::lay(&mut part, identity.size);
        }
        match identity.profile {
            Profile::Orchard if identity.layout == Identity::PALETTE => {
                orchard::lay_older(&mut part, identity.size);
            }
            Profile::Orchard => orchard::lay(&mut part, identity.size),
            Profile::Prand | Profile::Palette => {}
        }
        let left = identity.size - part.size;
        part.tile(left, prand::block(identity.seed));
        Ok(part)
    }

    /// Bytes of the part.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Writes what the addresses from `from` on hold into `out`; zeros behind the part's end.
    pub fn write(&self, from: u64, out: &mut [u8]) {
        let (mut at, mut out) = (from, out);
        let mut next = self.areas.partition_point(|area| area.start + area.len <= from);
        while !out.is_empty() {
            let Some(area) = self.areas.get(next) else { return out.fill(0) };
            let within = at - area.start;
            let len = usize::try_from(area.len - within).unwrap_or(usize::MAX).min(out.len());
            let (now, later) = out.split_at_mut(len);
            area.content.write(within, now);
            (at, out, next) = (at + len as u64, later, next + 1);
        }
    }

    fn tile(&mut self, len: u64, pattern: Vec<u8>) {
        self.push(len, Content::Tile(longer(pattern)));
    }

    fn zeros(&mut self, len: u64) {
        self.tile(len, vec![0]);
    }

    fn push(&mut self, len: u64, content: Content) {
        if len > 0 {
            self.areas.push(Area { start: self.size, len, content });
            self.size += len;
        }
    }
}

/// The same pattern a whole number of times.
fn longer(pattern: Vec<u8>) -> Vec<u8> {
    if pattern.len() >= TILE_MIN { pattern } else { pattern.repeat(TILE_MIN / pattern.len() + 1) }
}

impl Content {
    /// Writes the area's bytes from `from` on.
    fn write(&self, from: u64, out: &mut [u8]) {
        match self {
            Self::Tile(tile) => {
                // A remainder of the tile's length is less than it.
                let skip = (from % tile.len() as u64) as usize;
                let first = out.len().min(tile.len() - skip);
                let (head, rest) = out.split_at_mut(first);
                head.copy_from_slice(&tile[skip..skip + first]);
                for part in rest.chunks_mut(tile.len()) {
                    part.copy_from_slice(&tile[..part.len()]);
                }
            }
            // Numbers wrap at 2^32, as they did in PacketFS.
            Self::Numbers => records(from, out, |at| (at as u32).to_le_bytes()),
            Self::Relocations => {
                records(from, out, |at| ((0x78_u128 << 64) | u128::from(at)).to_le_bytes());
            }
        }
    }
}

/// Writes records of `N` bytes, `make`d from their numbers, beginning `from` bytes into them.
fn records<const N: usize>(from: u64, out: &mut [u8], make: impl Fn(u64) -> [u8; N]) {
    let (mut number, skip) = (from / N as u64, (from % N as u64) as usize);
    let head = if skip == 0 { 0 } else { (N - skip).min(out.len()) };
    let (first, rest) = out.split_at_mut(head);
    if head > 0 {
        first.copy_from_slice(&make(number)[skip..skip + head]);
        number += 1;
    }
    let (whole, last) = rest.as_chunks_mut::<N>();
    for record in whole {
        *record = make(number);
        number += 1;
    }
    last.copy_from_slice(&make(number)[..last.len()]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn bytes(identity: &Identity) -> Vec<u8> {
        let mut bytes = vec![0xEE; identity.size as usize];
        Deterministic::new(identity).expect("a blob").write(0, &mut bytes);
        bytes
    }

    fn sha(name: &str, profile: Profile, layout: u16, size: u64, seed: u32) -> String {
        let identity = Identity { layout, ..Identity::new(name, profile, size, seed) };
        Sha256::digest(bytes(&identity)).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    use Profile::{Orchard, Palette, Prand};

    /// Name, profile, layout, size, seed and SHA-256 of the whole, made by PacketFS's own
    /// `virtual_blob.py`, in its two variants: without palette and with it.
    #[rustfmt::skip]
    const VECTORS: [(&str, Profile, u16, u64, u32, &str); 13] = [
        ("pfs_t1", Prand, 1, 1 << 20, 1337, "d7d6faecdca2c650dc47cdc09771ad7563c1210de630ba0a47e3a07d987743f0"),
        ("pfs_t1", Prand, 1, 2 << 20, 1337, "b255a9ea624a88a93ac9cc4bd32b4920a16a547bf9c474f23b49a72b81004384"),
        ("pfs_t1", Prand, 1, 2 << 20, 1, "0f9d50e86712ac9d08c151113b7abc88b43e7d652c4a73467425ad7bc9207011"),
        ("x", Prand, 1, 100_003, 7, "51fac096c185f93619ca234495f51320bcb79db70643e61f65da620608b5d946"),
        ("pfs_t1", Palette, 2, 1 << 20, 1337, "470ecf8c75d75e6caf25ce5fb5186d6bce3eba868ef4dcc939e0afeb0a8ffae8"),
        ("pfs_t1", Palette, 2, 2 << 20, 1337, "0688b1239e386c8dac16e4e23c74ac8bb93969bbdb8a4f0d7f933d96b0391c36"),
        ("x", Palette, 2, 100_003, 7, "29fd90563cfbe07a12b11bcfa4c1ab55d0a824285ef1da75e170653fe77dbaa6"),
        ("pfs_t1", Orchard, 1, 8 << 20, 1337, "e95cc3d7ee1198d137c2e0e0a388d4fbc12cdcd6f383e73ad2834b35ee386bb1"),
        ("x", Orchard, 1, 3_000_001, 7, "92b46af21c68a3bcdfec1c7f52b7a46bc05c11b71c208c318d920f62404be434"),
        ("x", Orchard, 1, 100_000, 7, "8a19abbacad92574084e967df7ea1eb54ef6cd66540229751f23d6a0558dea50"),
        ("pfs_t1", Orchard, 2, 8 << 20, 1337, "d698f21cf865fc4abf4febb0308d37dfdeef49af84c1131674af0207efcc4164"),
        ("x", Orchard, 2, 3_000_001, 7, "960a2687ed5af3efef84863f680c376aa556bf8b0a27293adc61984ffac24618"),
        ("x", Orchard, 2, 100_000, 7, "dfe2d86728212c275d41cddea22ee41fa0417d4ab28d1b26ae95b1fc7da0fb3f"),
    ];

    #[test]
    fn blobs_are_those_of_packetfs() {
        for (name, profile, layout, size, seed, want) in VECTORS {
            assert_eq!(sha(name, profile, layout, size, seed), want, "{name} {profile:?} {size}");
        }
    }

    #[test]
    fn the_palette_is_packetfs_own() {
        let identity = Identity::new("pfs_t1", Palette, 2 << 20, 1337);
        let palette = &bytes(&identity)[32..32 + (256 << 10)];
        let digest = Sha256::digest(palette);
        assert_eq!(digest[..4], [0xd6, 0x06, 0x39, 0xfc]);
    }

    #[test]
    fn the_body_of_prand_begins_as_packetfs_says() {
        let identity = Identity::new("any", Prand, 64, 1337);
        assert_eq!(
            bytes(&identity)[32..48],
            *b"\x33\xce\x4f\x45\x97\xfe\xb7\x2d\x05\x83\xcb\x9e\x50\xde\xc1\x3b"
        );
    }

    proptest! {
        #[test]
        fn any_stretch_is_the_same_alone(
            size in 64_u64..2_000_000, which in 0_usize..4, from in 0_u64..2_000_000, len in 0_usize..70_000
        ) {
            let (profile, layout) = [
                (Prand, Identity::PLAIN),
                (Palette, Identity::PALETTE),
                (Orchard, Identity::PLAIN),
                (Orchard, Identity::PALETTE),
            ][which];
            let identity = Identity { layout, ..Identity::new("x", profile, size, 7) };
            let part = Deterministic::new(&identity).expect("a blob");
            prop_assert_eq!(part.size(), size);
            let mut whole = vec![0; size as usize];
            part.write(0, &mut whole);
            let mut stretch = vec![0xEE; len];
            part.write(from, &mut stretch);
            let want = whole.get(from as usize..).unwrap_or_default();
            let both = want.len().min(len);
            prop_assert_eq!(&stretch[..both], &want[..both]);
            prop_assert!(stretch[both..].iter().all(|byte| *byte == 0));
        }
    }
}
