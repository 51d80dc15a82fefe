//! Screens drawn into memory.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::json;

use super::super::app::{App, Screen, Standing};
use super::super::keys::{Act, KEYS};
use super::super::rows::Sort;
use super::draw;
use crate::view::Live;
use crate::view::places::Place;

/// A run of two receivers and two workers that loses packets.
fn live(sequence: u64) -> Live {
    let receiver = |at: usize, name: &str| {
        json!({
            "receiver": at, "source": name, "core": at, "granted": "af_packet tpacket_v3",
            "from": "eth0", "frames": 4096, "frames_on_loan": 512 * at, "source_counters": {},
            "counters": {}, "offered_pps": 1e6, "received_bytes_per_s": 64e6,
            "delivered_pps": 9e5, "dropped_pps": 1e5,
            "cycles": {"poll": 30.0, "classify": 20.0, "steer": 9.0, "recycle": 1.0},
        })
    };
    let counters = json!({"messages": 10, "bytes": 640, "cycles": 5400, "batches": 1});
    let op = json!({
        "rule": "all", "op": "crc32c", "counters": counters, "pps": 9e5, "bytes_per_s": 57.6e6,
        "cycles_per_packet": 54.0, "cycles_per_byte": 0.84,
    });
    let waits = |us: u64| {
        json!({"samples": 100, "p50_ns": us * 1000, "p90_ns": us * 2000, "p99_ns": us * 4000,
               "p999_ns": us * 8000, "max_ns": us * 9000})
    };
    let worker = |at: usize| {
        json!({
            "worker": at, "core": 2 + at, "counters": {"consumed": 1234567}, "steps": [op],
            "consumed_pps": 9e5, "consumed_bytes_per_s": 57.6e6, "program_cycles": 54.0,
            "lane_cycles": 12.5, "latency": waits(10 - at as u64), "latency_total": waits(20),
            "engines": [{"rule": "all", "op": "kv", "group": "kv", "counters": {"writes": 7, "gets": 0}}],
        })
    };
    let lane = |receiver: usize, worker: usize| {
        json!({"receiver": receiver, "worker": worker, "slots": 4096,
               "queued": 1024 * (receiver + 2 * worker), "high_water": 3500, "in_flight": 2000,
               "spans_per_s": 1e5 * (1 + receiver + 2 * worker) as f64})
    };
    let books = json!({
        "offered": 2000000, "dropped_nic": 0, "dropped_kernel": 200000, "filtered": 3,
        "dropped_no_frame": 0, "dropped_ring_full": 0, "dropped_malformed": 0,
        "delivered": 1799997, "consumed": 1799000, "in_flight": 997, "residual": 0,
    });
    let document = json!({
        "schema_version": 1, "state": "running", "sequence": sequence, "elapsed_s": 83.5,
        "run": {"pid": 4242, "name": "edge", "started_unix_ms": 1, "pfs_version": "0", "host": "h"},
        "interval_s": 1.0, "books": books,
        "rates": {"offered_pps": 2e6, "received_bytes_per_s": 128e6, "filtered_pps": 0.0,
                  "delivered_pps": 18e5, "dropped_pps": 2e5, "consumed_pps": 18e5,
                  "consumed_bytes_per_s": 115e6},
        "drops": [
            {"cause": "dropped_nic", "packets": 0, "pps": 0.0},
            {"cause": "dropped_kernel", "packets": 200000, "pps": 2e5},
            {"cause": "dropped_no_frame", "packets": 0, "pps": 0.0},
            {"cause": "dropped_ring_full", "packets": 0, "pps": 0.0},
            {"cause": "dropped_malformed", "packets": 0, "pps": 0.0},
        ],
        "latency": waits(10), "receivers": [receiver(0, "left"), receiver(1, "right")],
        "workers": [worker(0), worker(1)],
        "lanes": [lane(0, 0), lane(0, 1), lane(1, 0), lane(1, 1)], "ops": [op],
        "cores": [{"core": 2, "thread": "worker 0", "busy": 1.0, "steal": 0.07}],
    });
    serde_json::from_value(document).expect("a document")
}

fn app() -> App {
    let place = Place { pid: 4242, name: "edge".into(), path: "/run/pfs/4242-edge.sock".into() };
    let mut app = App::new(Some(place), 1000);
    app.color = true;
    app.take(live(0));
    app
}

/// What `app` looks like, and whether any of it has a colour.
fn screen(app: &App, width: u16, height: u16) -> (String, bool) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("draws");
    terminal.draw(|frame| draw(app, frame)).expect("draws");
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    let text = (0..height).map(|y| line(y).trim_end().to_owned() + "\n").collect();
    let colored = buffer
        .content()
        .iter()
        .any(|cell| !matches!((cell.fg, cell.bg), (Color::Reset, Color::Reset)));
    (text, colored)
}

#[track_caller]
fn shows(app: &App, size: (u16, u16), words: &[&str]) {
    let (text, _) = screen(app, size.0, size.1);
    for word in words {
        assert!(text.contains(word), "`{word}` is not in\n{text}");
    }
}

fn press(app: &mut App, code: KeyCode) -> Act {
    app.press(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn everything_has_room_in_80_by_24() {
    let words = [
        "pfs top  edge  pid 4242  0:01:23",
        "running",
        "in 2.00 Mpps",
        "1.02 Gb/s",
        "lost 200 kpps",
        "kernel 200,000 +200 k/s",
        "residual 0",
        "in flight 997",
        "p99 40.0 µs",
        "max 90.0 µs",
        "left",
        "right",
        "left → 0",
        "right → 1",
        "██░░░░░░ 25 %",
        "peak",
        "85 %",
        "crc32c",
        "54.0",
        "0.84",
        "7 %",
        "q quit",
        "sort: place",
    ];
    shows(&app(), (80, 24), &words);
    shows(&app(), (200, 60), &words);
    shows(&app(), (200, 60), &["af_packet tpacket_v3", "80.0 µs"]);
}

#[test]
fn a_small_terminal_has_what_matters_most() {
    shows(
        &app(),
        (40, 10),
        &["running", "in 2.00 Mpps", "lost 200 kpps", "residual 0", "left → 0"],
    );
    for (width, height) in [(1, 1), (10, 3), (24, 5), (30, 6), (39, 9), (500, 2), (24, 200)] {
        for zoomed in [Screen::Run, Screen::Worker(1), Screen::Worker(9), Screen::Runs] {
            let mut app = app();
            app.screen = zoomed;
            screen(&app, width, height);
            app.help = true;
            screen(&app, width, height);
        }
    }
}

#[test]
fn keys_sort_turn_zoom_and_reset() {
    let mut app = app();
    let first = |app: &App| app.rows().first().map(|row| row.label.clone()).expect("a row");
    assert_eq!(first(&app), "left → 0");
    press(&mut app, KeyCode::Char('s'));
    assert_eq!((app.sort, first(&app)), (Sort::Rate, "right → 1".into()));
    press(&mut app, KeyCode::Char('S'));
    assert_eq!(first(&app), "left → 0");
    for (sort, label) in
        [(Sort::Ring, "left → 0"), (Sort::Cycles, "right → 1"), (Sort::Wait, "right → 1")]
    {
        press(&mut app, KeyCode::Char('s'));
        assert_eq!((app.sort, first(&app).as_str()), (sort, label));
    }
    press(&mut app, KeyCode::Char('s'));
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Enter);
    assert!(matches!(app.screen, Screen::Worker(_)));
    shows(
        &app,
        (80, 24),
        &[
            "on core",
            "wait now",
            "wait, all",
            "kv: writes 7",
            "crc32c",
            "from left",
            "at most 3,500",
        ],
    );
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.screen, Screen::Run);
    press(&mut app, KeyCode::Char('r'));
    assert_eq!((app.sort, app.reverse, app.selected, app.paused), (Sort::Place, false, 0, false));
    (0..9).for_each(|_| assert_eq!(press(&mut app, KeyCode::Down), Act::None));
    assert_eq!(app.selected, 3, "no further than the last row");
}

#[test]
fn pause_holds_the_figures_and_not_the_history() {
    let mut app = app();
    press(&mut app, KeyCode::Char('p'));
    app.take(live(1));
    assert_eq!(app.live.as_ref().map(|live| live.sequence), Some(0));
    assert_eq!(app.history.offered.last(2), [Some(2_000_000), Some(2_000_000)]);
    shows(&app, (80, 24), &["paused; running"]);
    press(&mut app, KeyCode::Char(' '));
    app.take(live(2));
    assert_eq!(app.live.as_ref().map(|live| live.sequence), Some(2));
}

#[test]
fn the_end_and_the_loss_of_a_run_are_said() {
    let mut app = app();
    app.lose("it has closed".into());
    shows(&app, (80, 24), &["LOST; waiting for it to run again", "in 2.00 Mpps"]);
    shows(&app, (40, 10), &["LOST; waiting"]);
    let mut over = live(3);
    over.state = crate::view::State::Ended;
    app.take(over);
    app.lose("it has closed".into());
    assert_eq!(app.standing, Standing::Ended);
    shows(&app, (80, 24), &["ended; waiting for it to run again"]);
}

#[test]
fn help_and_the_list_of_runs_are_screens() {
    let mut app = app();
    press(&mut app, KeyCode::Char('?'));
    let keys: Vec<&str> = KEYS.iter().map(|(keys, _)| *keys).collect();
    shows(&app, (80, 24), &keys);
    press(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('l'));
    shows(&app, (80, 24), &["No run of this user listens"]);
    let place = Place { pid: 7, name: "other".into(), path: "/run/pfs/7-other.sock".into() };
    app.runs = vec![place.clone()];
    app.selected = 0;
    shows(&app, (80, 24), &["7", "other", "/run/pfs/7-other.sock"]);
    assert_eq!(press(&mut app, KeyCode::Enter), Act::Watch(place));
    assert_eq!((app.screen, app.live.is_none()), (Screen::Run, true));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!((app.press(interrupt), press(&mut app, KeyCode::Char('q'))), (Act::Quit, Act::Quit));
}

#[test]
fn without_colour_nothing_has_one() {
    let mut app = app();
    assert!(screen(&app, 80, 24).1);
    app.color = false;
    for zoomed in [Screen::Run, Screen::Worker(0), Screen::Runs] {
        app.screen = zoomed;
        app.help = !app.help;
        assert!(!screen(&app, 80, 24).1);
    }
    let text = super::text(&live(0));
    assert!(text.contains("right → 1") && !text.contains("q quit"), "{text}");
}

#[test]
fn a_run_without_lanes_has_a_row_for_each_worker() {
    let mut bare = live(0);
    bare.lanes.clear();
    let mut app = app();
    app.take(bare);
    shows(&app, (80, 24), &["worker 0", "worker 1", "none"]);
}
