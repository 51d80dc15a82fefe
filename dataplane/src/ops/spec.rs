//! Engine ops as a program's text has them.

use std::fmt;

use thiserror::Error;

use super::cst::CstOp;
use super::kv::KvOp;
use super::pvrt::PvrtOp;
use super::vec::VecOp;

/// An op that an engine does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineOp {
    /// Token ids of the payload.
    Token(TokenOp),
    /// Key/value operations in the payload.
    Kv(KvOp),
    /// Files put together from frames in the payload.
    Pvrt(PvrtOp),
    /// Syntax trees of source files in the payload.
    Cst(CstOp),
    /// Records with vectors.
    Vec(VecOp),
}

/// `token:VOCAB[,mode=packet|flow][,flows=N][,idle_s=N][,special=text|allow]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenOp {
    /// A shipped vocabulary's name, or the path of a vocabulary file.
    pub vocab: String,
    /// What a text is.
    pub mode: TokenMode,
    /// Most streams that a worker keeps at a time, 1 to 4,194,304; `mode=flow` only.
    pub flows: u32,
    /// Seconds without payload after which a stream ends, 1 to 86,400; `mode=flow` only.
    pub idle_s: u32,
    /// What the text of a special token in payload becomes.
    pub special: Special,
}

/// What the op takes for one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenMode {
    /// Each payload by itself.
    #[default]
    Packet,
    /// The payloads of one direction of a flow, one behind the other.
    Flow,
}

/// What becomes of special tokens' text in payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Special {
    /// Ordinary tokens: whoever sends packets cannot forge a special token.
    #[default]
    Text,
    /// The special token's id.
    Allow,
}

/// One `key=value` that an op takes.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// What its value may be.
    pub choices: &'static str,
}

/// Why an op does not take a `key=value`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    /// No such key.
    #[error("{op} has no setting {key:?}; it takes {choices}")]
    Unknown {
        /// The op's name.
        op: &'static str,
        /// The key given.
        key: String,
        /// Those that there are.
        choices: String,
    },
    /// The key exists and does not take this value.
    #[error("{op} does not take {key}={value}; it takes {choices}")]
    Value {
        /// The op's name.
        op: &'static str,
        /// The key given.
        key: &'static str,
        /// The value given.
        value: String,
        /// What it may be.
        choices: String,
    },
}

impl Setting {
    /// The one called `key` among `all`, which are those of `op`.
    pub(super) fn find<'s>(
        op: &'static str,
        all: &'s [Self],
        key: &str,
    ) -> Result<&'s Self, SettingError> {
        all.iter().find(|setting| setting.key == key).ok_or_else(|| {
            let choices: Vec<&str> = all.iter().map(|setting| setting.choices).collect();
            SettingError::Unknown { op, key: key.into(), choices: choices.join("; ") }
        })
    }

    /// That `op` does not take `value` for it.
    pub(super) fn refuses(&self, op: &'static str, value: &str) -> SettingError {
        let (value, choices) = (value.into(), self.choices.into());
        SettingError::Value { op, key: self.key, value, choices }
    }
}

impl EngineOp {
    /// The engine op called `name` with the argument behind its colon; `None` when no engine op
    /// has the name, or this one needs an argument and has none.
    #[must_use]
    pub fn named(name: &str, arg: Option<&str>) -> Option<Self> {
        match (name, arg) {
            ("token", Some(vocab)) if !vocab.is_empty() => Some(Self::Token(TokenOp::new(vocab))),
            ("kv", grammar) => KvOp::new(grammar).map(Self::Kv),
            ("pvrt", folder) => PvrtOp::new(folder).map(Self::Pvrt),
            ("cst", lang) => CstOp::new(lang).map(Self::Cst),
            ("vec", folder) => VecOp::new(folder).map(Self::Vec),
            _ => None,
        }
    }

    /// Names of its results, which fill as many accumulators.
    #[must_use]
    pub const fn results(&self) -> &'static [&'static str] {
        match self {
            Self::Token(_) => &["tokens", "digest"],
            Self::Kv(_) => &["done", "failed", "digest"],
            Self::Pvrt(_) => &["bytes", "windows", "digest"],
            Self::Cst(_) => &["files", "nodes", "digest"],
            Self::Vec(_) => &["stored", "failed", "digest"],
        }
    }

    /// The database that it writes to, of an op that has one.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::Token(_) | Self::Pvrt(_) | Self::Cst(_) | Self::Vec(_) => None,
            Self::Kv(op) => Some(&op.db),
        }
    }

    /// Whether it has token ids for a sink.
    #[must_use]
    pub const fn gives_ids(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// Whether it has answers for a reply sink.
    #[must_use]
    pub const fn gives_replies(&self) -> bool {
        matches!(self, Self::Kv(_) | Self::Vec(_))
    }

    /// Takes the setting `key=value`, over an earlier one.
    ///
    /// # Errors
    /// [`SettingError`], with what there is to choose from.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        match self {
            Self::Token(op) => op.set(key, value),
            Self::Kv(op) => op.set(key, value),
            Self::Pvrt(op) => op.set(key, value),
            Self::Cst(op) => op.set(key, value),
            Self::Vec(op) => op.set(key, value),
        }
    }
}

impl TokenOp {
    /// Streams that a worker keeps where the program does not say.
    pub const FLOWS: u32 = 16_384;
    /// Seconds after which an idle stream ends where the program does not say.
    pub const IDLE_S: u32 = 60;
    /// The settings.
    pub const SETTINGS: [Setting; 4] = [
        Setting { key: "mode", choices: "mode=packet, mode=flow" },
        Setting { key: "flows", choices: "flows=1 to flows=4194304" },
        Setting { key: "idle_s", choices: "idle_s=1 to idle_s=86400" },
        Setting { key: "special", choices: "special=text, special=allow" },
    ];

    /// The op with all settings left out.
    #[must_use]
    pub fn new(vocab: impl Into<String>) -> Self {
        Self {
            vocab: vocab.into(),
            mode: TokenMode::default(),
            flows: Self::FLOWS,
            idle_s: Self::IDLE_S,
            special: Special::default(),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let setting = Setting::find("token", &Self::SETTINGS, key)?;
        let number = |most: u32| value.parse().ok().filter(|n| (1..=most).contains(n));
        match (key, value, number(1 << 22), number(86_400)) {
            ("mode", "packet", ..) => self.mode = TokenMode::Packet,
            ("mode", "flow", ..) => self.mode = TokenMode::Flow,
            ("special", "text", ..) => self.special = Special::Text,
            ("special", "allow", ..) => self.special = Special::Allow,
            ("flows", _, Some(flows), _) => self.flows = flows,
            ("idle_s", _, _, Some(seconds)) => self.idle_s = seconds,
            _ => return Err(setting.refuses("token", value)),
        }
        Ok(())
    }
}

impl fmt::Display for EngineOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(op) => op.fmt(f),
            Self::Kv(op) => op.fmt(f),
            Self::Pvrt(op) => op.fmt(f),
            Self::Cst(op) => op.fmt(f),
            Self::Vec(op) => op.fmt(f),
        }
    }
}

/// Settings that are as they would be if left out are left out.
impl fmt::Display for TokenOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token:{}", self.vocab)?;
        if self.mode == TokenMode::Flow {
            f.write_str(",mode=flow")?;
        }
        if self.flows != Self::FLOWS {
            write!(f, ",flows={}", self.flows)?;
        }
        if self.idle_s != Self::IDLE_S {
            write!(f, ",idle_s={}", self.idle_s)?;
        }
        if self.special == Special::Allow {
            f.write_str(",special=allow")?;
        }
        Ok(())
    }
}
