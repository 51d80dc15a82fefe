//! The web view's server: what it serves, to whom, and what strangers get.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Live, books, folder, pfs, run, until};

const TOKEN: &str = "correct horse battery staple";

/// A run with a web view, and where that is.
pub(crate) struct Web {
    pub(crate) live: Live,
    pub(crate) at: SocketAddr,
    /// Where it takes datagrams.
    pub(crate) udp: SocketAddr,
}

impl Web {
    #[track_caller]
    pub(crate) fn start(words: &str) -> Self {
        Self::start_at("127.0.0.1:0", words)
    }

    #[track_caller]
    pub(crate) fn start_at(http: &str, words: &str) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let udp = free.expect("a free port");
        let mut command = pfs(&format!(
            "run --from udp:{udp} --prog crc32c,fnv64 --http {http} -v --json --metrics 127.0.0.1:0 --no-control"
        ));
        command.args(words.split_whitespace());
        let live = Live::spawn(command);
        let told = live.told.split_once("web view at http://").expect("told").1;
        let at: SocketAddr = told.split('/').next().expect("an address").parse().expect("is one");
        Self { live, at: SocketAddr::new([127, 0, 0, 1].into(), at.port()), udp }
    }

    /// Sends `count` datagrams, and waits until the run has taken them all.
    pub(crate) fn send(&self, count: u64) {
        let before = self.live.counters()["pfs_worker_consumed_packets_total"];
        let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
        for n in 0..count {
            sender.send_to(&[n as u8; 200], self.udp).expect("sends");
            if n % 50 == 49 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        until("all packets", || {
            self.live.counters()["pfs_worker_consumed_packets_total"] == before + count
        });
    }

    /// Sends `request` as it is; the answer's status and all of its text.
    pub(crate) fn raw(&self, request: &[u8]) -> (u16, String) {
        raw(self.at, request)
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        self.raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
                .as_bytes(),
        )
    }

    #[track_caller]
    fn body(&self, path: &str) -> String {
        let (status, text) = self.get(path, "");
        assert_eq!(status, 200, "{path}: {text}");
        text.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }
}

fn raw(at: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(at).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("is set");
    // A server that has heard enough may close before all is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

/// Counters of a page of metrics by name, summed over their labels.
fn sums(page: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().unwrap_or(series);
        *sums.entry(name.to_owned()).or_default() += value.parse::<u64>().expect("a number");
    }
    sums
}

#[test]
fn every_page_is_there_and_tells_the_same() {
    let web = Web::start("");
    web.send(500);
    assert_eq!(web.body("/healthz"), "ok\n");
    for (path, kind) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/app.js", "text/javascript"),
        ("/drawing.js", "text/javascript"),
        ("/figures.js", "text/javascript"),
        ("/chart.js", "text/javascript"),
        ("/zoom.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let (status, text) = web.get(path, "");
        let head = text.split("\r\n\r\n").next().expect("a head").to_lowercase();
        assert_eq!(status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
    }
    let plan: Value = serde_json::from_str(&web.body("/plan.json")).expect("is JSON");
    assert_eq!(plan["rules"][0]["program"], "crc32c,fnv64");
    assert_eq!(plan["granted"]["receivers"][0]["backend"]["backend"], "udp");
    assert!(plan["granted"]["lanes"]["bytes"].as_u64().expect("granted") > 0, "{plan}");
    let mut document = Value::Null;
    until("the figures", || {
        document = serde_json::from_str(&web.body("/live.json")).expect("is JSON");
        document["books"]["consumed"] == 500
    });
    let metrics = sums(&web.body("/metrics"));
    for (name, value) in [
        ("pfs_source_offered_packets_total", &document["books"]["offered"]),
        ("pfs_worker_consumed_packets_total", &document["books"]["consumed"]),
        ("pfs_worker_consumed_bytes_total", &document["workers"][0]["counters"]["consumed_bytes"]),
        ("pfs_residual_packets", &document["books"]["residual"]),
        ("pfs_lane_slots", &document["lanes"][0]["slots"]),
        ("pfs_lane_queued_spans", &document["lanes"][0]["queued"]),
        ("pfs_lane_high_water_spans", &document["lanes"][0]["high_water"]),
        ("pfs_pool_frames", &document["receivers"][0]["frames"]),
        ("pfs_pool_frames_on_loan", &document["receivers"][0]["frames_on_loan"]),
    ] {
        assert_eq!(metrics[name], value.as_u64().expect("a number"), "{name}");
    }
    let most = document["lanes"][0]["high_water"].as_u64().expect("a number");
    assert!((1..=500).contains(&most), "{most} of 500 spans were in the ring at once");
    assert_eq!(metrics["pfs_lane_pushed_spans_total"], 500);
    assert_eq!(metrics["pfs_lane_returned_spans_total"], 500);
    let steps: u64 = document["ops"]
        .as_array()
        .expect("ops")
        .iter()
        .map(|op| op["counters"]["messages"].as_u64().expect("a number"))
        .sum();
    assert_eq!(metrics["pfs_step_messages_packets_total"], steps);
    assert!(document["workers"][0]["latency_total"]["samples"].as_u64().expect("stamped") > 0);
    web.live.signal(Signal::SIGINT);
    assert_eq!(books(&web.live.end().json()), 500);
}

#[test]
fn events_come_each_second_and_the_last_has_the_last_totals() {
    let web = Web::start("");
    let mut stream = BufReader::new(TcpStream::connect(web.at).expect("connects"));
    stream.get_mut().write_all(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("asks");
    let next = |stream: &mut BufReader<TcpStream>| loop {
        let mut line = String::new();
        if stream.read_line(&mut line).expect("reads") == 0 {
            return None;
        }
        if let Some(text) = line.strip_prefix("data: ") {
            return Some(serde_json::from_str::<Value>(text).expect("is JSON"));
        }
    };
    let first = next(&mut stream).expect("a document");
    let second = next(&mut stream).expect("another");
    assert_eq!((&first["state"], &second["state"]), (&"running".into(), &"running".into()));
    assert!(second["sequence"].as_u64() > first["sequence"].as_u64());
    web.send(321);
    web.live.signal(Signal::SIGINT);
    let mut last = second;
    while let Some(document) = next(&mut stream) {
        last = document;
    }
    let report = web.live.end().json();
    assert_eq!(last["state"], "ended");
    assert_eq!(last["books"], report["books"]);
    assert_eq!(books(&report), 321);
}

#[test]
fn every_answer_forbids_what_pages_of_others_could_do() {
    let web = Web::start("");
    for path in ["/", "/metrics", "/nothing", "/events?x"] {
        let method = if path.starts_with("/events") { "POST" } else { "GET" };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (_, text) = web.raw(request.as_bytes());
        let head = text.split("\r\n\r\n").next().expect("a head").to_lowercase();
        for line in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(line), "{path} lacks {line}: {head}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}

#[test]
fn hostile_requests_are_answered_short_and_hold_nothing_up() {
    let web = Web::start("");
    let long = "x".repeat(40_000);
    let many: String = (0..200).map(|n| format!("h{n}: v\r\n")).collect();
    let get =
        |line: &str| format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes();
    for (request, statuses) in [
        (get("GET /../../../../etc/passwd HTTP/1.1"), &[404, 400][..]),
        (get("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), &[404]),
        (get("GET //etc/passwd HTTP/1.1"), &[404]),
        (get("POST / HTTP/1.1"), &[405]),
        (get("DELETE /plan.json HTTP/1.1"), &[405]),
        (get("PUT /metrics HTTP/1.1"), &[405]),
        (get("CONNECT example.org:443 HTTP/1.1"), &[400, 404, 405]),
        (get(&format!("GET /{long} HTTP/1.1")), &[414, 431, 400]),
        (get(&format!("GET / HTTP/1.1\r\nX: {long}")), &[431, 400]),
        (get(&format!("GET / HTTP/1.1\r\n{many}")), &[431, 400]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), &[400]),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_vec(), &[421]),
        (b"GET /plan.json HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), &[421, 400]),
        (
            b"GET /metrics HTTP/1.1\r\nHost: localhost.evil.example\r\nConnection: close\r\n\r\n"
                .to_vec(),
            &[421],
        ),
    ] {
        let (status, text) = web.raw(&request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        assert!(statuses.contains(&status), "{shown}: {status} {text}");
        assert!(!text.contains("root:"), "{shown}: {text}");
    }
    assert_eq!(web.body("/healthz"), "ok\n", "it still serves");
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}

#[test]
fn slow_clients_lose_their_place_and_the_run_ends_all_the_same() {
    let web = Web::start("");
    let connect = || TcpStream::connect(web.at).expect("connects");
    // All places there are, each with a request that never ends.
    let mut slow: Vec<_> = (0..64).map(|_| connect()).collect();
    slow.iter_mut().for_each(|client| client.write_all(b"GET / HTTP/1.1\r\nHo").expect("sends"));
    until("a place", || web.get("/healthz", "").0 == 200);
    for mut client in slow {
        let _ = client.read_to_end(&mut Vec::new());
    }
    // One that asks for events and never reads them.
    let mut deaf = connect();
    deaf.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asks");
    web.send(10);
    web.live.signal(Signal::SIGINT);
    assert_eq!(books(&web.live.end().json()), 10);
}

#[test]
fn a_token_is_needed_where_one_is_set() {
    let place = folder();
    let file = crate::common::file(place.path(), "token", format!("{TOKEN}\n"));
    let web = Web::start_at("0.0.0.0:0", &format!("--http-token @{}", file.display()));
    for path in ["/", "/live.json", "/plan.json", "/events", "/metrics", "/nothing"] {
        assert_eq!(web.get(path, "").0, 401, "{path}");
        assert_eq!(web.get(path, "Authorization: Bearer wrong horse battery\r\n").0, 401, "{path}");
    }
    assert_eq!(web.get("/healthz", "").0, 200);
    assert_eq!(web.get("/plan.json", &format!("Authorization: Bearer {TOKEN}\r\n")).0, 200);
    let (status, text) = web.get(&format!("/?token={}", TOKEN.replace(' ', "%20")), "");
    assert_eq!(status, 303, "{text}");
    let line = |name: &str| {
        let found = text.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert_eq!(line("location"), "/");
    let cookie = line("set-cookie");
    assert!(cookie.contains("HttpOnly") && !cookie.contains("horse"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair");
    assert_eq!(web.get("/live.json", &format!("Cookie: {pair}\r\n")).0, 200);
    assert_eq!(web.get("/live.json", &format!("Cookie: {pair}0\r\n")).0, 401);
    web.live.signal(Signal::SIGINT);
    web.live.end().ok();
}

#[test]
fn addresses_and_tokens_that_cannot_be_are_refused() {
    let source = "run --from memory:64,packets=1 --no-control";
    run(&format!("{source} --http 0.0.0.0:0")).fails(2, &["--http-token", "127.0.0.1"]);
    run(&format!("{source} --http 0.0.0.0:0 --http-token short")).fails(2, &["16 characters"]);
    run(&format!("{source} --http-token @/no/such/file")).fails(2, &["/no/such/file"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound");
    run(&format!("{source} --http {address}"))
        .fails(1, &[&address.to_string(), "--http", "in use"]);
}

#[test]
fn metrics_alone_serve_nothing_else() {
    let live = Live::start("--from udp:127.0.0.1:0 --no-control");
    let at = live.told.split_once("metrics at http://").expect("told").1;
    let at: SocketAddr = at.split('/').next().expect("an address").parse().expect("is one");
    for path in ["/", "/plan.json", "/events", "/live.json", "/app.js"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw(at, request.as_bytes()).0, 404, "{path}");
    }
    live.signal(Signal::SIGINT);
    live.end().ok();
}
