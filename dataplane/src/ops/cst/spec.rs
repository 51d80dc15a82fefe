//! The op `cst` as a program's text has it.

use std::fmt;
use std::path::PathBuf;

use crate::ops::kv::bytes_of;
use crate::ops::{Setting, SettingError};

/// `cst[:LANG][,mode=packet|flow|pieces][,dir=PATH][,max_bytes=BYTES][,flows=N][,idle_s=N][,memory=BYTES][,parse_ms=N]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CstOp {
    /// Language of all files; `None` to tell each by its name and content.
    pub lang: Option<String>,
    /// What a file is.
    pub mode: CstMode,
    /// Folder of the collection that trees are kept in; `None` to keep none.
    pub dir: Option<PathBuf>,
    /// Longest file, 1 to 1 GiB.
    pub max_bytes: u64,
    /// Most files that a worker keeps half arrived, 1 to 4,194,304.
    pub flows: u32,
    /// Seconds without a packet after which a file half arrived is given up, 1 to 86,400.
    pub idle_s: u32,
    /// Most bytes of files half arrived that a worker keeps, 1 MiB and more.
    pub memory: u64,
    /// Most milliseconds that one file is parsed, 1 to 60,000: as long a worker may be held.
    pub parse_ms: u32,
}

/// What the op takes for one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CstMode {
    /// Each payload by itself.
    #[default]
    Packet,
    /// The payloads of one direction of a flow, one behind the other.
    Flow,
    /// Pieces with a header that says of which file and where, see [`Piece`](super::Piece).
    Pieces,
}

impl CstMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Flow => "flow",
            Self::Pieces => "pieces",
        }
    }
}

impl CstOp {
    /// Longest file where the program does not say.
    pub const MAX_BYTES: u64 = 4 << 20;
    /// Files half arrived where the program does not say.
    pub const FLOWS: u32 = 4096;
    /// Patience where the program does not say.
    pub const IDLE_S: u32 = 30;
    /// Memory where the program does not say.
    pub const MEMORY: u64 = 64 << 20;
    /// Time for a parse where the program does not say.
    pub const PARSE_MS: u32 = 500;
    /// The settings.
    pub const SETTINGS: [Setting; 7] = [
        Setting { key: "mode", choices: "mode=packet, mode=flow, mode=pieces" },
        Setting { key: "dir", choices: "dir=PATH" },
        Setting { key: "max_bytes", choices: "max_bytes=1 to max_bytes=1GiB" },
        Setting { key: "flows", choices: "flows=1 to flows=4194304" },
        Setting { key: "idle_s", choices: "idle_s=1 to idle_s=86400" },
        Setting { key: "memory", choices: "memory=1MiB and more" },
        Setting { key: "parse_ms", choices: "parse_ms=1 to parse_ms=60000" },
    ];

    /// The op with all settings left out; `None` when the language's name is empty.
    #[must_use]
    pub fn new(lang: Option<&str>) -> Option<Self> {
        (lang != Some("")).then(|| Self {
            lang: lang.map(str::to_owned),
            mode: CstMode::default(),
            dir: None,
            max_bytes: Self::MAX_BYTES,
            flows: Self::FLOWS,
            idle_s: Self::IDLE_S,
            memory: Self::MEMORY,
            parse_ms: Self::PARSE_MS,
        })
    }

    pub(in crate::ops) fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find("cst", &Self::SETTINGS, key)?;
        let number = |most: u32| value.parse().ok().filter(|number| (1..=most).contains(number));
        let bytes = |least: u64, most: u64| {
            bytes_of(value).ok().filter(|bytes| (least..=most).contains(bytes))
        };
        let modes = [CstMode::Packet, CstMode::Flow, CstMode::Pieces];
        let taken = match key {
            "mode" => {
                modes.into_iter().find(|mode| mode.name() == value).map(|mode| self.mode = mode)
            }
            "dir" => (!value.is_empty()).then(|| self.dir = Some(PathBuf::from(value))),
            "max_bytes" => bytes(1, 1 << 30).map(|bytes| self.max_bytes = bytes),
            "flows" => number(1 << 22).map(|flows| self.flows = flows),
            "idle_s" => number(86_400).map(|seconds| self.idle_s = seconds),
            "memory" => bytes(1 << 20, u64::MAX).map(|bytes| self.memory = bytes),
            _ => number(60_000).map(|millis| self.parse_ms = millis),
        };
        taken.ok_or_else(|| setting.refuses("cst", value))
    }
}

/// Settings that are as they would be if left out are left out.
impl fmt::Display for CstOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cst")?;
        if let Some(lang) = &self.lang {
            write!(f, ":{lang}")?;
        }
        if self.mode != CstMode::default() {
            write!(f, ",mode={}", self.mode.name())?;
        }
        if let Some(dir) = &self.dir {
            write!(f, ",dir={}", dir.display())?;
        }
        let numbers = [
            ("max_bytes", self.max_bytes, Self::MAX_BYTES),
            ("flows", self.flows.into(), Self::FLOWS.into()),
            ("idle_s", self.idle_s.into(), Self::IDLE_S.into()),
            ("memory", self.memory, Self::MEMORY),
            ("parse_ms", self.parse_ms.into(), Self::PARSE_MS.into()),
        ];
        for (key, value, usual) in numbers {
            if value != usual {
                write!(f, ",{key}={value}")?;
            }
        }
        Ok(())
    }
}
