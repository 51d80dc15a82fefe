//! The terminal: taken, drawn on, and given back whatever happens.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::app::{App, Screen};
use super::draw;
use super::keys::Act;
use super::link::{Handle, Link, News};
use crate::failure::Failure;
use crate::view::Request;
use crate::view::places::{self, Place};

/// How long keys are waited for before news are looked at.
const TURN: Duration = Duration::from_millis(100);
/// How often runs are looked for, where that is needed.
const LOOK: Duration = Duration::from_secs(1);

/// News of the connection with this number: those of an older one are late.
type Numbered = (u64, News);

/// Shows `app` until the user quits or a signal ends it.
///
/// # Errors
/// When the terminal cannot be drawn on.
pub(super) fn run(app: App) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in
        [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
    {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::failed(format!("installing signal handlers: {error}")))?;
    }
    // Its panic hook gives the terminal back before the message is printed.
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::failed(format!("taking the terminal: {error}")))?;
    let shown = Session::new(app).run(&mut terminal, &stop);
    ratatui::restore();
    shown.map_err(|error| Failure::failed(format!("the terminal: {error}")))
}

/// A terminal with what it is connected to.
struct Session {
    app: App,
    /// To the run that is watched.
    handle: Option<Handle>,
    connection: u64,
    sender: Sender<Numbered>,
    news: Receiver<Numbered>,
    looked: Option<Instant>,
}

impl Session {
    fn new(app: App) -> Self {
        let (sender, news) = mpsc::channel();
        Self { app, handle: None, connection: 0, sender, news, looked: None }
    }

    fn run(mut self, terminal: &mut DefaultTerminal, stop: &AtomicBool) -> io::Result<()> {
        if let Some(place) = self.app.target.clone() {
            self.connect(&place);
        }
        let mut stale = true;
        while !stop.load(Relaxed) {
            stale |= self.look_for_runs();
            stale |= self.hear();
            if stale {
                terminal.draw(|frame| draw::draw(&self.app, frame))?;
                stale = false;
            }
            if !event::poll(TURN)? {
                continue;
            }
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    match self.app.press(key) {
                        Act::Quit => return Ok(()),
                        Act::Watch(place) => self.connect(&place),
                        Act::Pace => self.pace(),
                        Act::None => {}
                    }
                    self.looked = None;
                    stale = true;
                }
                Event::Resize(..) => stale = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes what has come from the run; whether anything has.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        while let Ok((connection, news)) = self.news.try_recv() {
            if connection != self.connection {
                continue;
            }
            heard = true;
            match news {
                News::Live(live) => self.app.take(*live),
                News::Gone(why) => {
                    self.handle = None;
                    self.app.lose(why);
                }
            }
        }
        heard
    }

    fn connect(&mut self, place: &Place) {
        self.connection += 1;
        self.handle = None;
        let number = self.connection;
        let handle = Link::open(&place.path).and_then(|mut link| {
            // A run that was named by its path is looked for again by its name.
            let run = &link.hello.run;
            let (pid, name) = (run.pid, run.name.clone());
            self.app.target = Some(Place { pid, name, path: place.path.clone() });
            link.ask(Request::Watch { interval_ms: self.app.interval_ms })?;
            link.follow(self.sender.clone(), move |news| (number, news))
        });
        match handle {
            Ok(handle) => self.handle = Some(handle),
            Err(error) => self.app.lose(error.to_string()),
        }
    }

    fn pace(&mut self) {
        let interval_ms = self.app.interval_ms;
        if let Some(handle) = &mut self.handle
            && let Err(error) = handle.ask(Request::Watch { interval_ms })
        {
            self.app.lose(error.to_string());
        }
    }

    /// Keeps the list of runs, and comes back to a run that was started again; whether anything
    /// on the screen may have changed.
    fn look_for_runs(&mut self) -> bool {
        let listed = self.app.screen == Screen::Runs;
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if !due || !(listed || self.app.is_waiting()) {
            return false;
        }
        self.looked = Some(Instant::now());
        self.app.runs = places::runs();
        if listed {
            self.app.selected = self.app.selected.min(self.app.choices().saturating_sub(1));
        }
        let Some(target) = self.app.target.clone().filter(|_| self.app.is_waiting()) else {
            return listed;
        };
        let again = |place: &&Place| place.name == target.name && place.pid != target.pid;
        if let Some(place) = self.app.runs.iter().find(again).cloned() {
            self.connect(&place);
        }
        true
    }
}
