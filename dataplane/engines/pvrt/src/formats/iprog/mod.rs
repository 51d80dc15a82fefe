//! IPROG, PacketFS's programs as JSON: small files, and for reading by people. Files of any size
//! are better kept in [`super::binary`].
//!
//! `{type: "iprog", version: 1, file, size, sha256, window_size, blob: {name, size, seed}, windows:
//! [{idx, bref: [[offset, length, flags], …], proto?, hash16, len, pvrt?}, …], done: {sha256,
//! total_windows}, metrics: {} | {pvrt_total, tx_ratio}, policy?: {mode}}`. `proto` and `pvrt` are
//! base64; `hash16` is the first half of the window's SHA-256, in hexadecimal; `flags` are those of
//! [`Bref`].
//!
//! Of our own are `profile` and `layout` in `blob`, without which two blobs of one name silently
//! differ; the original's reader passes over them. `proto` holds each byte of the window and is
//! neither written nor used.

mod convert;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::FormatError;
use super::json::{self, unbase64, unhex};
use super::pox1::Bref;
use crate::program::{Identity, Profile};
use crate::rebuild::{Head, WINDOW_MAX, hex};

pub use convert::IprogError;

const FORMAT: &str = "IPROG";

/// A program as IPROG holds it, its parts consistent with each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Iprog {
    /// Name, size, SHA-256, window bytes and blob.
    pub head: Head,
    /// All windows, in order.
    pub windows: Vec<IprogWindow>,
    /// Bytes of all windows as containers, where told.
    pub pvrt_total: Option<u64>,
    /// Those by the bytes of the file, where told.
    pub tx_ratio: Option<f64>,
    /// What the mount was told about storing, where told.
    pub policy: Option<String>,
}

/// A window as IPROG holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IprogWindow {
    /// References.
    pub brefs: Vec<Bref>,
    /// Packed references.
    pub proto: Option<Vec<u8>>,
    /// First half of its SHA-256.
    pub hash16: [u8; 16],
    /// Its container.
    pub pvrt: Option<Vec<u8>>,
}

/// First half of a window's SHA-256.
#[must_use]
pub fn hash16(window: &[u8]) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::digest(window).into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    file: String,
    size: u64,
    sha256: String,
    window_size: u32,
    blob: DocumentBlob,
    windows: Vec<DocumentWindow>,
    done: Done,
    metrics: Metrics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentBlob {
    name: String,
    size: u64,
    seed: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<u16>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentWindow {
    idx: u64,
    bref: Vec<(u64, u32, u8)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proto: Option<String>,
    hash16: String,
    len: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pvrt: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    sha256: String,
    total_windows: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metrics {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pvrt_total: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tx_ratio: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    mode: String,
}

impl Iprog {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When they are no such document, or its parts contradict each other.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let document: Document = json::read(FORMAT, bytes)?;
        document.check()?;
        let head = document.head()?;
        let windows = document.windows.iter().enumerate();
        let windows = windows
            .map(|(at, window)| window.read(at as u64, &head))
            .collect::<Result<Vec<_>, _>>()?;
        let Metrics { pvrt_total, tx_ratio } = document.metrics;
        let policy = document.policy.map(|policy| policy.mode);
        Ok(Self { head, windows, pvrt_total, tx_ratio, policy })
    }

    /// The document, indented by nothing.
    ///
    /// # Errors
    /// When the head has no SHA-256 or no blob.
    pub fn write(&self) -> Result<Vec<u8>, FormatError> {
        let missing = |what| json::wrong(FORMAT, format!("{what} is not known"));
        let sha256 = hex(&self.head.sha256.ok_or_else(|| missing("the SHA-256"))?);
        let blob = self.head.blob.as_ref().ok_or_else(|| missing("the blob"))?;
        let windows = self.windows.iter().zip(0..);
        let document = Document {
            kind: "iprog".to_owned(),
            version: 1,
            file: self.head.file.clone(),
            size: self.head.size,
            sha256: sha256.clone(),
            window_size: self.head.window_bytes,
            blob: DocumentBlob::of(blob),
            windows: windows
                .map(|(window, idx)| window.document(idx, self.head.window_len(idx)))
                .collect(),
            done: Done { sha256, total_windows: self.windows.len() as u64 },
            metrics: Metrics { pvrt_total: self.pvrt_total, tx_ratio: self.tx_ratio },
            policy: self.policy.clone().map(|mode| Policy { mode }),
        };
        serde_json::to_vec(&document).map_err(|error| json::wrong(FORMAT, error.to_string()))
    }
}

impl Document {
    fn check(&self) -> Result<(), FormatError> {
        let wrong = |what: String| Err(json::wrong(FORMAT, what));
        if self.kind != "iprog" {
            return wrong(format!("type is {:?}, \"iprog\" was to be", self.kind));
        }
        if self.version != 1 {
            return wrong(format!("version {} is not known", self.version));
        }
        if self.window_size == 0 || self.window_size > WINDOW_MAX {
            let size = self.window_size;
            return wrong(format!("window_size is {size}, 1 to {WINDOW_MAX} is possible"));
        }
        let windows = self.size.div_ceil(self.window_size.into());
        if windows != self.windows.len() as u64 || windows != self.done.total_windows {
            let (have, total) = (self.windows.len(), self.done.total_windows);
            return wrong(format!(
                "size asks for {windows} windows, {have} are there, done.total_windows is {total}"
            ));
        }
        if self.done.sha256 != self.sha256 {
            return wrong("done.sha256 is not sha256".to_owned());
        }
        Ok(())
    }

    fn head(&self) -> Result<Head, FormatError> {
        let sha256 = unhex(&self.sha256)
            .ok_or_else(|| json::wrong(FORMAT, "sha256 is not of 64 hexadecimal digits"))?;
        Ok(Head {
            file: self.file.clone(),
            size: self.size,
            sha256: Some(sha256),
            window_bytes: self.window_size,
            blob: Some(self.blob.identity()?),
        })
    }
}

impl DocumentBlob {
    fn of(blob: &Identity) -> Self {
        Self {
            name: blob.name.clone(),
            size: blob.size,
            seed: blob.seed,
            profile: Some(blob.profile.name().to_owned()),
            layout: Some(blob.layout),
        }
    }

    fn identity(&self) -> Result<Identity, FormatError> {
        let profile = match self.profile.as_deref() {
            None | Some("prand") => Profile::Prand,
            Some("palette") => Profile::Palette,
            Some("orchard") => Profile::Orchard,
            Some(other) => {
                return Err(json::wrong(FORMAT, format!("blob.profile {other:?} is not known")));
            }
        };
        let usual = Identity::new(&self.name, profile, self.size, self.seed);
        Ok(Identity { layout: self.layout.unwrap_or(usual.layout), ..usual })
    }
}

impl DocumentWindow {
    fn read(&self, at: u64, head: &Head) -> Result<IprogWindow, FormatError> {
        let wrong = |what: String| json::wrong(FORMAT, format!("windows[{at}].{what}"));
        if self.idx != at {
            return Err(wrong(format!("idx is {}: windows come in order", self.idx)));
        }
        let want = head.window_len(at);
        if self.len as usize != want {
            return Err(wrong(format!("len is {}, by size it is {want}", self.len)));
        }
        let bytes = |field: &Option<String>, name: &str| match field {
            None => Ok(None),
            Some(text) => {
                unbase64(text).map(Some).ok_or_else(|| wrong(format!("{name}: no base64")))
            }
        };
        let hash16 = unhex(&self.hash16);
        let hash16 = hash16.ok_or_else(|| wrong("hash16 is not of 32 digits".to_owned()))?;
        let bref = |&(offset, len, flags): &(u64, u32, u8)| Bref { offset, len, flags };
        Ok(IprogWindow {
            brefs: self.bref.iter().map(bref).collect(),
            proto: bytes(&self.proto, "proto")?,
            hash16,
            pvrt: bytes(&self.pvrt, "pvrt")?,
        })
    }
}

impl IprogWindow {
    fn document(&self, idx: u64, len: usize) -> DocumentWindow {
        DocumentWindow {
            idx,
            bref: self.brefs.iter().map(|bref| (bref.offset, bref.len, bref.flags)).collect(),
            proto: self.proto.as_deref().map(json::base64),
            hash16: hex(&self.hash16),
            len: len as u32,
            pvrt: self.pvrt.as_deref().map(json::base64),
        }
    }
}
