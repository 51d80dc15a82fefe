//! The password that clients must know.

use std::hint::black_box;

/// A password. It is not shown, and comparing takes as long for any guess of the same length.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The password `password`; `None` when it is empty.
    #[must_use]
    pub fn new(password: impl Into<Vec<u8>>) -> Option<Self> {
        let password = password.into();
        (!password.is_empty()).then(|| Self(password.into_boxed_slice()))
    }

    /// Whether `guess` is the password. The time depends on the password's length alone: every byte of it
    /// is compared, whether or not one before differs.
    #[must_use]
    pub fn matches(&self, guess: &[u8]) -> bool {
        let mut differs = self.0.len() ^ guess.len();
        for (index, &byte) in self.0.iter().enumerate() {
            // A guess that is too short is compared with something, and is wrong by its length.
            let other = guess.get(index).copied().unwrap_or(0);
            differs |= usize::from(black_box(byte ^ other));
        }
        black_box(differs) == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_matches() {
        let secret = Secret::new("s3cret\0").unwrap();
        assert!(secret.matches(b"s3cret\0"));
        for guess in [&b""[..], b"s3cret", b"s3cret\0\0", b"S3cret\0", b"s3creT\0", b"s3cret1"] {
            assert!(!secret.matches(guess), "{}", guess.escape_ascii());
        }
        assert_eq!(Secret::new(""), None);
        assert!(!format!("{secret:?}").contains("s3"));
    }
}
