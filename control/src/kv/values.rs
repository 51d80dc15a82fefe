//! Values of flags: sizes, sync policies, addresses, places of passwords.

use std::fs;
use std::net::SocketAddr;
use std::str::FromStr;

use pfs_dataplane::ops::kv::fsync_of;
use pfs_kv::Fsync;
use pfs_kv::servers::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Longest password file that is read.
const SECRET_MAX: usize = 64 << 10;

/// An address to listen on, or `none`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen(pub(crate) Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let address = text.parse::<SocketAddr>();
        address.map(|address| Self(Some(address))).map_err(|error| {
            format!("{error}; write ADDRESS:PORT, e.g. 127.0.0.1:6379 or [::1]:0, or none")
        })
    }
}

/// Where a password is. It is never an argument itself: those are shown to every user of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum SecretFrom {
    /// The first line of a file.
    File(std::path::PathBuf),
    /// A variable of the environment.
    Variable(String),
}

impl FromStr for SecretFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Variable(name.to_owned())),
            // The text may be the password itself, so it is not repeated.
            _ => Err("write file:PATH or env:NAME; a password in an argument could be read by every user of this host".to_owned()),
        }
    }
}

impl TryFrom<String> for SecretFrom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SecretFrom> for String {
    fn from(from: SecretFrom) -> Self {
        match from {
            SecretFrom::File(path) => format!("file:{}", path.display()),
            SecretFrom::Variable(name) => format!("env:{name}"),
        }
    }
}

impl SecretFrom {
    /// The password's bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is empty.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Failure> {
        use std::os::unix::ffi::OsStringExt;
        let (password, place) = match self {
            Self::File(path) => {
                let fail = |error| {
                    Failure::failed(format!(
                        "reading the password from {}: {error}",
                        path.display()
                    ))
                };
                let mut text = fs::read(path).map_err(fail)?;
                if text.last() == Some(&b'\n') {
                    text.pop();
                    if text.last() == Some(&b'\r') {
                        text.pop();
                    }
                }
                (text, path.display().to_string())
            }
            Self::Variable(name) => {
                let value = std::env::var_os(name).unwrap_or_default();
                (value.into_vec(), format!("the variable {name}"))
            }
        };
        match password.len() {
            0 => Err(Failure::failed(format!("{place} holds no password"))),
            len if len > SECRET_MAX => Err(Failure::failed(format!(
                "{place} holds {len} bytes; a password has at most {SECRET_MAX}"
            ))),
            _ => Ok(password),
        }
    }

    /// The password, for a server.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn secret(&self) -> Result<Option<Secret>, Failure> {
        Ok(Secret::new(self.read()?))
    }
}

/// When writes are synced, as the op `kv` has it.
///
/// # Errors
/// What is wrong, in one sentence.
pub(crate) fn fsync(text: &str) -> Result<Fsync, String> {
    fsync_of(text).map(Fsync::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_argument() {
        let told = "hunter2".parse::<SecretFrom>().unwrap_err();
        assert!(told.contains("env:NAME") && !told.contains("hunter2"));
        assert!("file:".parse::<SecretFrom>().is_err());
        assert!("127.0.0.1".parse::<Listen>().unwrap_err().contains("ADDRESS:PORT"));
    }
}
