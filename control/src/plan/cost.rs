//! Cost classes held against the load that a plan declares.

use pfs_dataplane::costs::{Costs, measure};
use pfs_dataplane::packet::Action;
use pfs_dataplane::pcpu::{Isa, Program, optimize};

use super::Overload;
use super::check::{Checked, Severity, report};

/// Most payload of one packet: that of the longest IP packet.
const MOST_PAYLOAD: u32 = 65_535;
/// Part of a worker's time that programs may take; the rest is for lanes and for peaks.
const USABLE: f64 = 0.8;

/// The cost classes that `pfs bench op` has kept for this host; a file that is of no use is said,
/// and programs are measured here then.
fn known(checked: &mut Checked) -> Option<Costs> {
    let path = Costs::default_path()?;
    Costs::load(&path).unwrap_or_else(|error| {
        let message = format!("{error}; programs are measured now instead");
        report(checked, Severity::Warning, "limits.declared", message);
        None
    })
}

/// Refuses or samples a plan whose dearest program cannot keep up with its declared load.
pub(super) fn check(checked: &mut Checked) {
    let Some(declared) = checked.plan.limits.declared.clone() else { return };
    if !declared.packets_per_second.is_finite() || declared.packets_per_second <= 0.0 {
        let message = "packets_per_second must be above 0".to_owned();
        return report(checked, Severity::Error, "limits.declared", message);
    }
    if declared.payload_bytes > MOST_PAYLOAD {
        let message = format!("payload_bytes {} is above {MOST_PAYLOAD}", declared.payload_bytes);
        return report(checked, Severity::Error, "limits.declared", message);
    }
    let costs = known(checked);
    let dearest = checked
        .plan
        .rules
        .iter()
        .filter(|rule| rule.action == Action::Redirect)
        .filter_map(|rule| {
            let program = Program::parse(&rule.program).ok()?;
            let program = optimize(&program, rule.sink.is_some()).program;
            let known = costs.as_ref().and_then(|costs| costs.of(&program, declared.payload_bytes));
            let cost = match known {
                Some(cost) => cost,
                None => measure(&program, declared.payload_bytes, Isa::detect()).ok()?,
            };
            Some((cost.ns_per_packet, rule.name.clone()))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((ns_per_packet, rule)) = dearest else { return };
    let workers = checked.plan.workers();
    let capacity = workers as f64 * USABLE * 1e9 / ns_per_packet;
    if capacity >= declared.packets_per_second {
        return;
    }
    let share = capacity / declared.packets_per_second;
    let finding = format!(
        "rule {rule} costs {ns_per_packet:.0} ns for {} B of payload: {workers} workers carry {capacity:.0} packets/s of the {:.0} declared",
        declared.payload_bytes, declared.packets_per_second
    );
    match declared.overload {
        Overload::Refuse => {
            let message = format!(
                "{finding}; give it more worker cores, a cheaper program, or overload: sample"
            );
            report(checked, Severity::Error, "limits.declared", message);
        }
        Overload::Sample => {
            checked.sampled = (share * f64::from(u32::MAX)) as u32;
            let message = format!("{finding}; {:.1} % of the flows are delivered", share * 100.0);
            report(checked, Severity::Warning, "limits.declared", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{check, parse};

    #[test]
    fn a_payload_that_no_packet_has_is_refused_before_it_is_made() {
        let text = r#"{"schema_version": 1,
            "sources": [{"name": "m", "from": {"memory": {"content": {"generated": {}}}}}],
            "rules": [{"name": "all", "program": "len"}],
            "lanes": {"mode": "run_to_completion"},
            "limits": {"declared":
                {"packets_per_second": 1, "payload_bytes": 4294967295, "overload": "refuse"}}}"#;
        let checked = check(&parse(text).expect("of sound form"));
        let errors = checked.errors().expect("refused");
        assert!(errors.contains("payload_bytes 4294967295 is above 65535"), "{errors}");
    }
}
