//! What the terminal shows, and what has been chosen in it.

use crate::view::places::Place;
use crate::view::{Live, State};

use super::history::History;
use super::rows::{Row, Sort, rows};

/// How the run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No document has come yet.
    Waiting,
    /// It sends documents.
    Running,
    /// It is over, and has said so.
    Ended,
    /// The connection broke: why.
    Lost(String),
}

/// What takes the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// A run's figures.
    Run,
    /// One worker of it.
    Worker(usize),
    /// The runs that listen.
    Runs,
}

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct App {
    /// The run that is watched, or waited for.
    pub(super) target: Option<Place>,
    pub(super) standing: Standing,
    /// The last document; while paused, the one of that moment.
    pub(super) live: Option<Live>,
    pub(super) history: History,
    pub(super) screen: Screen,
    pub(super) help: bool,
    pub(super) paused: bool,
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    /// The row that keys act on.
    pub(super) selected: usize,
    pub(super) runs: Vec<Place>,
    pub(super) interval_ms: u64,
    /// Whether colours are welcome.
    pub(super) color: bool,
}

impl App {
    /// Of `target`, or of a list of runs.
    pub(super) fn new(target: Option<Place>, interval_ms: u64) -> Self {
        let screen = if target.is_some() { Screen::Run } else { Screen::Runs };
        Self {
            target,
            standing: Standing::Waiting,
            live: None,
            history: History::default(),
            screen,
            help: false,
            paused: false,
            sort: Sort::default(),
            reverse: false,
            selected: 0,
            runs: Vec::new(),
            interval_ms,
            color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Shows that document alone, as `--once` does.
    pub(super) fn still(live: Live) -> Self {
        let mut app = Self::new(None, 1000);
        app.screen = Screen::Run;
        app.color = false;
        app.take(live);
        app
    }

    /// Takes a document. While paused its figures go into the history alone.
    pub(super) fn take(&mut self, live: Live) {
        self.standing = match live.state {
            State::Running => Standing::Running,
            State::Ended => Standing::Ended,
        };
        self.history.add(&live);
        let another = self.live.as_ref().is_some_and(|shown| shown.run != live.run);
        if !self.paused || another {
            self.live = Some(live);
        }
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
    }

    /// Notes that the connection is over.
    pub(super) fn lose(&mut self, why: String) {
        if self.standing != Standing::Ended {
            self.standing = Standing::Lost(why);
        }
    }

    /// Whether a run is looked for.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.standing, Standing::Ended | Standing::Lost(_))
    }

    /// The rows of the lanes' table as they are shown.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.live.as_ref().map(|live| rows(live, self.sort, self.reverse)).unwrap_or_default()
    }

    /// How many rows keys can choose from.
    pub(super) fn choices(&self) -> usize {
        match self.screen {
            Screen::Runs => self.runs.len(),
            Screen::Run | Screen::Worker(_) => self.rows().len(),
        }
    }

    /// Takes everything back that was chosen.
    pub(super) fn reset(&mut self) {
        self.screen = if self.target.is_some() { Screen::Run } else { self.screen };
        self.paused = false;
        self.help = false;
        self.sort = Sort::default();
        self.reverse = false;
        self.selected = 0;
    }
}
