//! The op `vec` as a program's text has it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use pfs_vec::frame::{AssemblyLimits, MESSAGE_MAX};
use pfs_vec::wal::Fsync;

use crate::ops::kv::{KvSync, bytes_of, fsync_of};
use crate::ops::{Setting, SettingError};

/// `vec:DIR[,fsync=…][,partials=N][,memory=BYTES][,idle_ms=N]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VecOp {
    /// A collection's folder, or one whose folders are collections.
    pub dir: PathBuf,
    /// When writes are on disk.
    pub fsync: KvSync,
    /// Most messages half arrived that a worker keeps, 1 to 1,048,576.
    pub partials: u32,
    /// Most bytes of messages half arrived that a worker keeps, 1 MiB and more.
    pub memory: u64,
    /// Milliseconds without a part after which a message is given up, 1 to 3,600,000.
    pub idle_ms: u32,
}

impl VecOp {
    /// When writes are on disk where the program does not say.
    pub const FSYNC: KvSync = KvSync::Group { max_us: 2000, max_bytes: 256 << 10 };
    /// Messages half arrived where the program does not say.
    pub const PARTIALS: u32 = 4096;
    /// Memory where the program does not say.
    pub const MEMORY: u64 = 64 << 20;
    /// Patience where the program does not say.
    pub const IDLE_MS: u32 = 5000;
    /// The settings.
    pub const SETTINGS: [Setting; 4] = [
        Setting { key: "fsync", choices: "fsync=always, fsync=group:US:BYTES, fsync=never" },
        Setting { key: "partials", choices: "partials=1 to partials=1048576" },
        Setting { key: "memory", choices: "memory=1MiB and more" },
        Setting { key: "idle_ms", choices: "idle_ms=1 to idle_ms=3600000" },
    ];

    /// The op with all settings left out; `None` without a folder.
    #[must_use]
    pub fn new(dir: Option<&str>) -> Option<Self> {
        dir.filter(|dir| !dir.is_empty()).map(|dir| Self {
            dir: dir.into(),
            fsync: Self::FSYNC,
            partials: Self::PARTIALS,
            memory: Self::MEMORY,
            idle_ms: Self::IDLE_MS,
        })
    }

    pub(in crate::ops) fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find("vec", &Self::SETTINGS, key)?;
        let number = |most: u32| value.parse().ok().filter(|number| (1..=most).contains(number));
        let taken = match key {
            "fsync" => fsync_of(value).ok().map(|fsync| self.fsync = fsync),
            "partials" => number(1 << 20).map(|partials| self.partials = partials),
            "idle_ms" => number(3_600_000).map(|idle_ms| self.idle_ms = idle_ms),
            _ => {
                let bytes = bytes_of(value).ok().filter(|bytes| *bytes >= MESSAGE_MAX as u64);
                bytes.map(|bytes| self.memory = bytes)
            }
        };
        taken.ok_or_else(|| setting.refuses("vec", value))
    }

    /// What a worker may keep of messages half arrived.
    #[must_use]
    pub fn limits(&self) -> AssemblyLimits {
        AssemblyLimits {
            partials: self.partials as usize,
            bytes: usize::try_from(self.memory).unwrap_or(usize::MAX),
            idle_ns: u64::from(self.idle_ms) * 1_000_000,
        }
    }

    /// The same policy in the collection's words.
    #[must_use]
    pub fn sync(&self) -> Fsync {
        match self.fsync {
            KvSync::Always => Fsync::Always,
            KvSync::Never => Fsync::Never,
            KvSync::Group { max_us, max_bytes } => Fsync::Group {
                max_wait: Duration::from_micros(max_us),
                max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            },
        }
    }
}

/// Settings that are as they would be if left out are left out.
impl fmt::Display for VecOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vec:{}", self.dir.display())?;
        match self.fsync {
            sync if sync == Self::FSYNC => {}
            KvSync::Always => f.write_str(",fsync=always")?,
            KvSync::Never => f.write_str(",fsync=never")?,
            KvSync::Group { max_us, max_bytes } => write!(f, ",fsync=group:{max_us}:{max_bytes}")?,
        }
        if self.partials != Self::PARTIALS {
            write!(f, ",partials={}", self.partials)?;
        }
        if self.memory != Self::MEMORY {
            write!(f, ",memory={}", self.memory)?;
        }
        if self.idle_ms != Self::IDLE_MS {
            write!(f, ",idle_ms={}", self.idle_ms)?;
        }
        Ok(())
    }
}
