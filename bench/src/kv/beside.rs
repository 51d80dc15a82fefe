//! How long writers wait for shards that a server takes as well, as packets do in a run.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pfs_kv::servers::{Serve, Server};
use pfs_kv::{Op, Replies, Reply, SharedStore, Store, StoreSettings};

use super::workload::{Figures, Workload};

/// Operations that a writer executes with one hold of the shard: a batch of packets.
const BATCH: usize = 64;
/// Clients at a time.
const CLIENTS: usize = 4;
/// How long each kind of client goes on.
const LONG: Duration = Duration::from_secs(4);

/// What clients do meanwhile: a name, their request, lines of its reply, and whether it goes to RESP.
const KINDS: [(&str, &str, usize, bool); 3] = [
    ("none", "", 0, true),
    ("gets", "GET nobody\r\n", 16, true),
    ("summaries", "PAIR_SUMMARY *\n", 1, false),
];

/// Microseconds that batches waited for their shard, at the middle, at 99 and at 99.9 of 100, beside
/// clients of each kind; one shard, a pair for each key of `work`.
///
/// # Errors
/// When the store or the server does not start, or an answer is wrong.
pub(super) fn measure(work: &Workload) -> Result<Figures, String> {
    let settings = StoreSettings { memory_bytes: 4 << 30, ..StoreSettings::default() };
    let store = Store::open(&settings).map_err(|error| error.to_string())?;
    let store = SharedStore::from(store);
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let serve = Serve { resp: Some(any), cheetah: Some(any), ..Serve::default() };
    let server = serve.start_beside(&store).map_err(|error| error.to_string())?;
    let pairs = store.database("default").map_err(|error| error.to_string())?.pairs();
    let keys: Vec<&[u8]> = work.keys.iter().collect();
    let value = pfs_kv::pair_value(0);
    let put = |keys: &[&[u8]], replies: &mut Replies, waits: &mut Vec<f64>| {
        let ops: Vec<Op<'_>> = keys.iter().map(|key| Op::put(pairs, key, &value)).collect();
        let began = Instant::now();
        let Some(mut shard) = store.shard(0) else { return false };
        waits.push(began.elapsed().as_secs_f64() * 1e6);
        shard.execute(&ops, replies);
        replies.iter().all(|reply| reply == Reply::Done)
    };
    let (mut replies, mut figures) = (Replies::new(), Figures::new());
    let mut filled = keys.chunks(BATCH);
    if !filled.all(|keys| put(keys, &mut replies, &mut Vec::new())) {
        return Err("a put was refused".into());
    }
    for (name, request, lines, resp) in KINDS {
        let mut waits = beside(&server, (request, lines, resp), |waits| {
            keys.chunks(BATCH).take(64).all(|keys| put(keys, &mut replies, waits))
        })?;
        waits.sort_unstable_by(f64::total_cmp);
        for (part, of) in [("p50", 500), ("p99", 990), ("p999", 999)] {
            let at = waits.get(waits.len() * of / 1000).copied().unwrap_or_default();
            figures.push((format!("beside_{name}_{part}"), at));
        }
    }
    server.stop().map_err(|error| error.to_string())?;
    Ok(figures)
}

/// The waits of `write`, again and again, beside clients that ask one thing.
fn beside(
    server: &Server,
    (request, lines, resp): (&str, usize, bool),
    mut write: impl FnMut(&mut Vec<f64>) -> bool,
) -> Result<Vec<f64>, String> {
    let address = if resp { server.resp() } else { server.cheetah() };
    let address = address.ok_or("the server does not listen")?;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = || ask(address, &request.repeat(lines), lines, &ended);
        let clients: Vec<_> =
            (0..if lines == 0 { 0 } else { CLIENTS }).map(|_| scope.spawn(client)).collect();
        let (mut waits, mut right) = (Vec::new(), true);
        let began = Instant::now();
        while began.elapsed() < LONG && right {
            right = write(&mut waits);
        }
        ended.store(true, Ordering::Release);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        if right { Ok(waits) } else { Err("a put was refused".into()) }
    })
}

/// Sends `request` and reads as many lines, until told to end.
fn ask(address: SocketAddr, request: &str, lines: usize, ended: &AtomicBool) -> Result<(), String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !ended.load(Ordering::Acquire) {
        stream.get_mut().write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        for _ in 0..lines {
            line.clear();
            stream.read_line(&mut line).map_err(|error| error.to_string())?;
            if !line.starts_with("$-1") && !line.starts_with("SUCCESS,") {
                return Err(format!("wrong answer: {line}"));
            }
        }
    }
    Ok(())
}
