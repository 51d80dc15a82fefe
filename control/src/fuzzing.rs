//! Body of the fuzz target, shared with the test that replays its corpus.

use pfs_dataplane::packet::RuleSet;
use pfs_dataplane::pcpu::Program;

use crate::plan::{ParseError, parse};

/// A plan's text: refused with a reason, or written again as it was read.
///
/// # Panics
/// When a promise is broken.
pub fn plan_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let plan = match parse(text) {
        Ok(plan) => plan,
        Err(ParseError::Version(_)) => return,
        Err(ParseError::Json(error)) => return assert!(!error.to_string().is_empty()),
    };
    let written = serde_json::to_string(&plan).unwrap_or_else(|error| panic!("{error}: {plan:?}"));
    let again = parse(&written).unwrap_or_else(|error| panic!("{error:?}: {written}"));
    assert_eq!(again, plan, "read back from {written}");
    // A plan of sound form may ask for anything; what it asks for is refused by name.
    if let Err(error) = RuleSet::compile(&plan.rules) {
        assert!(!error.to_string().is_empty());
    }
    for rule in &plan.rules {
        if let Err(error) = Program::parse(&rule.program) {
            assert!(!error.to_string().is_empty());
        }
    }
    for source in &plan.sources {
        assert!(!source.from.backend().is_empty());
        let _ = source.from.is_endless();
    }
}
