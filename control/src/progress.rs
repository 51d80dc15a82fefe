//! What a command shows while it works: a bar where the end is known, a line where it is not, and
//! a line each second where standard error is no terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::out;

/// Shows how far a command is, on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    /// On a terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Towards `end`, in whatever unit [`Self::show`] counts; without one there is no bar.
    pub(crate) fn new(end: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(end, ProgressDrawTarget::stderr());
        let template = if end.is_some() { "{bar:16} {percent:>3} %  {msg}" } else { "{msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar: Some(bar) }
    }

    /// Whether a line a second is enough: logs are for keeping.
    pub(crate) const fn is_log(&self) -> bool {
        self.bar.is_none()
    }

    /// Shows `text`, `done` of the end reached.
    pub(crate) fn show(&self, done: u64, text: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.set_position(done.min(bar.length().unwrap_or(u64::MAX)));
                bar.force_draw();
            }
            None => out::complain(&text),
        }
    }

    /// Clears the line, so that what follows starts on its own.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
