//! Servers over the stores of a run, from before its first packet to behind its last.

use std::net::SocketAddr;

use pfs_dataplane::ops::Engines;
use pfs_dataplane::pcpu::Optimized;
use pfs_dataplane::privilege;
use pfs_kv::servers::{Serve, Server};
use serde::Serialize;

use super::prepare::PrepareError;
use crate::plan::{Plan, ServerGranted};

/// Servers that serve. Ended when dropped.
#[derive(Debug, Default)]
pub(crate) struct Servers(Vec<(String, Server)>);

/// What a server did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerReport {
    /// The rule whose store it served.
    pub(crate) rule: String,
    /// Connections that it took.
    pub(crate) connections: u64,
    /// Commands that it executed.
    pub(crate) commands: u64,
    /// Bursts that they came in.
    pub(crate) bursts: u64,
}

impl Servers {
    /// Starts what `plan` asks for, over the stores of `engines`. Sockets are made by the caller's privileges,
    /// the threads keep none.
    ///
    /// # Errors
    /// [`PrepareError::Server`]; those that had started are ended.
    pub(super) fn start(
        plan: &Plan,
        programs: &[Optimized],
        engines: &Engines,
    ) -> Result<Self, PrepareError> {
        let mut started = Self::default();
        for asked in &plan.servers {
            let fail = |why: String| PrepareError::Server { rule: asked.rule.clone(), why };
            let mut rules = plan.rules.iter().zip(programs);
            let program = rules.find(|(rule, _)| rule.name == asked.rule);
            let store = program.and_then(|(_, optimized)| engines.store(&optimized.program));
            let store = store.ok_or_else(|| fail("the rule has no store".into()))?;
            let auth = asked.auth.as_ref().map(crate::kv::SecretFrom::secret).transpose();
            let serve = Serve {
                resp: asked.resp,
                cheetah: asked.cheetah,
                auth: auth.map_err(|failure| fail(failure.to_string()))?.flatten(),
                core: asked.core,
                begin: Some(privilege::drop_all),
                ..Serve::default()
            };
            let server = serve.start_beside(&store).map_err(|error| fail(error.to_string()))?;
            started.0.push((asked.rule.clone(), server));
        }
        Ok(started)
    }

    /// Where they listen.
    pub(crate) fn granted(&self) -> Vec<ServerGranted> {
        let granted = |(rule, server): &(String, Server)| ServerGranted {
            rule: rule.clone(),
            resp: server.resp(),
            cheetah: server.cheetah(),
        };
        self.0.iter().map(granted).collect()
    }

    /// Ends them: what they did, and which had failed.
    pub(crate) fn stop(mut self) -> (Vec<ServerReport>, Vec<String>) {
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        for (rule, server) in self.0.drain(..) {
            match server.stop() {
                Ok(counted) => reports.push(ServerReport {
                    rule,
                    connections: counted.accepted,
                    commands: counted.commands,
                    bursts: counted.bursts,
                }),
                Err(error) => errors.push(format!("the server of rule {rule}: {error}")),
            }
        }
        (reports, errors)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (_, server) in self.0.drain(..) {
            // What made the run end is told already.
            let _ = server.stop();
        }
    }
}

/// One line for each server that listens.
pub(super) fn told(granted: &[ServerGranted]) -> String {
    let one = |granted: &ServerGranted| {
        let at = |name: &str, at: Option<SocketAddr>| at.map(|at| format!("{name} on {at}"));
        let all = [at("RESP", granted.resp), at("lines", granted.cheetah)];
        let all: Vec<_> = all.into_iter().flatten().collect();
        format!("serving the store of rule {}: {}", granted.rule, all.join(", "))
    };
    granted.iter().map(one).collect::<Vec<_>>().join("\n")
}
