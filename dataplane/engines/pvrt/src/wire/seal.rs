//! Frames that only the other end can read or make.
//!
//! Each frame is sealed by itself with ring's AES-256-GCM or ChaCha20-Poly1305. The nonce is the
//! transfer's number (4 bytes) and the frame's sequence (8 bytes), both little-endian; the header is
//! authenticated with the payload. A key is of one transfer, one direction and one session: with the
//! same key no sequence may ever be used twice.

use std::fmt;

use ring::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey,
};

use super::frame::{FrameError, HEADER, Header, TAG};

/// How frames are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cipher {
    /// AES-256-GCM.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305 = 2,
}

impl Cipher {
    /// The faster one here; the two ends agree on one.
    #[must_use]
    pub fn preferred() -> Self {
        #[cfg(target_arch = "x86_64")]
        let fast = std::arch::is_x86_feature_detected!("aes")
            && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let fast = std::arch::is_aarch64_feature_detected!("aes");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let fast = false;
        if fast { Self::Aes256Gcm } else { Self::ChaCha20Poly1305 }
    }

    /// The cipher that a peer named by its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// Seals and opens frames of one transfer.
pub struct Key {
    cipher: Cipher,
    key: LessSafeKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

impl Key {
    /// A key of 32 secret bytes, used for nothing else.
    ///
    /// # Panics
    /// Never: both ciphers take 32 bytes.
    #[must_use]
    pub fn new(cipher: Cipher, secret: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(cipher.algorithm(), secret).expect("32 bytes");
        Self { cipher, key: LessSafeKey::new(unbound) }
    }

    /// Its cipher.
    #[must_use]
    pub const fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Appends the sealed frame of a payload in two parts, of the length that the header says.
    ///
    /// # Panics
    /// When it has another length.
    pub fn write(&self, header: &Header, payload: [&[u8]; 2], out: &mut Vec<u8>) {
        let [first, second] = payload;
        let len = first.len() + second.len();
        assert_eq!(len, header.payload(), "the header says how long its payload is");
        let head = Header { encrypted: true, ..*header }.bytes();
        out.extend_from_slice(&head);
        let begin = out.len();
        out.extend_from_slice(first);
        out.extend_from_slice(second);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(header), Aad::from(head), &mut out[begin..])
            .expect("a frame is far shorter than the ciphers' limits");
        out.extend_from_slice(tag.as_ref());
    }

    /// Opens the frame whose header was parsed from it; its payload is left in `scratch`.
    ///
    /// # Errors
    /// [`FrameError::Forged`], [`FrameError::Short`]; [`FrameError::Protection`] for a plain one.
    #[inline]
    pub fn open<'a>(
        &self,
        header: &Header,
        frame: &[u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], FrameError> {
        if !header.encrypted {
            return Err(FrameError::Protection(true));
        }
        let want = header.frame();
        let short = FrameError::Short { have: frame.len(), want };
        let (head, rest) = frame.get(..want).ok_or(short)?.split_at(HEADER);
        let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or(short)?;
        scratch.clear();
        scratch.extend_from_slice(sealed);
        let (nonce, tag) = (nonce(header), Tag::from(*tag));
        let opened = self.key.open_in_place_separate_tag(nonce, Aad::from(head), tag, scratch, 0..);
        opened.map(|payload| &*payload).map_err(|_| FrameError::Forged)
    }
}

fn nonce(header: &Header) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&header.transfer.to_le_bytes());
    nonce[4..].copy_from_slice(&header.sequence.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    fn sealed(key: &Key, sequence: u64) -> Vec<u8> {
        let mut frame = Vec::new();
        let header = Header { transfer: 5, sequence, step: 11, total: 11, ..Header::default() };
        key.write(&header, [b"hello ", b"world"], &mut frame);
        frame
    }

    fn open(key: &Key, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
        let header = Header::parse(frame)?;
        key.open(&header, frame, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_sealed_opens_and_is_not_readable() {
        for cipher in CIPHERS {
            assert_eq!(Cipher::from_number(cipher as u8), Some(cipher));
            let key = Key::new(cipher, &[7; 32]);
            let frame = sealed(&key, 9);
            assert_eq!(open(&key, &frame).as_deref(), Ok(&b"hello world"[..]));
            assert!(!frame.windows(5).any(|part| part == b"hello"));
            assert_ne!(frame[HEADER..], sealed(&key, 10)[HEADER..]);
        }
    }

    #[test]
    fn another_key_and_any_changed_bit_are_noticed() {
        for cipher in CIPHERS {
            let key = Key::new(cipher, &[7; 32]);
            let frame = sealed(&key, 9);
            assert_eq!(open(&Key::new(cipher, &[8; 32]), &frame), Err(FrameError::Forged));
            for bit in 0..frame.len() * 8 {
                let mut bad = frame.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&key, &bad).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn plain_and_sealed_are_not_taken_for_each_other() {
        let key = Key::new(Cipher::preferred(), &[7; 32]);
        let frame = sealed(&key, 1);
        let header = Header::parse(&frame).expect("a frame");
        assert_eq!(header.plain(&frame), Err(FrameError::Protection(false)));
        let mut plain = Vec::new();
        header.write_plain([b"hello world", b""], &mut plain);
        assert_eq!(open(&key, &plain), Err(FrameError::Protection(true)));
    }
}
