//! Holding the ways back to senders against the sources and rules that use them.

use std::collections::HashSet;

use pfs_dataplane::link::Link;
use pfs_dataplane::ops::EngineOp;
use pfs_dataplane::pcpu::Program;
use pfs_dataplane::receivers::SourceSpec;
use pfs_dataplane::transmitters::replies::ReplySpec;

use super::ReplySink;
use super::check::{Checked, Severity, report};

/// Each reply sink needs a name of its own, a rule that has answers, and a way that leads somewhere.
pub(super) fn check(checked: &mut Checked) {
    let (sinks, rules) = (checked.plan.sinks.replies.clone(), checked.plan.rules.clone());
    let mut names = HashSet::new();
    for (at, sink) in sinks.iter().enumerate() {
        let place = format!("sinks.replies[{at}]");
        if !names.insert(sink.name.as_str()) {
            let message = format!("two reply sinks are called {}", sink.name);
            report(checked, Severity::Error, &place, message);
        }
        let users = rules.iter().filter(|rule| rule.replies.as_ref() == Some(&sink.name)).count();
        if users == 0 {
            let message = format!("no rule answers through {}", sink.name);
            report(checked, Severity::Warning, &place, message);
        }
        check_way(checked, &place, sink, users);
    }
    for (at, rule) in rules.iter().enumerate() {
        let place = format!("rules[{at}]");
        let Some(sink) = &rule.replies else { continue };
        if !names.contains(sink.as_str()) {
            let message = format!("no reply sink is called {sink}; name it in sinks.replies");
            report(checked, Severity::Error, &place, message);
        }
        let program = Program::parse(&rule.program);
        if program.is_ok_and(|program| !program.engines().any(EngineOp::gives_replies)) {
            let message =
                format!("its program has no kv or vec op, so nothing goes through {sink}");
            report(checked, Severity::Warning, &place, message);
        }
    }
}

fn check_way(checked: &mut Checked, place: &str, sink: &ReplySink, users: usize) {
    let mut error = |message: String| report(checked, Severity::Error, place, message);
    let interface = match &sink.to {
        ReplySpec::Udp(spec) => {
            let range = ReplySpec::DATAGRAM_BYTES;
            if !range.contains(&spec.datagram_bytes) {
                let (bytes, least, most) = (spec.datagram_bytes, range.start(), range.end());
                error(format!("datagram_bytes {bytes} is not from {least} to {most}"));
            }
            return check_sockets(checked, place);
        }
        ReplySpec::AfPacket(spec) => &spec.interface,
        ReplySpec::AfXdp(spec) => &spec.interface,
        ReplySpec::Pcap(_) if users > 1 => {
            return error("one file takes the replies of one rule; name another sink".to_owned());
        }
        ReplySpec::Pcap(_) => return,
    };
    if let Err(missing) = Link::find_up(interface) {
        error(missing.to_string());
    }
    if let ReplySpec::AfXdp(_) = sink.to {
        if !cfg!(feature = "af-xdp") {
            error("this build has no af_xdp; send replies by af_packet".to_owned());
        }
        if users > 1 {
            let message = "a worker has one socket on its queue, for one rule; name another sink and queue for the others";
            error(message.to_owned());
        }
    }
}

/// Replies out of sockets need sources that have some, and that know each sender.
fn check_sockets(checked: &mut Checked, place: &str) {
    let sources = &checked.plan.sources;
    let sockets = || {
        sources.iter().filter_map(|source| match &source.from {
            SourceSpec::Udp(spec) => Some((&source.name, spec)),
            _ => None,
        })
    };
    let message = if let Some((name, _)) = sockets().find(|(_, spec)| spec.gro) {
        format!("source {name} merges datagrams (gro), and who sent each is lost; leave gro out")
    } else if sockets().next().is_none() {
        "no source is udp; send replies by af_packet:INTERFACE".to_owned()
    } else {
        return;
    };
    report(checked, Severity::Error, place, message);
}
