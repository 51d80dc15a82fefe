//! Plans are held against the cost classes that were kept, and against a measurement where none
//! are of use.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

use std::fs;

use pfs_dataplane::costs::{Costs, Sample};
use pfs_dataplane::pcpu::Program;

use crate::common::{Done, pfs};

/// With PROGRAM for a program.
const PLAN: &str = r#"{"schema_version": 1,
    "sources": [{"name": "m", "from": {"memory": {"content": {"generated": {}}}}}],
    "rules": [{"name": "all", "program": "PROGRAM"}],
    "lanes": {"mode": "run_to_completion"},
    "limits": {"declared":
        {"packets_per_second": 1000, "payload_bytes": 64, "overload": "refuse"}}}"#;

#[test]
fn a_plan_is_refused_by_a_cost_that_was_kept_and_not_by_one_of_elsewhere() {
    for program in ["crc32c", "token:r50k_base", "cst:json", "kv", "pvrt"] {
        refused_by_what_was_kept(program);
    }
}

fn refused_by_what_was_kept(program: &str) {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    fs::write(&plan, PLAN.replace("PROGRAM", program)).unwrap();
    let check = || {
        let mut command = pfs("plan check");
        let output = command.arg(&plan).env("XDG_CACHE_HOME", folder.path()).output();
        Done::from(output.unwrap())
    };
    let measured = check();
    assert_eq!(
        measured.code, 0,
        "{program}: a thousand packets a second are few: {}",
        measured.out
    );

    let kept = folder.path().join("pfs/costs.json");
    let mut costs = Costs::default();
    let slow = Sample { payload_bytes: 64, ns_per_packet: 1e9, ticks_per_packet: 1e9 };
    costs.insert(&Program::parse(program).unwrap().ops()[0], vec![slow]);
    costs.store(&kept).unwrap();
    let refused = check();
    assert_eq!(refused.code, 1, "{program}");
    assert!(refused.out.contains("costs 1000000000 ns"), "{program}: {}", refused.out);

    fs::write(&kept, "{}").unwrap();
    let warned = check();
    assert_eq!(warned.code, 0, "{}{}", warned.out, warned.err);
    assert!(warned.out.contains("pfs bench op"), "{}", warned.out);
}
