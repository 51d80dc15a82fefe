//! The op `pvrt` as a program's text has it.

use std::fmt;
use std::path::PathBuf;

use pfs_pvrt::wire::LaneSettings;

use crate::ops::kv::bytes_of;
use crate::ops::{Setting, SettingError};

/// `pvrt[:DIR][,partials=N][,memory=BYTES][,idle_ms=N]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PvrtOp {
    /// Folder that describes the transfers; `None` for those that this process registers.
    pub dir: Option<PathBuf>,
    /// Most windows half arrived that a worker keeps, 8 to 1,048,576.
    pub partials: u32,
    /// Most bytes of bodies half arrived that a worker keeps, 8 MiB and more.
    pub memory: u64,
    /// Milliseconds without a fragment after which a window half arrived is given up, 1 to 3,600,000.
    pub idle_ms: u32,
}

impl PvrtOp {
    /// Windows half arrived where the program does not say.
    pub const PARTIALS: u32 = 4096;
    /// Memory where the program does not say.
    pub const MEMORY: u64 = 64 << 20;
    /// Patience where the program does not say.
    pub const IDLE_MS: u32 = 5000;
    /// The settings.
    pub const SETTINGS: [Setting; 3] = [
        Setting { key: "partials", choices: "partials=8 to partials=1048576" },
        Setting { key: "memory", choices: "memory=8MiB and more" },
        Setting { key: "idle_ms", choices: "idle_ms=1 to idle_ms=3600000" },
    ];

    /// The op with all settings left out; `None` when the folder's name is empty.
    #[must_use]
    pub fn new(dir: Option<&str>) -> Option<Self> {
        (dir != Some("")).then(|| Self {
            dir: dir.map(PathBuf::from),
            partials: Self::PARTIALS,
            memory: Self::MEMORY,
            idle_ms: Self::IDLE_MS,
        })
    }

    pub(in crate::ops) fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find("pvrt", &Self::SETTINGS, key)?;
        let number = |least: u32, most: u32| {
            value.parse().ok().filter(|number| (least..=most).contains(number))
        };
        let taken = match key {
            "partials" => number(8, 1 << 20).map(|partials| self.partials = partials),
            "idle_ms" => number(1, 3_600_000).map(|idle_ms| self.idle_ms = idle_ms),
            _ => {
                let bytes = bytes_of(value).ok().filter(|bytes| *bytes >= 8 << 20);
                bytes.map(|bytes| self.memory = bytes)
            }
        };
        taken.ok_or_else(|| setting.refuses("pvrt", value))
    }

    /// What a worker may keep.
    #[must_use]
    pub fn lane(&self) -> LaneSettings {
        LaneSettings {
            partials: self.partials as usize,
            buffer_bytes: usize::try_from(self.memory).unwrap_or(usize::MAX),
        }
    }
}

/// Settings that are as they would be if left out are left out.
impl fmt::Display for PvrtOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pvrt")?;
        if let Some(dir) = &self.dir {
            write!(f, ":{}", dir.display())?;
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
