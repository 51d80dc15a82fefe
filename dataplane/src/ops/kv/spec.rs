//! The op `kv` as a program's text has it.

use std::fmt;
use std::path::PathBuf;

use pfs_kv::{DurableSettings, Fsync, StoreSettings, valid_name};

use crate::ops::{Setting, SettingError};

/// `kv[:frame|:cheetah|:resp][,dir=PATH][,fsync=…][,memory=BYTES][,shards=N][,db=NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KvOp {
    /// How operations stand in a payload.
    pub grammar: KvGrammar,
    /// The store's folder; `None` for one in memory, which ends with the run.
    pub dir: Option<PathBuf>,
    /// When writes are on disk.
    pub fsync: KvSync,
    /// Memory for records and indexes, in bytes.
    pub memory: u64,
    /// Shards of the store, 1 to 1,024.
    pub shards: u32,
    /// The database written to.
    pub db: String,
}

/// How operations stand in a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KvGrammar {
    /// One binary frame: [`pfs_kv::frame`].
    #[default]
    Frame,
    /// Lines of [`pfs_kv::grammar`].
    Cheetah,
    /// Commands of [`pfs_kv::resp`].
    Resp,
}

/// When writes are on disk; [`Fsync`] that can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvSync {
    /// With each batch.
    Always,
    /// Together, by a thread of the store.
    Group {
        /// Longest wait in microseconds.
        max_us: u64,
        /// Most bytes that wait.
        max_bytes: u64,
    },
    /// When the kernel likes, and at the run's end.
    Never,
}

impl Default for KvSync {
    fn default() -> Self {
        Self::Group { max_us: 1000, max_bytes: 1 << 20 }
    }
}

impl From<KvSync> for Fsync {
    fn from(sync: KvSync) -> Self {
        match sync {
            KvSync::Always => Self::Always,
            KvSync::Group { max_us, max_bytes } => Self::Group { max_us, max_bytes },
            KvSync::Never => Self::Never,
        }
    }
}

impl KvOp {
    /// Memory where the program does not say.
    pub const MEMORY: u64 = 1 << 30;
    /// The settings.
    pub const SETTINGS: [Setting; 5] = [
        Setting { key: "dir", choices: "dir=PATH" },
        Setting { key: "fsync", choices: "fsync=always, fsync=group:US:BYTES, fsync=never" },
        Setting { key: "memory", choices: "memory=16MiB and more" },
        Setting { key: "shards", choices: "shards=1 to shards=1024" },
        Setting { key: "db", choices: "db=NAME of 1 to 64 letters, digits, `-`, `_`, inner `.`" },
    ];

    /// The op with all settings left out; `None` when no grammar has the name.
    #[must_use]
    pub fn new(grammar: Option<&str>) -> Option<Self> {
        let grammar = match grammar {
            None | Some("frame") => KvGrammar::Frame,
            Some("cheetah") => KvGrammar::Cheetah,
            Some("resp") => KvGrammar::Resp,
            Some(_) => return None,
        };
        Some(Self {
            grammar,
            dir: None,
            fsync: KvSync::default(),
            memory: Self::MEMORY,
            shards: 1,
            db: "default".to_owned(),
        })
    }

    pub(in crate::ops) fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find("kv", &Self::SETTINGS, key)?;
        let taken = match key {
            "dir" if !value.is_empty() => {
                self.dir = Some(value.into());
                true
            }
            "fsync" => fsync_of(value).map(|fsync| self.fsync = fsync).is_ok(),
            "memory" => {
                let bytes = bytes_of(value).ok().filter(|bytes| *bytes >= 16 << 20);
                bytes.map(|bytes| self.memory = bytes).is_some()
            }
            "shards" => {
                let shards = value.parse().ok().filter(|shards| (1..=1024).contains(shards));
                shards.map(|shards| self.shards = shards).is_some()
            }
            "db" if valid_name(value) => {
                value.clone_into(&mut self.db);
                true
            }
            _ => false,
        };
        if taken { Ok(()) } else { Err(setting.refuses("kv", value)) }
    }

    /// The store that it asks for.
    #[must_use]
    pub fn store(&self) -> StoreSettings {
        StoreSettings {
            shards: self.shards,
            memory_bytes: self.memory,
            folder: self.dir.clone(),
            durable: DurableSettings { fsync: self.fsync.into(), ..DurableSettings::default() },
        }
    }
}

/// Settings that are as they would be if left out are left out.
impl fmt::Display for KvOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.grammar {
            KvGrammar::Frame => "kv",
            KvGrammar::Cheetah => "kv:cheetah",
            KvGrammar::Resp => "kv:resp",
        })?;
        if let Some(dir) = &self.dir {
            write!(f, ",dir={}", dir.display())?;
        }
        match self.fsync {
            sync if sync == KvSync::default() => {}
            KvSync::Always => f.write_str(",fsync=always")?,
            KvSync::Never => f.write_str(",fsync=never")?,
            KvSync::Group { max_us, max_bytes } => write!(f, ",fsync=group:{max_us}:{max_bytes}")?,
        }
        if self.memory != Self::MEMORY {
            write!(f, ",memory={}", self.memory)?;
        }
        if self.shards != 1 {
            write!(f, ",shards={}", self.shards)?;
        }
        if self.db != "default" {
            write!(f, ",db={}", self.db)?;
        }
        Ok(())
    }
}

/// A number of bytes: `4096`, `64KiB`, `16MiB`, `4GiB`; `K`, `M` and `G` are the same.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn bytes_of(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => {
            let choices = "write a number and KiB, MiB, GiB or nothing";
            return Err(format!("`{unit}` is no unit; {choices}"));
        }
    };
    let number: u64 = number.parse().map_err(|error| format!("`{number}`: {error}"))?;
    let bytes = number.checked_mul(1 << shift).filter(|&bytes| bytes > 0);
    bytes.ok_or_else(|| "from 1 to 2^64 - 1 bytes".to_owned())
}

/// `always`, `never` or `group:US:BYTES`.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn fsync_of(text: &str) -> Result<KvSync, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["always"] => Ok(KvSync::Always),
        ["never"] => Ok(KvSync::Never),
        ["group", max_us, max_bytes] => {
            let most = 60_000_000;
            let max_us = max_us.parse().ok().filter(|us| (1..=most).contains(us));
            let max_us = max_us.ok_or_else(|| format!("microseconds are from 1 to {most}"))?;
            Ok(KvSync::Group { max_us, max_bytes: bytes_of(max_bytes)? })
        }
        _ => Err("write always, group:US:BYTES (e.g. group:1000:1MiB) or never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(bytes_of("1"), Ok(1));
        assert_eq!(bytes_of("64KiB"), Ok(65_536));
        assert_eq!(bytes_of("3G"), Ok(3 << 30));
        for bad in ["", "0", "GiB", "-1", "1.5G", "1kb", "99999999999999999999", "99999999999T"] {
            assert!(bytes_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sync_policies_are_read() {
        assert_eq!(fsync_of("always"), Ok(KvSync::Always));
        assert_eq!(fsync_of("never"), Ok(KvSync::Never));
        let group = KvSync::Group { max_us: 500, max_bytes: 65_536 };
        assert_eq!(fsync_of("group:500:64K"), Ok(group));
        for bad in ["", "group", "group:1", "group:0:1", "group:x:1", "group:1:0", "always:1"] {
            assert!(fsync_of(bad).is_err(), "{bad}");
        }
    }
}
