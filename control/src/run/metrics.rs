//! `/metrics`: the counters as Prometheus text, over a socket that serves nothing else.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pfs_dataplane::counters::{CounterDef, ReceiverCounters, SourceCounters, WorkerCounters};
use pfs_dataplane::run::Snapshot;

/// Longest request that is read.
const REQUEST_BYTES: usize = 4096;
/// How long a client may take to send its request, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page that is served; the run replaces it now and then.
pub(super) type Page = Arc<Mutex<String>>;

/// Serves `page` at `address` until the process ends.
///
/// One client at a time, each for two seconds at most: a scraper needs no more, and a client
/// that never reads holds up none but other clients.
///
/// # Errors
/// When the address cannot be bound; its thread never ends the run.
pub(super) fn serve(address: SocketAddr, page: Page) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    thread::Builder::new().name("pfs-metrics".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&stream, &page) {
                tracing::debug!("metrics client: {error}");
            }
        }
    })?;
    Ok(bound)
}

fn answer(mut stream: &TcpStream, page: &Page) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; REQUEST_BYTES];
    let mut len = 0;
    while !request[..len].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut request[len..])? {
            0 => break,
            more => len += more,
        }
    }
    let (status, body) = match request[..len].split(|&byte| byte == b' ').collect::<Vec<_>>()[..] {
        [b"GET", b"/metrics", ..] => {
            ("200 OK", page.lock().unwrap_or_else(PoisonError::into_inner).clone())
        }
        [b"GET", ..] => ("404 Not Found", "only /metrics is served here\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is served here\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// The counters of `snapshot` in Prometheus' text format; `sources` are the receivers' names.
pub(super) fn render(snapshot: &Snapshot, sources: &[String]) -> String {
    let mut text = String::new();
    let named = |at: usize| sources.get(at).map_or("?", String::as_str);
    let source: Vec<_> = snapshot.receivers.iter().map(|(source, _)| source.values()).collect();
    let receiver: Vec<_> = snapshot.receivers.iter().map(|(_, own)| own.values()).collect();
    let worker: Vec<_> = snapshot.workers.iter().map(WorkerCounters::values).collect();
    family(&mut text, "source", SourceCounters::TABLE, &source, |at| {
        format!("receiver=\"{at}\",source=\"{}\"", escape(named(at)))
    });
    family(&mut text, "receiver", ReceiverCounters::TABLE, &receiver, |at| {
        format!("receiver=\"{at}\",source=\"{}\"", escape(named(at)))
    });
    family(&mut text, "worker", WorkerCounters::TABLE, &worker, |at| format!("worker=\"{at}\""));
    engines(&mut text, snapshot);
    let books = snapshot.books();
    for (name, help, value) in [
        ("in_flight_packets", "Packets handed to workers and not yet finished.", books.in_flight),
        ("residual_packets", "Packets that the books cannot account for.", books.residual),
    ] {
        let _ =
            write!(text, "# HELP pfs_{name} {help}\n# TYPE pfs_{name} gauge\npfs_{name} {value}\n");
    }
    text
}

fn family(
    text: &mut String,
    group: &str,
    table: &[CounterDef],
    rows: &[impl AsRef<[u64]>],
    labels: impl Fn(usize) -> String,
) {
    for (column, def) in table.iter().enumerate() {
        let unit = def.unit.name();
        let stem = def.name.strip_suffix(unit).unwrap_or(def.name).trim_end_matches('_');
        let name = ["pfs", group, stem, unit, "total"].into_iter().filter(|part| !part.is_empty());
        let name = name.collect::<Vec<_>>().join("_");
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} counter\n", def.help);
        for (at, row) in rows.iter().enumerate() {
            let _ = writeln!(text, "{name}{{{}}} {}", labels(at), row.as_ref()[column]);
        }
    }
}

/// Counters of engine ops, a family each, over all workers and rules that have them.
fn engines(text: &mut String, snapshot: &Snapshot) {
    let mut groups: Vec<(&str, &[CounterDef])> = Vec::new();
    for engine in &snapshot.engines {
        if groups.iter().all(|(group, _)| *group != engine.group) {
            groups.push((engine.group, engine.table));
        }
    }
    for (group, table) in groups {
        let mine: Vec<_> = snapshot.engines.iter().filter(|e| e.group == group).collect();
        let rows: Vec<&[u64]> = mine.iter().map(|engine| engine.values.as_slice()).collect();
        family(text, group, table, &rows, |at| {
            let engine = mine[at];
            let (rule, op) = (escape(&engine.rule), escape(&engine.op));
            format!("worker=\"{}\",rule=\"{rule}\",op=\"{op}\"", engine.worker)
        });
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
