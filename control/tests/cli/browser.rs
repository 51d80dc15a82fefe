//! The web view in a real browser: headless Chromium, driven by ChromeDriver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{books, folder};
use crate::http::Web;

/// Where screenshots are left, if anywhere: a folder that is there.
const SHOTS: &str = "PFS_SCREENSHOTS";
/// Longest that a page is waited for; a browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window. Ends when dropped.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`, with the reason printed, where no browser is installed.
    fn start() -> Option<Self> {
        let (driver, browser) = ("/usr/bin/chromedriver", "/usr/bin/chromium");
        if !Path::new(driver).exists() || !Path::new(browser).exists() {
            println!("skipped: chromium and chromium-driver are not installed");
            return None;
        }
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let told = lines.map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("successfully on port ")?;
            rest.trim_end_matches('.').parse().ok()
        });
        let profile = folder();
        let mut browser =
            Self { driver, port: told.expect("a port"), session: String::new(), _profile: profile };
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ];
        let mut args: Vec<String> = args.map(str::to_owned).to_vec();
        args.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let options = json!({"binary": "/usr/bin/chromium", "args": args});
        let wishes =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let answer =
            browser.ask("POST", "/session", &json!({"capabilities": {"alwaysMatch": wishes}}));
        browser.session = answer["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {answer}"))
            .to_owned();
        Some(browser)
    }

    /// One command of WebDriver; its value.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("is set");
        let body =
            if method == "GET" || method == "DELETE" { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("asks");
        // The driver keeps connections open, whatever it is asked: the body's length is its end.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("answers");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("a body");
        let answer: Value = serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
        answer["value"].clone()
    }

    fn tell(&self, verb: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{verb}", self.session), body)
    }

    fn open(&self, url: &str) {
        self.tell("url", &json!({"url": url}));
    }

    /// What `script` returns in the page.
    fn script(&self, script: &str) -> Value {
        self.tell("execute/sync", &json!({"script": script, "args": []}))
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.tell("goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// What the page has complained about since it was last asked.
    fn complaints(&self) -> Vec<String> {
        let entries = self.tell("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Waits until `script` returns `want`.
    #[track_caller]
    fn until(&self, script: &str, want: &Value) {
        let began = Instant::now();
        let mut found = Value::Null;
        while began.elapsed() < PATIENCE {
            found = self.script(script);
            if found == *want {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{script}: {found}, not {want}");
    }

    /// Leaves a picture of the whole page, where somebody wants one.
    fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os(SHOTS) else { return };
        let parameters = json!({"captureBeyondViewport": true});
        let picture = self.tell(
            "goog/cdp/execute",
            &json!({"cmd": "Page.captureScreenshot", "params": parameters}),
        );
        let mut decoder = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(
                std::fs::File::create(Path::new(&folder).join(format!("{name}.png")))
                    .expect("makes"),
            )
            .spawn()
            .expect("starts");
        let text = picture["data"].as_str().expect("a picture");
        decoder.stdin.take().expect("piped").write_all(text.as_bytes()).expect("writes");
        decoder.wait().expect("ends");
    }

    /// A window of that size, in dark colours or light ones.
    fn looks(&self, width: u32, height: u32, dark: bool) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The page's number for an entry of the books.
fn book(name: &str) -> String {
    format!("return document.querySelector('[data-book={name}]')?.textContent.replaceAll(',', '')")
}

/// The sum of the page's numbers for a counter.
fn counter(name: &str) -> String {
    format!(
        "return [...document.querySelectorAll('[data-counter=\"{name}\"]')].reduce((sum, box) => sum + Number(box.textContent.replaceAll(',', '')), 0)"
    )
}

#[test]
fn the_page_tells_what_metrics_tell_and_survives_a_restart() {
    let Some(browser) = Browser::start() else { return };
    let web = Web::start("");
    let url = format!("http://{}/", web.at);
    browser.open(&url);
    web.send(700);
    browser.until(&book("consumed"), &"700".into());
    browser.script("document.querySelector('details').open = true");
    browser.until(&counter("worker.consumed"), &700.into());
    let metrics = web.live.counters();
    for (of, name) in [
        ("source.offered", "pfs_source_offered_packets_total"),
        ("receiver.delivered", "pfs_receiver_delivered_packets_total"),
        ("receiver.delivered_bytes", "pfs_receiver_delivered_bytes_total"),
        ("receiver.returned", "pfs_receiver_returned_events_total"),
        ("worker.consumed_bytes", "pfs_worker_consumed_bytes_total"),
        ("worker.batches", "pfs_worker_batches_events_total"),
        ("step.messages", "pfs_step_messages_packets_total"),
        ("step.cycles", "pfs_step_cycles_total"),
    ] {
        assert_eq!(browser.script(&counter(of)), metrics[name], "{of}");
    }
    for (of, name) in [("in_flight", "pfs_in_flight_packets"), ("residual", "pfs_residual_packets")]
    {
        assert_eq!(browser.script(&book(of)), metrics[name].to_string(), "{of}");
    }
    let drawn = browser.script("return document.querySelector('#drawing svg').textContent");
    for word in ["Sources", "udp-0", "worker 0", "crc32c", "report"] {
        assert!(drawn.as_str().expect("text").contains(word), "{word} is not in {drawn}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let at = web.at.to_string();
    web.live.signal(Signal::SIGINT);
    browser.until("return document.documentElement.dataset.state", &"ended".into());
    let report = web.live.end().json();
    assert_eq!(browser.script(&book("consumed")), books(&report).to_string());
    drop(browser.complaints());
    let again = Web::start_at(&at, "");
    browser.until("return document.documentElement.dataset.state", &"running".into());
    // While there was no run, the browser itself has said that it could not connect.
    let said = browser.complaints();
    assert!(
        said.iter().all(|said| said.contains("ERR_CONNECTION") || said.contains("ERR_INCOMPLETE")),
        "{said:?}"
    );
    again.send(40);
    browser.until(&book("consumed"), &"40".into());
    assert_eq!(browser.complaints(), Vec::<String>::new());
    again.live.signal(Signal::SIGINT);
    assert_eq!(books(&again.live.end().json()), 40);
}

#[test]
fn the_page_fits_wide_and_narrow_light_and_dark() {
    let Some(browser) = Browser::start() else { return };
    let web = Web::start("");
    browser.open(&format!("http://{}/", web.at));
    for (width, height, dark, name) in [
        (1280, 1250, false, "wide-light"),
        (1280, 1250, true, "wide-dark"),
        (390, 2100, false, "phone-light"),
        (390, 2100, true, "phone-dark"),
    ] {
        browser.looks(width, height, dark);
        let sequence =
            browser.script("return Number(document.documentElement.dataset.sequence ?? 0)");
        web.send(300);
        let later = sequence.as_u64().expect("a number") + 1;
        browser.until(
            &format!("return Number(document.documentElement.dataset.sequence ?? 0) > {later}"),
            &true.into(),
        );
        let fits =
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        browser.until(fits, &true.into());
        browser.until("return document.querySelector('#drawing svg') !== null", &true.into());
        browser.shot(name);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}

#[test]
fn a_lane_and_a_tile_are_read_large_by_pointer_and_by_keys() {
    let Some(browser) = Browser::start() else { return };
    let web = Web::start("");
    browser.open(&format!("http://{}/", web.at));
    for sent in [300, 600] {
        web.send(300);
        browser.until(&book("consumed"), &sent.to_string().into());
    }
    browser.script("document.querySelector('#lanes [data-zoom=\"lane 0 0\"]').click()");
    browser.until(
        "return document.querySelectorAll('#zoom[open] .chart path.curve.s0').length",
        &4.into(),
    );
    let title = browser.script("return document.getElementById('zoom-title').textContent");
    assert_eq!(title, "udp-0 → worker 0, 4,096 slots");
    // Each chart is large, and nothing of it hangs out of a phone's screen.
    let size = "const box = document.querySelector('.chart svg').getBoundingClientRect(); return box.width > 600 && box.height >= 200";
    assert_eq!(browser.script(size), true);
    let most = web.live.counters()["pfs_lane_high_water_spans"];
    browser.until(
        "return document.querySelectorAll('.chart')[1].querySelector('.key.mark')?.textContent",
        &format!("high water {most}").into(),
    );
    // What a key or the pointer chooses is one document of the last two minutes.
    let spans = "const told = document.querySelector('.chart .tip').textContent; return told.startsWith('now: through the ring ')";
    browser.until(spans, &true.into());
    browser.script(
        "document.querySelector('.chart svg').dispatchEvent(new KeyboardEvent('keydown', { key: 'Home', bubbles: true, cancelable: true }))",
    );
    let earlier = "return / ago: through the ring [0-9.]+ k?\\/s$/.test(document.querySelector('.chart .tip').textContent)";
    browser.until(earlier, &true.into());
    browser.until("return document.querySelectorAll('.chart .cross').length", &1.into());
    browser.shot("zoom-lane");
    browser.looks(390, 844, true);
    browser.until(
        "const dialog = document.getElementById('zoom'); return dialog.scrollWidth <= dialog.clientWidth && dialog.clientWidth < 390",
        &true.into(),
    );
    browser.shot("zoom-lane-phone");
    browser.script("document.getElementById('zoom-close').click()");
    browser.until("return document.getElementById('zoom').open", &false.into());
    let enter = "document.getElementById('tile-lost').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))";
    browser.script(enter);
    browser.until("return document.querySelectorAll('#zoom[open] .chart .key').length", &5.into());
    browser.script("document.getElementById('zoom').close(); document.querySelector('#drawing [data-zoom]').dispatchEvent(new MouseEvent('click', { bubbles: true }))");
    browser.until(
        "return document.getElementById('zoom-title').textContent.startsWith('udp-0 →')",
        &true.into(),
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}

#[test]
fn a_token_in_the_address_opens_the_page_and_leaves_the_address() {
    let Some(browser) = Browser::start() else { return };
    let web = Web::start("--http-token 0123456789abcdef");
    browser.open(&format!("http://{}/?token=0123456789abcdef", web.at));
    browser.until("return document.documentElement.dataset.state", &"running".into());
    assert_eq!(browser.script("return location.search"), "");
    assert_eq!(browser.script("return document.cookie"), "", "no script sees it");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}
