//! What a blob's deterministic part is, so that two ends can compare it before they rely on it.

use sha2::{Digest as _, Sha256};

use super::error::BlobError;
use super::{Digest, md5};
use crate::{Identity, Profile};

/// Longest name, in bytes.
pub const NAME_MAX: usize = 255;
/// Least bytes of a deterministic part: its header and as much again.
pub const SIZE_MIN: u64 = 64;
/// Most bytes of a blob, both parts together.
pub const SIZE_MAX: u64 = 1 << 46;

impl Identity {
    /// Layout without a palette: the profile's content begins behind the header.
    pub const PLAIN: u16 = 1;
    /// Layout with a palette between the header and the profile's content.
    pub const PALETTE: u16 = 2;

    /// An identity with the layout that its profile has by default: [`Self::PALETTE`] for
    /// [`Profile::Palette`], else [`Self::PLAIN`].
    #[must_use]
    pub fn new(name: &str, profile: Profile, size: u64, seed: u32) -> Self {
        let layout = if profile == Profile::Palette { Self::PALETTE } else { Self::PLAIN };
        Self { name: name.to_owned(), profile, layout, size, seed }
    }

    /// One number for all of it: BLAKE3 over profile, layout, size, seed and name. Two ends with
    /// the same digest hold the same bytes at the same addresses.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"pfs blob identity\0");
        hasher.update(&[profile_number(self.profile)]);
        hasher.update(&self.layout.to_le_bytes());
        hasher.update(&self.size.to_le_bytes());
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(self.name.as_bytes());
        Digest(*hasher.finalize().as_bytes())
    }

    /// Refuses what no blob can be.
    ///
    /// # Errors
    /// [`BlobError::Identity`], which says what is wrong.
    pub fn check(&self) -> Result<(), BlobError> {
        let wrong = |why: String| Err(BlobError::Identity(why));
        let layouts: &[u16] = match self.profile {
            Profile::Prand => &[Self::PLAIN],
            Profile::Palette => &[Self::PALETTE],
            Profile::Orchard => &[Self::PLAIN, Self::PALETTE],
        };
        if self.name.is_empty() || self.name.len() > NAME_MAX {
            return wrong(format!("its name has {} bytes, not 1 to {NAME_MAX}", self.name.len()));
        }
        if !layouts.contains(&self.layout) {
            let name = self.profile.name();
            return wrong(format!("profile {name} has layouts {layouts:?}, not {}", self.layout));
        }
        if !(SIZE_MIN..=SIZE_MAX).contains(&self.size) {
            return wrong(format!("{} bytes are not {SIZE_MIN} to {SIZE_MAX}", self.size));
        }
        Ok(())
    }

    /// The 32 bytes at address 0, as PacketFS has them: 16 hexadecimal digits of a SHA-256 over
    /// name, size, seed and profile, then an MD5 over those digits and the same numbers. They tell
    /// nothing of the layout: [`Self::digest`] does.
    #[must_use]
    pub fn header(&self) -> [u8; 32] {
        // PacketFS knows no profile of its own for the palette.
        let profile = if self.profile == Profile::Orchard { "orchard" } else { "prand" };
        let mut rest = self.size.to_le_bytes().to_vec();
        rest.extend_from_slice(&self.seed.to_le_bytes());
        rest.extend_from_slice(profile.as_bytes());
        let sha = Sha256::new().chain_update(self.name.as_bytes()).chain_update(&rest).finalize();
        let mut id = Vec::with_capacity(16);
        for byte in &sha[..8] {
            id.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        let mut header = [0; 32];
        header[..16].copy_from_slice(&id);
        id.extend_from_slice(&rest);
        header[16..].copy_from_slice(&md5::digest(&id));
        header
    }
}

impl Profile {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prand => "prand",
            Self::Palette => "palette",
            Self::Orchard => "orchard",
        }
    }
}

/// Its number in headers and digests.
pub(super) const fn profile_number(profile: Profile) -> u8 {
    match profile {
        Profile::Prand => 0,
        Profile::Palette => 1,
        Profile::Orchard => 2,
    }
}

/// The profile with that number.
pub(super) const fn profile_of(number: u8) -> Option<Profile> {
    match number {
        0 => Some(Profile::Prand),
        1 => Some(Profile::Palette),
        2 => Some(Profile::Orchard),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_header_is_the_one_packetfs_wrote() {
        let header = Identity::new("pfs_t1", Profile::Prand, 2 << 20, 1337).header();
        assert_eq!(&header[..16], b"ba1fc8d12fb71cc3");
        assert_eq!(hex(&header[16..]), "79a4029a2bbb0a4a785d8839c470060f");
        let header = Identity::new("pfs_t1", Profile::Prand, 1 << 20, 1337).header();
        assert_eq!(&header[..16], b"af3cf1dd12ef83c8");
        let header = Identity::new("pfs_t1", Profile::Orchard, 8 << 20, 1337).header();
        assert_eq!(&header[..16], b"edaf2531ad85de89");
        assert_eq!(hex(&header[16..]), "7635640db7f1637f1113a6057d507eae");
    }

    #[test]
    fn whatever_differs_changes_the_digest() {
        let one = Identity::new("a", Profile::Orchard, 1 << 20, 1);
        let others = [
            Identity { name: "b".into(), ..one.clone() },
            Identity { profile: Profile::Prand, ..one.clone() },
            Identity { layout: Identity::PALETTE, ..one.clone() },
            Identity { size: 1 << 21, ..one.clone() },
            Identity { seed: 2, ..one.clone() },
        ];
        assert_eq!(one.digest(), one.clone().digest());
        for other in others {
            assert_ne!(one.digest(), other.digest(), "{other:?}");
        }
        // Known for ever: another end may be another version.
        assert_eq!(
            one.digest().to_string(),
            "9dea5d39c84a47edd83815e8fb64130e84f5a9cb9e2c3a5b1ade4a1cc21d0047"
        );
    }

    #[test]
    fn what_no_blob_can_be_is_refused() {
        let good = Identity::new("a", Profile::Prand, 64, 0);
        good.check().expect("the least blob");
        for bad in [
            Identity { name: String::new(), ..good.clone() },
            Identity { name: "n".repeat(256), ..good.clone() },
            Identity { layout: Identity::PALETTE, ..good.clone() },
            Identity { layout: 0, ..good.clone() },
            Identity { size: 63, ..good.clone() },
            Identity { size: SIZE_MAX + 1, ..good.clone() },
        ] {
            assert!(matches!(bad.check(), Err(BlobError::Identity(_))), "{bad:?}");
        }
    }
}
