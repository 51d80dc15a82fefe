//! The screens.

mod lists;
mod run;
mod text;
mod worker;

use ratatui::Frame;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::app::{App, Screen, Standing};
use crate::view::Live;

/// Columns and rows of `--once`.
const PAGE: (u16, u16) = (110, 60);
/// Smallest terminal that says anything.
const LEAST: (u16, u16) = (24, 5);

/// How things look; without colour, the same by weight alone.
#[derive(Clone, Copy, Debug)]
struct Look {
    color: bool,
}

impl Look {
    const fn paint(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    const fn quiet(self) -> Style {
        if self.color { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn alarm(self) -> Style {
        self.paint(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// Bold and red where `bad`, else plain.
    fn if_bad(self, bad: bool) -> Style {
        if bad { self.alarm() } else { Style::new() }
    }

    const fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// Draws everything.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>) {
    let look = Look { color: app.color };
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new("pfs top: too small"), area);
        return;
    }
    let [top, body, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
            .areas(area);
    frame.render_widget(title(app, look, top.width), top);
    frame.render_widget(Paragraph::new(footer(app)).style(look.bar()), bottom);
    match (app.help, app.screen, &app.live) {
        (true, ..) => lists::help(look, frame, body),
        (false, Screen::Runs, _) => lists::runs(app, look, frame, body),
        (false, Screen::Run, Some(live)) => run::draw(app, live, look, frame, body),
        (false, Screen::Worker(at), Some(live)) => worker::draw(app, live, at, look, frame, body),
        (false, _, None) => {
            let text = match &app.standing {
                Standing::Lost(why) => format!("no connection: {why}; waiting for the run"),
                _ => "waiting for the first figures".to_owned(),
            };
            frame.render_widget(Paragraph::new(text), margin(body));
        }
    }
}

/// `live` as text, for `--once`.
pub(super) fn text(live: &Live) -> String {
    let app = App::still(live.clone());
    let mut text = String::new();
    // In memory, where nothing can fail.
    let Ok(mut terminal) = ratatui::Terminal::new(TestBackend::new(PAGE.0, PAGE.1));
    let Ok(_) = terminal.draw(|frame| draw(&app, frame));
    let buffer = terminal.backend().buffer();
    // All but the line of keys.
    for y in 0..PAGE.1 - 1 {
        let line: String = (0..PAGE.0).map(|x| buffer[(x, y)].symbol()).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

const fn margin(area: Rect) -> Rect {
    let width = area.width.saturating_sub(2);
    Rect { x: area.x + 1, width, ..area }
}

/// Which run, for how long, and how it stands.
fn title(app: &App, look: Look, width: u16) -> Paragraph<'static> {
    let mut left = " pfs top".to_owned();
    let (mut standing, mut bad) = (String::new(), false);
    if let Some(live) = app.live.as_ref().filter(|_| app.screen != Screen::Runs) {
        left +=
            &format!("  {}  pid {}  {}", live.run.name, live.run.pid, text::clock(live.elapsed_s));
        let after = "waiting for it to run again";
        standing = match &app.standing {
            Standing::Waiting => String::new(),
            Standing::Running => "running".to_owned(),
            Standing::Ended => format!("ended; {after}"),
            Standing::Lost(_) => format!("LOST; {after}"),
        };
        bad = app.is_waiting();
        if app.paused {
            standing = format!("paused; {standing}");
        }
    }
    standing.push(' ');
    // How the run stands matters more than its name, where there is no room for both.
    let room = usize::from(width).saturating_sub(standing.chars().count());
    let left: String = left.chars().take(room).collect();
    let gap = " ".repeat(room - left.chars().count());
    let style = if bad && look.color { Style::new().fg(Color::Red) } else { Style::new() };
    let spans = [Span::raw(left), Span::raw(gap), Span::styled(standing, style)];
    Paragraph::new(Line::from(spans.to_vec())).style(look.bar())
}

fn footer(app: &App) -> String {
    match (app.help, app.screen) {
        (true, _) => " esc back  q quit".to_owned(),
        (_, Screen::Runs) => " ↑↓ choose  enter watch  ? help  q quit".to_owned(),
        (_, Screen::Worker(_)) => " esc back  ↑↓ other lane  p pause  ? help  q quit".to_owned(),
        (_, Screen::Run) => format!(
            " q quit  ? help  p pause  s sort: {}{}  enter zoom  r reset  l runs  +- {} ms",
            app.sort.name(),
            if app.reverse { " ↑" } else { "" },
            app.interval_ms
        ),
    }
}

#[cfg(test)]
mod tests;
