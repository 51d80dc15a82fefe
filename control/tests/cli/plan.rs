//! `pfs plan`, and plans that come back from runs.

use serde_json::Value;

use crate::common::{accumulators, books, capture, done, folder, json_file, pfs, run};

#[track_caller]
fn holds(schema: &Value, plan: &Value) {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let errors: Vec<String> =
        validator.iter_errors(plan).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?} in {plan}");
}

#[test]
fn made_plans_hold_by_the_published_schema_and_check() {
    let schema = run("plan schema").json();
    let pcap = capture("dns.pcap");
    let folder = folder();
    for flags in [
        format!("--from pcap:{pcap}"),
        format!("--from pcap:{pcap},loops=3 --prog crc32c,hist8 --run-to-completion --packets 9"),
        "--from memory:imix,packets=10 --wait spin --pages 4k --lock --seconds 2.5".to_owned(),
        "--from memory:64,packets=10 --cores 0 --ring-slots 64 --report r.json --keep k.pcap"
            .into(),
        "--from udp:127.0.0.1:0,frame_bytes=4096 --hint network/crc --packets 1".to_owned(),
        "--from af_packet:lo,fanout.group=7,fanout.mode=hash --seconds 1".to_owned(),
    ] {
        let made = run(&format!("plan make {flags}")).json();
        holds(&schema, &made);
        let path = folder.path().join("plan.json");
        let told = run(&format!("plan make {flags} --output {}", path.display()));
        assert_eq!(told.ok(), "");
        assert_eq!(json_file(&path), made);
        run(&format!("plan check {}", path.display())).ok();
        assert!(run(&format!("plan explain {}", path.display())).ok().contains("source "));
    }
}

#[test]
fn rules_with_matches_are_made_and_explained() {
    let schema = run("plan schema").json();
    let mut command = pfs("plan make --from memory:64,packets=1 --prog crc32c");
    command.args(["--rule", "protocol=udp,destination_ports=53 => xor:1,xor:2,fnv64"]);
    command.args(["--rule", "vlan=5,source=10.0.0.0/8 => len"]);
    let made = done(command).json();
    holds(&schema, &made);
    let names: Vec<_> =
        made["rules"].as_array().expect("rules").iter().map(|r| &r["name"]).collect();
    assert_eq!(names, ["rule-0", "rule-1", "all"]);
    let folder = folder();
    let path = crate::common::file(folder.path(), "plan.json", made.to_string());
    let text = run(&format!("plan explain {}", path.display())).ok();
    assert!(text.contains("xor:1,xor:2 -> xor:3"), "{text}");
}

#[test]
fn an_effective_plan_gives_the_same_run_again() {
    let schema = run("plan schema").json();
    let folder = folder();
    let plan = folder.path().join("plan.json");
    for name in ["dns.pcap", "vlan.pcap", "tls.pcapng"] {
        let flags = format!(
            "run --json --from pcap:{} --prog xor:1,xor:3,crc32c,fnv64 --plan-out {}",
            capture(name),
            plan.display()
        );
        let first = run(&flags).json();
        let effective = json_file(&plan);
        holds(&schema, &effective);
        for section in ["granted", "optimizer", "environment"] {
            assert!(!effective[section].is_null(), "{section}");
        }
        run(&format!("plan check {}", plan.display())).ok();
        let again = run(&format!("run --json --plan {0} --plan-out {0}", plan.display())).json();
        assert_eq!(accumulators(&first), accumulators(&again));
        assert_eq!(books(&first), books(&again));
        assert!(books(&first) > 0);
        let evened = json_file(&plan);
        assert_eq!(evened["optimizer"], effective["optimizer"]);
        assert_eq!(evened["granted"], effective["granted"]);
    }
}

#[test]
fn a_declared_load_refuses_or_samples() {
    let folder = folder();
    let made = run("plan make --from memory:1518,packets=100000 --prog crc32c --cores 0").json();
    let with = |packets: f64, overload: &str| {
        let mut plan = made.clone();
        plan["limits"]["declared"] = serde_json::json!({
            "packets_per_second": packets, "payload_bytes": 1400, "overload": overload,
        });
        crate::common::file(folder.path(), "plan.json", plan.to_string()).display().to_string()
    };
    run(&format!("plan check {}", with(10.0, "refuse"))).ok();
    let refused = run(&format!("plan check {}", with(1e12, "refuse")));
    assert!(refused.out.contains("limits.declared") && refused.out.contains("overload: sample"));
    refused.fails(1, &["1 errors"]);
    run(&format!("run --plan {}", with(1e12, "refuse"))).fails(2, &["limits.declared"]);
    let sampled = run(&format!("plan check {}", with(1e12, "sample"))).ok();
    assert!(sampled.contains("of the flows are delivered"), "{sampled}");
    let report = run(&format!("run --json --plan {}", with(1e12, "sample"))).json();
    assert!(books(&report) < 100_000, "a part is filtered");
    assert_eq!(report["books"]["offered"], 100_000);
}

#[test]
fn a_plan_is_complete_by_itself() {
    let flags = ["--seconds 3", "--from memory:64", "--prog crc32c", "--keep x.pcap"];
    for flag in flags {
        run(&format!("run --plan p.json {flag}")).fails(2, &["cannot be used with", "--plan"]);
    }
    run("run").fails(2, &["--from BACKEND:WHERE"]);
    run("run --prog crc32c --cores 0").fails(2, &["--from BACKEND:WHERE"]);
    run("plan make --cores 0").fails(2, &["--from BACKEND:WHERE"]);
}
