//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Screen, Standing};
use crate::view::places::Place;
use crate::view::protocol::INTERVAL_MS;

/// The keys, as the help shows them.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("p, space", "pause, and go on"),
    ("s, S", "sort by place, rate, ring, cycles, wait; turn around"),
    ("↑ ↓, k j", "choose a lane"),
    ("enter, z", "zoom into the lane's worker"),
    ("esc", "back"),
    ("r", "reset the view"),
    ("+ -", "look more often, less often"),
    ("l", "list the runs"),
    ("q, Ctrl-C", "quit"),
];

/// What follows from a key, beside what it changed in the [`App`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    None,
    /// The end.
    Quit,
    /// Watch this run.
    Watch(Place),
    /// Ask for documents at the new interval.
    Pace,
}

impl App {
    /// Does what `key` stands for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Act {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Act::Quit } else { Act::None };
        }
        match key.code {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Esc => return self.back(),
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('S') => self.reverse = !self.reverse,
            KeyCode::Char('r') => self.reset(),
            KeyCode::Char('l') => self.screen = Screen::Runs,
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::Enter | KeyCode::Char('z') => return self.enter(),
            KeyCode::Char('+' | '=') => return self.pace(self.interval_ms / 2),
            KeyCode::Char('-') => return self.pace(self.interval_ms * 2),
            _ => {}
        }
        Act::None
    }

    fn back(&mut self) -> Act {
        if self.help {
            self.help = false;
        } else if self.target.is_some() {
            self.screen = Screen::Run;
        }
        Act::None
    }

    fn select(&mut self, by: isize) {
        let last = self.choices().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
        if let Screen::Worker(_) = self.screen {
            self.zoom();
        }
    }

    fn zoom(&mut self) {
        if let Some(row) = self.rows().get(self.selected) {
            self.screen = Screen::Worker(row.worker);
        }
    }

    fn enter(&mut self) -> Act {
        match self.screen {
            Screen::Run => self.zoom(),
            Screen::Worker(_) => self.screen = Screen::Run,
            Screen::Runs => {
                let Some(place) = self.runs.get(self.selected).cloned() else { return Act::None };
                self.target = Some(place.clone());
                self.live = None;
                self.standing = Standing::Waiting;
                self.reset();
                return Act::Watch(place);
            }
        }
        Act::None
    }

    fn pace(&mut self, interval_ms: u64) -> Act {
        self.interval_ms = interval_ms.clamp(*INTERVAL_MS.start(), *INTERVAL_MS.end());
        Act::Pace
    }
}
