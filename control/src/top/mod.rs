//! `pfs top`: a run that goes on, in a terminal.

mod app;
mod draw;
mod history;
mod keys;
mod link;
mod pick;
mod rows;
mod terminal;

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::Args;

use crate::failure::Failure;
use crate::out;
use crate::view::places::Place;
use crate::view::protocol::INTERVAL_MS;
use crate::view::{Answer, Live, Request};
use app::App;
use link::Link;

/// Flags of `pfs top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// The run: its process id, its name, or its control socket. Without it: the only run, or a list.
    #[arg(value_name = "PID|NAME|SOCKET")]
    run: Option<String>,
    /// Milliseconds between two looks.
    #[arg(short, long, value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(INTERVAL_MS))]
    interval: u64,
    /// Print one look, over one interval, and end.
    #[arg(long)]
    once: bool,
    /// With --once: as JSON, the live document.
    #[arg(long, requires = "once")]
    json: bool,
}

/// Watches a run until the user has seen enough.
///
/// # Errors
/// [`Failure`]: no run is there, several are and none was named, or there is no terminal.
pub(crate) fn top(args: &TopArgs) -> Result<(), Failure> {
    if args.once {
        return once(args);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard output is no terminal; pfs top --once prints one look, --once --json a document",
        ));
    }
    let target = match &args.run {
        Some(given) => Some(pick::named(given)?),
        None => pick::only()?,
    };
    terminal::run(App::new(target, args.interval))
}

/// One look over one interval.
fn once(args: &TopArgs) -> Result<(), Failure> {
    let place = match &args.run {
        Some(given) => pick::named(given)?,
        None => pick::only()?.ok_or_else(|| pick::several(&crate::view::places::runs()))?,
    };
    let live = look(&place, args.interval)?;
    if args.json {
        return out::json(&live);
    }
    out::print(&draw::text(&live))
}

/// The document over the next `interval_ms`; that of the whole run when it ends before.
fn look(place: &Place, interval_ms: u64) -> Result<Live, Failure> {
    let mut link = Link::open(&place.path).map_err(|error| lost(&place.path, &error))?;
    let seen = link.ask(Request::Watch { interval_ms }).and_then(|()| {
        let mut last = None;
        while let Some(answer) = link.next()? {
            match answer {
                Answer::Live(live) if last.is_some() => return Ok(Some(*live)),
                Answer::Live(live) => last = Some(*live),
                Answer::Error(why) => return Err(io::Error::other(why)),
                Answer::Hello(_) | Answer::Plan(_) => {}
            }
        }
        Ok(last)
    });
    seen.and_then(|live| {
        live.ok_or_else(|| io::Error::other("the run ended before it told anything"))
    })
    .map_err(|error| lost(&place.path, &error))
}

fn lost(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}; `pfs top` lists the runs that go on", path.display()))
}
