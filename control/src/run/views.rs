//! What a run is shown through, as its flags say.

use std::net::SocketAddr;

use pfs_dataplane::run::Watch;

use crate::cli::RunArgs;
use crate::failure::Failure;
use crate::out;
use crate::plan::Plan;
use crate::view::{Pages, Serving, Token, Views, Watched};

/// Views that listen, for a run that has not begun.
#[derive(Debug)]
pub(super) struct NamedViews {
    name: String,
    views: Views,
}

/// Listens wherever `args` say, before anything is started.
///
/// # Errors
/// [`Failure`]: an address that cannot be had, or one that strangers could look at. A control
/// socket that cannot be made is only told: the run goes on without.
pub(super) fn open(args: &RunArgs, plan: &Plan) -> Result<NamedViews, Failure> {
    let name = name(args, plan);
    let token = args.http_token.as_deref().map(Token::read).transpose().map_err(Failure::usage)?;
    let mut views = Views::default();
    if let Some(address) = args.http {
        if token.is_none() && !address.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "--http {address} can be reached from other machines: give --http-token, or serve on 127.0.0.1"
            )));
        }
        let bound = listen(&mut views, "--http", address, Pages::All, token)?;
        out::complain(&format!("web view at http://{bound}/"));
    }
    if let Some(address) = args.metrics {
        let bound = listen(&mut views, "--metrics", address, Pages::Metrics, None)?;
        tracing::info!("metrics at http://{bound}/metrics");
    }
    if !args.no_control
        && let Err(error) = views.control(&name)
    {
        tracing::warn!("no control socket, so `pfs top` will not see this run: {error}");
    }
    Ok(NamedViews { name, views })
}

fn listen(
    views: &mut Views,
    flag: &str,
    address: SocketAddr,
    pages: Pages,
    token: Option<Token>,
) -> Result<SocketAddr, Failure> {
    views.http(address, pages, token).map_err(|error| {
        Failure::failed(format!("serving at {address}: {error}; choose another {flag} address"))
    })
}

/// What the run is called: its plan's file, or its first source.
fn name(args: &RunArgs, plan: &Plan) -> String {
    let file = args.plan.as_ref().and_then(|path| path.file_stem());
    let source = || plan.sources.first().map_or_else(|| "run".to_owned(), |of| of.name.clone());
    file.map_or_else(source, |stem| stem.to_string_lossy().into_owned())
}

impl NamedViews {
    /// Shows the run that `watch` watches.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn serve(self, plan: Plan, watch: Watch) -> Result<Serving, Failure> {
        let run = Watched::new(self.name, plan, watch);
        let served = self.views.serve(run);
        served.map_err(|error| Failure::failed(format!("starting the thread of views: {error}")))
    }
}
