//! Servers of key/value clients beside the packets, and holding them against the rules whose stores they serve.

use std::collections::HashSet;
use std::net::SocketAddr;

use pfs_dataplane::ops::EngineOp;
use pfs_dataplane::packet::Rule;
use pfs_dataplane::pcpu::Program;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::MakeError;
use super::check::{Checked, Severity, report};
use crate::kv::SecretFrom;
use crate::settings;

/// A server over the store that a rule's packets are written to, for as long as the run goes.
///
/// One thread of its own takes the store's shards for a burst of commands, or a step of a long one, and gives
/// them back to the workers. Its settings are what `pfs kv serve` has them for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KvServer {
    /// Name of the rule whose first `kv` op's store is served.
    pub rule: String,
    /// Address and port where RESP is spoken; port 0 takes a free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resp: Option<SocketAddr>,
    /// Address and port where the line grammar is spoken; port 0 takes a free one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheetah: Option<SocketAddr>,
    /// Where the password is that clients must know: `file:PATH` or `env:NAME`. Addresses that other machines can
    /// reach need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SecretFrom>,
    /// Core of its thread, by the kernel's id; left out: wherever the kernel puts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<u32>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerGranted {
    /// The rule whose store it serves.
    pub rule: String,
    /// Address of RESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resp: Option<SocketAddr>,
    /// Address of the line grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheetah: Option<SocketAddr>,
}

/// Whether the program of `rule` has a store.
fn stores(rule: &Rule) -> bool {
    let program = Program::parse(&rule.program);
    program.is_ok_and(|program| program.engines().any(|op| matches!(op, EngineOp::Kv(_))))
}

/// Reads `KEY=VALUE[,KEY=VALUE...]` through the type that reads a plan's JSON. Without a `rule` the first one
/// with a store is meant.
///
/// # Errors
/// [`MakeError::Serve`].
pub(super) fn make(given: &str, rules: &[Rule]) -> Result<KvServer, MakeError> {
    // A wrong flag may hold a password: it is not repeated.
    let fail = |why: String| MakeError::Serve { why };
    let mut fields = Map::new();
    settings::set_fields(&mut fields, given).map_err(fail)?;
    if !fields.contains_key("rule") {
        let rule = rules.iter().find(|rule| stores(rule));
        let rule = rule.ok_or_else(|| fail("no program has a store".into()))?;
        fields.insert("rule".into(), rule.name.clone().into());
    }
    serde_json::from_value(fields.into()).map_err(|error| fail(error.to_string()))
}

/// Each server needs a rule that has a store, and an address of its own.
pub(super) fn check(checked: &mut Checked) {
    let (servers, rules) = (checked.plan.servers.clone(), checked.plan.rules.clone());
    let mut taken = HashSet::new();
    for (at, server) in servers.iter().enumerate() {
        let place = format!("servers[{at}]");
        let mut error = |message: String| report(checked, Severity::Error, &place, message);
        match rules.iter().find(|rule| rule.name == server.rule) {
            None => error(format!("no rule is called {}", server.rule)),
            Some(rule) if !stores(rule) => {
                error(format!("the program of {} has no kv op, so no store", rule.name));
            }
            Some(_) => {}
        }
        let addresses = || server.resp.into_iter().chain(server.cheetah);
        if addresses().next().is_none() {
            error("it has no address; give it resp, cheetah or both, e.g. 127.0.0.1:6379".into());
        }
        for address in addresses() {
            if server.auth.is_none() && !address.ip().is_loopback() {
                error(format!(
                    "{address} can be reached from other machines and no password is set; set auth, or listen on 127.0.0.1"
                ));
            }
            if address.port() != 0 && !taken.insert(address) {
                error(format!("{address} is listened on twice; give each its own port"));
            }
        }
    }
}
