//! Programs: a list of ops, written as text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::op::{Basis, OPS, Op, Scope};
use crate::ops::{EngineOp, SettingError};

/// Accumulators that a program can fill: R0..R3.
pub const ACCUMULATORS: usize = 4;

/// Most ops in one program.
pub const MAX_OPS: usize = 32;

/// A checked list of ops: at least one, at most [`MAX_OPS`], with at most [`ACCUMULATORS`]
/// of them filling an accumulator and at most one `hist8`.
///
/// Its text is `op[:arg][,key=value...][,op[:arg]...]`; [`fmt::Display`] writes what
/// [`Program::parse`] reads. An item whose first `=` comes before any `:` is a setting and binds
/// to the op before it; every other item is an op. Spaces around items are allowed, immediates
/// are decimal or `0x` hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    ops: Vec<Op>,
}

/// Why a text is not a program. `column` counts bytes of the text from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("program column {column}: {cause}; ops: {}", list_ops())]
pub struct ProgramError {
    /// Where, in bytes from 1.
    pub column: usize,
    /// What is wrong there.
    pub cause: ProgramErrorCause,
}

/// What is wrong with a program's text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgramErrorCause {
    /// Nothing where an op should be.
    #[error("an op is missing")]
    Missing,
    /// No op has this name.
    #[error("unknown op {0:?}")]
    UnknownOp(String),
    /// The op exists and does not take this argument.
    #[error("{op} does not take {arg:?}")]
    BadArgument {
        /// The op's name.
        op: String,
        /// The text after the colon.
        arg: String,
    },
    /// The op needs an immediate and none follows.
    #[error("{0} needs an immediate: {0}:0 to {0}:255")]
    NoImmediate(String),
    /// The immediate is not a byte.
    #[error("{op}:{arg} is not a byte: write 0 to 255, or 0x0 to 0xff")]
    NotAByte {
        /// The op's name.
        op: String,
        /// The text after the colon.
        arg: String,
    },
    /// A fifth op that fills an accumulator.
    #[error("{0} would need a fifth accumulator: a program has R0 to R3")]
    NoAccumulator(String),
    /// A second histogram.
    #[error("a second hist8: a program has one histogram")]
    SecondHistogram,
    /// A setting with no op before it.
    #[error("{0} follows no op: a setting stands behind the op that it is for")]
    LooseSetting(String),
    /// A setting behind an op that takes none.
    #[error("{op} takes no settings, and so not {setting}")]
    NoSettings {
        /// The op before it.
        op: String,
        /// The setting.
        setting: String,
    },
    /// A setting that its op does not take.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An engine op without the argument that it needs.
    #[error("{0} needs an argument: {0}{args}", args = arguments_of(.0))]
    NoArgument(String),
    /// More than [`MAX_OPS`].
    #[error("more than {MAX_OPS} ops")]
    TooLong,
}

fn list_ops() -> String {
    OPS.map(|info| format!("{}{}", info.name, info.args)).join(", ")
}

impl Program {
    /// Reads a program's text.
    ///
    /// # Errors
    /// [`ProgramError`] at the first thing that is wrong, with its column.
    pub fn parse(text: &str) -> Result<Self, ProgramError> {
        let mut ops = Vec::new();
        let mut at = 0;
        for part in text.split(',') {
            let item = part.trim();
            let column = at + (part.len() - part.trim_start().len()) + 1;
            match setting(item) {
                Some((key, value)) => set(ops.last_mut(), item, key, value),
                None => {
                    ops.push(parse_op(item, column)?);
                    check(&ops)
                }
            }
            .map_err(|cause| ProgramError { column, cause })?;
            at += part.len() + 1;
        }
        Ok(Self { ops })
    }

    /// A program of `ops`; what `parse` checks of the whole is checked here too.
    ///
    /// # Errors
    /// What is wrong; `column` is that of the offending op in the program's text.
    pub fn from_ops(ops: &[Op]) -> Result<Self, ProgramError> {
        let mut column = 1;
        for upto in 0..ops.len() {
            check(&ops[..=upto]).map_err(|cause| ProgramError { column, cause })?;
            column += ops[upto].to_string().len() + 1;
        }
        if ops.is_empty() {
            return Err(ProgramError { column, cause: ProgramErrorCause::Missing });
        }
        Ok(Self { ops: ops.to_vec() })
    }

    /// For the optimizer, whose rewrites keep or lower every count that `check` bounds; it may
    /// leave no op at all.
    pub(super) const fn from_rewritten(ops: Vec<Op>) -> Self {
        Self { ops }
    }

    /// The ops in order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// What R0..R3 hold, in that order: see [`Op::labels`].
    pub fn accumulators(&self) -> impl Iterator<Item = String> + '_ {
        self.ops.iter().flat_map(Op::labels)
    }

    /// The ops that engines do, in order.
    pub fn engines(&self) -> impl Iterator<Item = &EngineOp> + '_ {
        self.ops.iter().filter_map(|op| if let Op::Engine(op) = op { Some(op) } else { None })
    }

    /// Whether any op changes payload bytes.
    #[must_use]
    pub fn transforms(&self) -> bool {
        self.ops.iter().any(Op::is_transform)
    }
}

/// Checks the last of `ops` against those before it.
fn check(ops: &[Op]) -> Result<(), ProgramErrorCause> {
    let Some(last) = ops.last() else { return Ok(()) };
    if ops.len() > MAX_OPS {
        return Err(ProgramErrorCause::TooLong);
    }
    if ops.iter().map(Op::accumulators).sum::<usize>() > ACCUMULATORS {
        return Err(ProgramErrorCause::NoAccumulator(last.to_string()));
    }
    if let Op::Engine(EngineOp::Token(op)) = last
        && (op.vocab.contains(',') || op.vocab.trim() != op.vocab || op.vocab.is_empty())
    {
        let arg = op.vocab.clone();
        return Err(ProgramErrorCause::BadArgument { op: "token".into(), arg });
    }
    if ops.iter().filter(|op| matches!(op, Op::Hist8)).count() > 1 {
        return Err(ProgramErrorCause::SecondHistogram);
    }
    Ok(())
}

/// Key and value of an item that is a setting.
fn setting(item: &str) -> Option<(&str, &str)> {
    item.split_once('=').filter(|(key, _)| !key.contains(':'))
}

/// Gives the setting `item` to the op before it.
fn set(op: Option<&mut Op>, item: &str, key: &str, value: &str) -> Result<(), ProgramErrorCause> {
    match op {
        None => Err(ProgramErrorCause::LooseSetting(item.into())),
        Some(Op::Engine(op)) => Ok(op.set(key.trim(), value.trim())?),
        Some(op) => Err(ProgramErrorCause::NoSettings { op: op.to_string(), setting: item.into() }),
    }
}

fn parse_op(item: &str, column: usize) -> Result<Op, ProgramError> {
    let fail = |cause| Err(ProgramError { column, cause });
    if item.is_empty() {
        return fail(ProgramErrorCause::Missing);
    }
    let (name, arg) = match item.split_once(':') {
        Some((name, arg)) => (name, Some(arg)),
        None => (item, None),
    };
    let at_arg = column + name.len() + 1;
    match (name, arg) {
        ("fnv64", None) => Ok(Op::Fnv64(Basis::Standard, Scope::Message)),
        ("fnv64", Some("chain")) => Ok(Op::Fnv64(Basis::Standard, Scope::Chain)),
        ("fnv64", Some("packetfs")) => Ok(Op::Fnv64(Basis::Packetfs, Scope::Message)),
        ("fnv64", Some("packetfs-chain")) => Ok(Op::Fnv64(Basis::Packetfs, Scope::Chain)),
        ("crc32c", None) => Ok(Op::Crc32c(Scope::Message)),
        ("crc32c", Some("chain")) => Ok(Op::Crc32c(Scope::Chain)),
        ("hist8", None) => Ok(Op::Hist8),
        ("len", None) => Ok(Op::Len),
        ("xor", _) => immediate(name, arg, column).map(Op::Xor),
        ("add", _) => immediate(name, arg, column).map(Op::Add),
        ("counteq", _) => immediate(name, arg, column).map(Op::CountEq),
        ("token" | "vec", _) => {
            EngineOp::named(name, arg.map(str::trim)).map(Op::Engine).ok_or_else(|| ProgramError {
                column,
                cause: ProgramErrorCause::NoArgument(name.into()),
            })
        }
        ("kv" | "pvrt" | "cst", _) => {
            let op = EngineOp::named(name, arg.map(str::trim)).map(Op::Engine);
            let arg = arg.unwrap_or_default().into();
            let cause = ProgramErrorCause::BadArgument { op: name.into(), arg };
            op.ok_or(ProgramError { column: at_arg, cause })
        }
        (_, Some(arg)) if OPS.iter().any(|info| info.name == name) => Err(ProgramError {
            column: at_arg,
            cause: ProgramErrorCause::BadArgument { op: name.into(), arg: arg.into() },
        }),
        _ => fail(ProgramErrorCause::UnknownOp(name.into())),
    }
}

/// What the op list says of the arguments of the op `name`.
fn arguments_of(name: &str) -> &'static str {
    OPS.iter().find(|info| info.name == name).map_or("", |info| info.args)
}

/// Reads the immediate of the op `name`, which begins at `column`.
fn immediate(name: &str, arg: Option<&str>, column: usize) -> Result<u8, ProgramError> {
    let Some(arg) = arg.filter(|arg| !arg.is_empty()) else {
        return Err(ProgramError { column, cause: ProgramErrorCause::NoImmediate(name.into()) });
    };
    let (digits, radix) = match arg.strip_prefix("0x").or_else(|| arg.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None => (arg, 10),
    };
    let byte = if digits.starts_with('+') { None } else { u8::from_str_radix(digits, radix).ok() };
    byte.ok_or_else(|| ProgramError {
        column: column + name.len() + 1,
        cause: ProgramErrorCause::NotAByte { op: name.into(), arg: arg.into() },
    })
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, op) in self.ops.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            op.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for Program {
    type Err = ProgramError;

    fn from_str(text: &str) -> Result<Self, ProgramError> {
        Self::parse(text)
    }
}

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        // An optimized program may be empty: every op was found to be work that nobody reads.
        if text.is_empty() {
            return Ok(Self::from_rewritten(Vec::new()));
        }
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Program {
    fn schema_name() -> Cow<'static, str> {
        "Program".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": format!("Ops by comma, run in order on each payload: {}", list_ops()),
            "examples": ["crc32c", "xor:255,add:7,counteq:0,crc32c"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pcpu::tests::any_program;

    proptest! {
        #[test]
        fn text_round_trips(program in any_program()) {
            let text = program.to_string();
            prop_assert_eq!(&Program::parse(&text).unwrap(), &program);
            let json = serde_json::to_string(&program).unwrap();
            prop_assert_eq!(serde_json::from_str::<Program>(&json).unwrap(), program);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9:=,x \u{e9}-]{0,40}") {
            let _ = Program::parse(&text);
        }
    }

    fn error(text: &str) -> (usize, ProgramErrorCause) {
        let error = Program::parse(text).expect_err(text);
        assert!(error.to_string().contains("counteq:imm8"), "lists the ops: {error}");
        (error.column, error.cause)
    }

    #[test]
    fn errors_name_the_place_and_the_cause() {
        use ProgramErrorCause as Cause;
        assert_eq!(error(""), (1, Cause::Missing));
        assert_eq!(error("len,,len"), (5, Cause::Missing));
        assert_eq!(error("len, frob"), (6, Cause::UnknownOp("frob".into())));
        assert_eq!(error("xor"), (1, Cause::NoImmediate("xor".into())));
        assert_eq!(error("len,xor:"), (5, Cause::NoImmediate("xor".into())));
        let not_a_byte = |op: &str, arg: &str| Cause::NotAByte { op: op.into(), arg: arg.into() };
        assert_eq!(error("len,xor:256"), (9, not_a_byte("xor", "256")));
        assert_eq!(error("add:-1"), (5, not_a_byte("add", "-1")));
        assert_eq!(error("add:+1"), (5, not_a_byte("add", "+1")));
        assert_eq!(error("counteq:0x100"), (9, not_a_byte("counteq", "0x100")));
        let bad = Cause::BadArgument { op: "crc32c".into(), arg: "7".into() };
        assert_eq!(error("crc32c:7"), (8, bad));
        assert_eq!(error("len,len,len,len,crc32c"), (17, Cause::NoAccumulator("crc32c".into())));
        assert_eq!(error("hist8,hist8"), (7, Cause::SecondHistogram));
        assert_eq!(error(&["xor:1"; 33].join(",")), (193, Cause::TooLong));
    }

    #[test]
    fn settings_bind_to_the_op_before_them() {
        let text = "len, token:o200k_base , mode = flow,flows=9,crc32c";
        let program = Program::parse(text).unwrap();
        assert_eq!(program.to_string(), "len,token:o200k_base,mode=flow,flows=9,crc32c");
        assert_eq!(program.ops().len(), 3);
        let labels: Vec<String> = program.accumulators().collect();
        let token = "token:o200k_base,mode=flow,flows=9";
        assert_eq!(
            labels,
            ["len", &format!("{token} tokens"), &format!("{token} digest"), "crc32c"]
        );
        for same in ["token:a", "token:/x/b=c.json", "token:x:y", "token:a,idle_s=7,special=allow"]
        {
            assert_eq!(Program::parse(same).unwrap().to_string(), same);
        }
        let left_out = "token:a,mode=packet,idle_s=60,flows=16384,special=text";
        assert_eq!(Program::parse(left_out).unwrap().to_string(), "token:a");
    }

    #[test]
    fn errors_in_settings_name_the_place_and_the_choices() {
        let told = |text: &str| {
            let error = Program::parse(text).expect_err(text);
            (error.column, error.to_string())
        };
        for (text, column, words) in [
            ("mode=flow", 1, "mode=flow follows no op"),
            ("len,mode=flow", 5, "len takes no settings, and so not mode=flow"),
            (
                "token:a, mood=flow",
                10,
                "token has no setting \"mood\"; it takes mode=packet, mode=flow",
            ),
            (
                "token:a,mode=stream",
                9,
                "does not take mode=stream; it takes mode=packet, mode=flow",
            ),
            ("token:a,flows=0", 9, "it takes flows=1 to flows=4194304"),
            ("token:a,idle_s=1.5", 9, "it takes idle_s=1"),
            ("token", 1, "token needs an argument: token:VOCAB"),
            ("len,token:", 5, "token needs an argument"),
            ("token:a,token:b,len", 17, "fifth accumulator"),
        ] {
            let (at, error) = told(text);
            assert_eq!(at, column, "{text}: {error}");
            assert!(error.contains(words), "{text}: {error}");
            assert!(error.contains("token:VOCAB[,mode=packet|flow]"), "lists the ops: {error}");
        }
    }

    #[test]
    fn immediates_are_decimal_or_hex() {
        let program = Program::parse("xor:0xff, add:7 ,counteq:0X0a").unwrap();
        assert_eq!(program.to_string(), "xor:255,add:7,counteq:10");
        assert_eq!(program.ops(), [Op::Xor(255), Op::Add(7), Op::CountEq(10)]);
    }
}
