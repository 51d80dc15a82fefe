//! The report's page in a real browser: every plot has its data, nothing complains, in light, dark
//! and on paper, by pointer-less reading and by keyboard.
//!
//! Chromium is started with a folder of its own and without network. Where it is missing, tests
//! print why they are skipped.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pfs_bench::report::html::{marks, page};
use pfs_bench::report::{Axis, Plot, Point, Reference, Report, Series, Shape, Table, Target};
use serde_json::json;
use tempfile::TempDir;

/// How long the browser may take for a page.
const PATIENCE: Duration = Duration::from_secs(60);

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: no chromium; apt-get install chromium");
    }
    found
}

/// A page in a folder, and the browser that is to open it.
struct Browser {
    program: PathBuf,
    folder: TempDir,
}

/// What the browser printed: the page as it stood, and its complaints.
struct Seen {
    dom: String,
    complaints: Vec<String>,
}

impl Browser {
    fn with(reports: &[Report], more: &str) -> Option<Self> {
        let program = chromium()?;
        let folder = tempfile::tempdir().expect("a folder");
        let page = page(reports).replace("</body>", &format!("{more}</body>"));
        fs::write(folder.path().join("page.html"), page).expect("writes");
        Some(Self { program, folder })
    }

    /// Opens the page with `flags`; ends the browser when it takes too long.
    fn open(&self, flags: &[&str]) -> Seen {
        let out = self.folder.path().join("out");
        let log = self.folder.path().join("log");
        let file = |path: &PathBuf| fs::File::create(path).map(Stdio::from).expect("creates");
        let profile = self.folder.path().join("profile");
        let mut child = Command::new(&self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--hide-scrollbars"])
            .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr"])
            .args(["--virtual-time-budget=3000", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(flags)
            .arg(format!("file://{}", self.folder.path().join("page.html").display()))
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&log))
            .spawn()
            .expect("starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("is ours").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{} did not end within {PATIENCE:?}", self.program.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text =
            |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).expect("reads")).into_owned();
        let log = text(&log);
        let complaints = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned);
        Seen { dom: text(&out), complaints: complaints.collect() }
    }

    fn dom(&self, flags: &[&str]) -> Seen {
        self.open(&[&["--dump-dom"], flags].concat())
    }
}

fn series(name: &str, count: usize, of: impl Fn(usize) -> Point) -> Series {
    Series { name: name.to_owned(), points: (0..count).map(of).collect() }
}

/// Series over names: of different lengths and sizes, and some that stack to nothing.
fn named_series() -> (Vec<Series>, Vec<Series>) {
    let named = |at: usize, y: f64| Point {
        label: format!("row <{at}>"),
        least: y * 0.9,
        most: y * 1.2,
        note: "granted: native copy".to_owned(),
        ..Point::exact(at as f64, y)
    };
    let bars = vec![
        series("a & b", 5, |at| named(at, 3.0 * at as f64)),
        series("c", 3, |at| named(at, 1e6)),
    ];
    let stacked = vec![
        series("kernel", 4, |at| named(at, at as f64)),
        series("wire", 4, |at| named(at, 0.0)),
    ];
    (bars, stacked)
}

/// A report with every shape and scale, and names that would be markup.
fn shapes() -> Report {
    let ranged = |x: f64, y: f64| Point { least: y * 0.8, most: y * 1.1, ..Point::exact(x, y) };
    let plot = |id: &str, x: Axis, shape: Shape, series: Vec<Series>| Plot {
        id: id.to_owned(),
        title: format!("Plot <{id}> & more"),
        x,
        y: if id == "latency" {
            Axis::logarithmic("wait", "µs")
        } else {
            Axis::linear("rate", "GB/s")
        },
        shape,
        series,
        ..Plot::default()
    };
    let power = |at: usize| 2f64.powi(at as i32);
    let scaling = Plot {
        references: vec![Reference { name: "read roofline".to_owned(), y: 9.0 }],
        ..plot(
            "scaling",
            Axis::logarithmic("cores", ""),
            Shape::Lines,
            (0..10)
                .map(|nth| {
                    series(&format!("op {nth}"), 8, |at| ranged(power(at), 1.0 + (nth * at) as f64))
                })
                .collect(),
        )
    };
    let (bars, stacked) = named_series();
    let waits =
        series("af_xdp", 5, |at| Point::percentile(1.0 - 0.1f64.powi(at as i32), power(at)));
    let alone = vec![series("one", 1, |_| Point::exact(3.0, 0.0))];
    let mut table = Table::new("Rates:", &["op", "GB/s"]);
    (0..20).for_each(|at| table.row(vec![format!("op {at}"), format!("{at}.5")]));
    let target = |ratio: f64| Target::at_least("op", "≥ 1".into(), ratio.to_string(), ratio, 1.0);
    Report {
        plots: vec![
            scaling,
            plot("bars", Axis::default(), Shape::Bars, bars),
            plot("stacked", Axis::default(), Shape::Stacked, stacked),
            plot("latency", Axis::percentile("share"), Shape::Lines, vec![waits]),
            plot("alone", Axis::linear("x", ""), Shape::Lines, alone),
            plot("empty", Axis::linear("x", ""), Shape::Lines, Vec::new()),
        ],
        tables: vec![table],
        targets: vec![target(1.5), target(0.4)],
        notes: vec!["a note with `code` and <b>".to_owned()],
        ..Report::new("shapes")
    }
}

/// A pipeline's report: 3 GHz, 100 cycles at 64 B.
fn pipeline() -> Report {
    let spread =
        |value: f64| json!({"median": value, "least": value, "most": value, "samples": [value]});
    let row = |size: &str, mode: &str, cycles: f64| {
        json!({"size": size, "mode": mode, "packets_per_second": spread(3e9 / cycles),
               "cycles_per_packet": spread(cycles)})
    };
    let rows: Vec<_> = ["run_to_completion", "pipeline"]
        .iter()
        .flat_map(|mode| {
            [("64", 100.0), ("imix", 150.0), ("1518", 300.0)]
                .map(|(size, cycles)| row(size, mode, cycles))
        })
        .collect();
    Report { raw: json!(rows), ..Report::new("pipeline") }
}

/// The part of the page from `<figure id="…">` to its end.
fn figure<'a>(dom: &'a str, id: &str) -> &'a str {
    let start = dom.find(&format!("<figure id=\"{id}\"")).expect("a figure of this id");
    let end = dom[start..].find("</figure>").expect("it ends");
    &dom[start..start + end]
}

fn drawn(seen: &Seen, reports: &[Report]) {
    assert_eq!(seen.complaints, Vec::<String>::new());
    assert!(seen.dom.contains("data-drawn=\"yes\""), "the script came to its end");
    for (at, report) in reports.iter().enumerate() {
        for plot in &report.plots {
            let figure = figure(&seen.dom, &format!("plot-{at}-{}", plot.id));
            let found = figure.matches("class=\"mark\"").count();
            assert_eq!(found, marks(plot), "marks of {}", plot.id);
            assert!(!figure.contains("NaN") && !figure.contains("Infinity"), "{}", plot.id);
            let references = figure.matches("class=\"reference\"").count();
            assert_eq!(references, plot.references.len(), "{}", plot.id);
        }
    }
}

#[test]
fn every_plot_has_its_data_at_every_width() {
    let reports = [shapes()];
    let Some(browser) = Browser::with(&reports, "") else { return };
    for size in ["--window-size=1400,1000", "--window-size=360,800"] {
        drawn(&browser.dom(&[size]), &reports);
    }
}

#[test]
fn dark_is_dark_and_light_is_light() {
    let probe = "<script>document.documentElement.dataset.paper = \
                 getComputedStyle(document.body).backgroundColor</script>";
    let reports = [shapes()];
    let Some(browser) = Browser::with(&reports, probe) else { return };
    for (scheme, paper) in [("1", "rgb(255, 255, 255)"), ("0", "rgb(18, 21, 25)")] {
        let seen = browser.dom(&[&format!("--blink-settings=preferredColorScheme={scheme}")]);
        drawn(&seen, &reports);
        assert!(seen.dom.contains(&format!("data-paper=\"{paper}\"")), "scheme {scheme}");
    }
}

#[test]
fn values_are_read_by_keyboard() {
    let probe = "<script>{
        const svg = document.querySelector('#plot-0-bars svg'), said = [];
        const press = (key) => {
          svg.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
          said.push(svg.parentElement.querySelector('.tip').innerText.replace(/\\s+/g, ' ').trim());
        };
        ['ArrowRight', 'ArrowRight', 'ArrowDown', 'End', 'Escape'].forEach(press);
        document.documentElement.dataset.said = said.join('|');
        document.documentElement.dataset.shown = svg.parentElement.querySelector('.tip.shown') !== null;
      }</script>";
    let Some(browser) = Browser::with(&[shapes()], probe) else { return };
    let seen = browser.dom(&[]);
    assert_eq!(seen.complaints, Vec::<String>::new());
    let said =
        seen.dom.split("data-said=\"").nth(1).expect("said").split('"').next().expect("ends");
    let said: Vec<&str> = said.split('|').collect();
    assert!(said[0].starts_with("a &amp; b · row"), "{said:?}");
    assert!(said[1].contains("granted: native copy") && said[1] != said[0], "{said:?}");
    assert!(said[2].starts_with("c · row") && said[2].contains("1 M"), "{said:?}");
    assert!(seen.dom.contains("data-shown=\"false\""), "Escape lets go");
}

#[test]
fn the_projection_shows_its_arithmetic_and_follows_its_inputs() {
    let probe = "<script>{
        const say = (name) => {
          const cells = [...document.querySelectorAll('#cores tbody tr')].map((row) =>
            [...row.cells].map((cell) => cell.textContent).join(','));
          document.documentElement.dataset[name] = cells.join(';');
        };
        const set = (name, value) => {
          const input = document.querySelector(`#projection [name=\"${name}\"]`);
          input.value = value;
          input.dispatchEvent(new Event('input', { bubbles: true }));
        };
        set('receive', 0); set('kept', 100); say('first');
        set('ghz', 6); say('fast');
        set('ghz', 3); set('channels', 1); set('channel', 10); set('attained', 100); say('narrow');
        set('ghz', ''); say('bad');
      }</script>";
    let reports = [pipeline(), shapes()];
    let Some(browser) = Browser::with(&reports, probe) else { return };
    let seen = browser.dom(&[]);
    assert_eq!(seen.complaints, Vec::<String>::new());
    let of = |name: &str| {
        let text = seen.dom.split(&format!("data-{name}=\"")).nth(1).expect("said");
        text.split('"').next().expect("ends").replace("&gt;", ">")
    };
    // 64 B at 100 GbE: 148.81 Mpps by 30 Mpps a core is 4.96, so 5 cores; at 400 GbE 19.84.
    // 1518 B: 8.127 Mpps by 10 Mpps; IMIX at 353.8 B: 33.44 Mpps by 20 Mpps.
    assert_eq!(of("first"), "64 B,1,2,5,20;IMIX,1,1,2,7;1518 B,1,1,1,4");
    assert_eq!(of("fast"), "64 B,1,1,3,10;IMIX,1,1,1,4;1518 B,1,1,1,2");
    // 10 GB/s carry 78.1 M frames of 64 B twice, which is 52.5 Gbit/s on the wire.
    let bound = "memory-bound";
    let narrow =
        format!("64 B,1,2,{bound},{bound};IMIX,1,1,{bound},{bound};1518 B,1,1,{bound},{bound}");
    assert_eq!(of("narrow"), narrow);
    assert_eq!(of("bad"), narrow, "what is no number changes nothing");
    let section = &seen.dom[seen.dom.find("id=\"projection\"").expect("a projection")..];
    assert!(section.contains("projected, not measured"));
    assert!(
        section.contains("((64 + 20) · 8) = 149\u{202f}Mpps")
            || section.contains("((64 + 20) · 8) = 149 Mpps")
    );
    // Three sizes on 1 to 128 cores, in powers of two.
    assert_eq!(section.matches("class=\"mark\"").count(), 3 * 8);
}

#[test]
fn paper_has_what_is_folded_on_a_screen() {
    let probe = "<script>{
        dispatchEvent(new Event('beforeprint'));
        document.documentElement.dataset.folded = document.querySelectorAll('details:not([open])').length;
        dispatchEvent(new Event('afterprint'));
        document.documentElement.dataset.again = document.querySelectorAll('details:not([open])').length;
      }</script>";
    let reports = [shapes(), pipeline()];
    let Some(browser) = Browser::with(&reports, probe) else { return };
    let seen = browser.dom(&[]);
    drawn(&seen, &reports);
    assert!(seen.dom.contains("data-folded=\"0\""));
    assert!(!seen.dom.contains("data-again=\"0\""), "folded again afterwards");
    let pdf = browser.folder.path().join("page.pdf");
    let seen =
        browser.open(&[&format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer"]);
    assert_eq!(seen.complaints, Vec::<String>::new());
    let bytes = fs::read(&pdf).expect("printed");
    assert!(bytes.starts_with(b"%PDF-") && bytes.len() > 20_000, "{} bytes", bytes.len());
}
