//! The optimizer: rewrites of a program that leave its results as they are.
//!
//! Rules run in rounds until none applies; each application is recorded with its reason. The
//! last entries name the ops that share one pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::exec::{Compiled, Options};
use super::isa::Isa;
use super::lower::lower;
use super::op::Op;
use super::program::Program;

/// A rewrite rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RewriteRule")]
#[non_exhaustive]
pub enum Rule {
    /// `xor a,xor b` → `xor a^b`.
    MergeXor,
    /// `add a,add b` → `add a+b`.
    MergeAdd,
    /// `xor:0` and `add:0` go.
    DropIdentity,
    /// `add:128` beside an xor → `xor:128`.
    AddAsXor,
    /// `transform,counteq v` → `counteq v',transform`.
    HoistCount,
    /// `transform,len` → `len,transform`.
    HoistLen,
    /// A transform whose bytes nobody reads goes.
    DropUnread,
    /// Neighbours share one pass.
    Fuse,
}

/// One application of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Which rule.
    pub rule: Rule,
    /// The ops that it found.
    pub before: String,
    /// What it put in their place; for [`Rule::Fuse`], the ops joined by `+`.
    pub after: String,
    /// Why the results are the same.
    pub why: String,
}

/// A program after the optimizer, with every rewrite that led there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimized {
    /// The program to run. It may be empty, when nobody would have seen its work.
    pub program: Program,
    /// Whether the payload is looked at after the program.
    pub keeps_payload: bool,
    /// The rewrites, in the order of their application.
    pub rewrites: Vec<Rewrite>,
}

impl Optimized {
    /// Compiles the program for what it was optimized for.
    ///
    /// # Panics
    /// When the program has an engine op: [`Self::compile_with`] takes those.
    #[must_use]
    pub fn compile(&self, isa: Isa) -> Compiled {
        self.compile_with(isa, Vec::new())
    }

    /// The same for a program with engine ops; see [`Compiled::with_engines`].
    ///
    /// # Panics
    /// When there is not one engine for each engine op.
    #[must_use]
    pub fn compile_with(&self, isa: Isa, engines: Vec<Box<dyn Engine>>) -> Compiled {
        let options = Options { keeps_payload: self.keeps_payload, ..Options::default() };
        Compiled::with_engines(&self.program, isa, options, engines)
    }
}

/// Optimizes `program`; `keeps_payload` says whether the sink looks at the payload afterwards.
///
/// R0..R3 keep their order and their values, as does the histogram. The payload afterwards is
/// the same if it is kept, and unspecified if not.
#[must_use]
pub fn optimize(program: &Program, keeps_payload: bool) -> Optimized {
    let mut ops = program.ops().to_vec();
    let mut rewrites = Vec::new();
    while let Some(rewrite) = local(&mut ops).or_else(|| drop_unread(&mut ops, keeps_payload)) {
        rewrites.push(rewrite);
    }
    for step in lower(&ops, true, keeps_payload).iter().filter(|step| step.ops.len() > 1) {
        rewrites.push(Rewrite {
            rule: Rule::Fuse,
            before: text(&step.ops, ","),
            after: text(&step.ops, "+"),
            why: "each vector of bytes is loaded once for all of them".into(),
        });
    }
    Optimized { program: Program::from_rewritten(ops), keeps_payload, rewrites }
}

fn text(ops: &[Op], by: &str) -> String {
    ops.iter().map(ToString::to_string).collect::<Vec<_>>().join(by)
}

/// Applies the first rule that fits an op or two neighbours.
fn local(ops: &mut Vec<Op>) -> Option<Rewrite> {
    for at in 0..ops.len() {
        for width in [1, 2] {
            let Some(window) = ops.get(at..at + width) else { continue };
            if let Some((rule, after, why)) = rule_for(window) {
                let before = text(window, ",");
                let rewrite = Rewrite { rule, before, after: text(&after, ","), why: why.into() };
                ops.splice(at..at + width, after);
                return Some(rewrite);
            }
        }
    }
    None
}

/// The rule for these ops, what takes their place, and why it may. Every rule lowers the number
/// of ops, of adds, or of transforms before a `counteq` or `len`: so the rounds end.
fn rule_for(ops: &[Op]) -> Option<(Rule, Vec<Op>, &'static str)> {
    let found = match ops {
        [Op::Xor(0) | Op::Add(0)] => (Rule::DropIdentity, vec![], "it leaves every byte as it is"),
        [Op::Xor(a), Op::Xor(b)] => (Rule::MergeXor, vec![Op::Xor(a ^ b)], "xor is associative"),
        [Op::Add(a), Op::Add(b)] => (
            Rule::MergeAdd,
            vec![Op::Add(a.wrapping_add(*b))],
            "addition modulo 256 is associative",
        ),
        [Op::Add(128), Op::Xor(a)] | [Op::Xor(a), Op::Add(128)] => (
            Rule::AddAsXor,
            vec![Op::Xor(a ^ 128)],
            "the top bit's carry is lost, so that adding it is flipping it",
        ),
        [Op::Xor(a), Op::CountEq(v)] => (
            Rule::HoistCount,
            vec![Op::CountEq(v ^ a), Op::Xor(*a)],
            "xor is a bijection: a byte becomes v exactly if it was v^a",
        ),
        [Op::Add(a), Op::CountEq(v)] => (
            Rule::HoistCount,
            vec![Op::CountEq(v.wrapping_sub(*a)), Op::Add(*a)],
            "addition is a bijection: a byte becomes v exactly if it was v-a",
        ),
        [transform, Op::Len] if transform.is_transform() => (
            Rule::HoistLen,
            vec![Op::Len, transform.clone()],
            "transforms do not change the length",
        ),
        _ => return None,
    };
    Some(found)
}

/// Drops the last transform if no op after it reads bytes and the sink does not either.
fn drop_unread(ops: &mut Vec<Op>, keeps_payload: bool) -> Option<Rewrite> {
    let last = ops.iter().rposition(|op| op.is_transform())?;
    if keeps_payload || ops[last + 1..].iter().any(|op| op.reads_bytes()) {
        return None;
    }
    let before = ops.remove(last).to_string();
    let why = "no later op reads the bytes, and the sink does not keep the payload".into();
    Some(Rewrite { rule: Rule::DropUnread, before, after: String::new(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optimized(text: &str, keeps_payload: bool) -> (String, Vec<Rule>) {
        let optimized = optimize(&Program::parse(text).unwrap(), keeps_payload);
        let rules = optimized.rewrites.iter().map(|rewrite| rewrite.rule).collect();
        (optimized.program.to_string(), rules)
    }

    #[test]
    fn each_rule_fires() {
        let cases = [
            ("xor:5,xor:3", "xor:6", vec![Rule::MergeXor]),
            ("add:200,add:100", "add:44", vec![Rule::MergeAdd]),
            ("xor:7,xor:7,len", "len", vec![Rule::MergeXor, Rule::DropIdentity]),
            ("add:128,xor:1", "xor:129", vec![Rule::AddAsXor]),
            ("xor:1,counteq:3", "counteq:2,xor:1", vec![Rule::HoistCount, Rule::Fuse]),
            ("add:4,counteq:3", "counteq:255,add:4", vec![Rule::HoistCount, Rule::Fuse]),
            ("add:4,len", "len,add:4", vec![Rule::HoistLen]),
            ("crc32c,hist8", "crc32c,hist8", vec![]),
        ];
        for (text, after, rules) in cases {
            assert_eq!(optimized(text, true), (after.to_owned(), rules), "{text}");
        }
    }

    #[test]
    fn bytes_that_nobody_reads_are_not_made() {
        let (text, rules) = optimized("xor:255,add:7,counteq:0", false);
        assert_eq!(text, "counteq:6");
        assert_eq!(rules.iter().filter(|&&rule| rule == Rule::DropUnread).count(), 2);
        assert_eq!(optimized("xor:1", false).0, "");
        assert_eq!(optimized("xor:1", true).0, "xor:1");
        assert_eq!(optimized("xor:1,fnv64,add:3,len", false).0, "xor:1,fnv64,len");
    }

    #[test]
    fn the_four_op_program_becomes_one_pass() {
        let program = Program::parse("xor:255,add:7,counteq:0,crc32c").unwrap();
        let optimized = optimize(&program, false);
        assert_eq!(optimized.program.to_string(), "counteq:6,xor:255,add:7,crc32c");
        let last = optimized.rewrites.last().unwrap();
        assert_eq!(last.after, "counteq:6+xor:255+add:7+crc32c");
        assert_eq!(optimized.compile(Isa::Portable).stats().len(), 1);
        let json = serde_json::to_string(&optimized).unwrap();
        assert_eq!(serde_json::from_str::<Optimized>(&json).unwrap(), optimized);
    }
}
