//! Servers under one client: RESP beside redis-server, and the line grammar; millions of commands
//! per second of the server's CPU time, every reply compared.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pfs_kv::servers::{Limits, Serve};
use pfs_kv::{DurableSettings, Store, StoreSettings};

use super::client::{Client, Script, bulk, command};
use super::workload::{Figures, Workload};

/// Connections of the client.
const CONNECTIONS: usize = 16;
/// Rows of one reply to `PAIR_SCAN`.
const PAGE: usize = 100;
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves in this process with `loops` loops until standard input ends; `folder` for a store on disk.
///
/// # Errors
/// When the store or the server does not start, or ends with an error.
pub(super) fn serve(folder: Option<&Path>, loops: usize) -> Result<(), String> {
    let settings = StoreSettings {
        shards: loops as u32,
        memory_bytes: 4 << 30,
        folder: folder.map(Path::to_path_buf),
        durable: DurableSettings::default(),
    };
    let store = Store::open(&settings).map_err(|error| error.to_string())?;
    let serve = Serve {
        resp: Some(LOOPBACK),
        cheetah: Some(LOOPBACK),
        limits: Limits::default(),
        loops,
        ..Serve::default()
    };
    let server = serve.start(store).map_err(|error| error.to_string())?;
    if let (Some(resp), Some(lines)) = (server.resp(), server.cheetah()) {
        println!("ports {} {}", resp.port(), lines.port());
    }
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).map_err(|error| error.to_string())?;
    server.stop().map(drop).map_err(|error| error.to_string())
}

/// A server in a process of its own, which ends with this.
struct Served {
    child: Child,
    resp: SocketAddr,
    lines: Option<SocketAddr>,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; nothing of it is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn ours(folder: Option<&Path>, loops: usize) -> Result<Self, String> {
        let loops = loops.to_string();
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        match folder {
            Some(folder) => command.args(["kv", "--child", "serve-disk", &loops]).arg(folder),
            None => command.args(["kv", "--child", "serve", &loops, "."]),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let mut ports = line.split_whitespace().skip(1).filter_map(|port| port.parse().ok());
        let address = |port: Option<u16>| port.map(|port| SocketAddr::new(LOOPBACK.ip(), port));
        let (resp, lines) = (address(ports.next()), address(ports.next()));
        let resp = resp.ok_or("the server told no port")?;
        Ok(Self { child, resp, lines })
    }

    /// `None` when there is no redis-server.
    fn redis(folder: Option<&Path>) -> Result<Option<Self>, String> {
        let free = TcpListener::bind(LOOPBACK).and_then(|listener| listener.local_addr());
        let resp = free.map_err(|error| error.to_string())?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &resp.port().to_string(), "--bind", "127.0.0.1", "--save", ""]);
        match folder {
            Some(folder) => command
                .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
                .arg(folder),
            None => command.args(["--appendonly", "no"]),
        };
        let Ok(child) = command.stdout(Stdio::null()).spawn() else { return Ok(None) };
        let served = Self { child, resp, lines: None };
        let began = Instant::now();
        while TcpStream::connect(resp).is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(served))
    }

    /// Seconds of CPU time so far, of all its threads.
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanoseconds = |task: std::fs::DirEntry| -> Option<f64> {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        tasks.into_iter().flatten().flatten().filter_map(nanoseconds).sum::<f64>() / 1e9
    }

    /// Plays `script`, which does `count` things: millions per CPU second and per second.
    fn measure(
        &self,
        address: SocketAddr,
        connections: usize,
        script: &Script,
        count: usize,
    ) -> Result<(f64, f64), String> {
        let mut client =
            Client::connect(address, connections).map_err(|error| error.to_string())?;
        let (cpu, began) = (self.cpu(), Instant::now());
        client.play(script)?;
        let (wall, cpu) = (began.elapsed().as_secs_f64(), (self.cpu() - cpu).max(1e-6));
        Ok((count as f64 / cpu / 1e6, count as f64 / wall / 1e6))
    }
}

/// Measures `engine`: `pfs-served`, `pfs-served-2` (two loops) or `redis`, with `keys` keys.
///
/// # Errors
/// When a reply is wrong or a server does not start. No figures when there is no redis-server.
pub(super) fn measure(engine: &str, keys: usize, folder: &Path) -> Result<Figures, String> {
    let work = Workload::new(keys, 1);
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let start = |folder: Option<&Path>| match engine {
        "redis" => Served::redis(folder),
        "pfs-served-2" => Served::ours(folder, 2).map(Some),
        _ => Served::ours(folder, 1).map(Some),
    };
    let mut figures = Figures::new();
    let Some(server) = start(None)? else { return Ok(figures) };
    resp(&server, &work, &mut figures)?;
    if let Some(address) = server.lines {
        lines(&server, address, &work, engine == "pfs-served", &mut figures)?;
    }
    drop(server);
    if let Some(server) = start(Some(folder.path()))? {
        let sets = sets(&work, keys / 10);
        let (_, wall) = server.measure(server.resp, CONNECTIONS, &sets, keys / 10)?;
        figures.push(("resp_durable".into(), wall));
    }
    Ok(figures)
}

fn sets(work: &Workload, count: usize) -> Script {
    let mut script = Script::default();
    for (key, value) in work.keys.iter().zip(work.values.iter()).take(count) {
        script.add(|request, reply| {
            command(request, &[b"SET", key, value]);
            reply.extend_from_slice(b"+OK\r\n");
        });
    }
    script
}

fn resp(server: &Served, work: &Workload, figures: &mut Figures) -> Result<(), String> {
    let n = work.keys.len();
    let set = sets(work, n);
    // The first time memory is taken from the system; the second time it is there.
    for name in ["resp_first_set", "resp_set"] {
        let (cpu, _) = server.measure(server.resp, CONNECTIONS, &set, n)?;
        figures.push((name.into(), cpu));
    }
    let mut random = super::workload::Random(5);
    let mut get = Script::default();
    for _ in 0..n {
        let index = (random.draw() % n as u64) as usize;
        get.add(|request, reply| {
            command(request, &[b"GET", work.keys.get(index)]);
            bulk(reply, work.values.get(index));
        });
    }
    let (cpu, _) = server.measure(server.resp, CONNECTIONS, &get, n)?;
    figures.push(("resp_get".into(), cpu));
    Ok(())
}

fn lines(
    server: &Served,
    address: SocketAddr,
    work: &Workload,
    counts_from_1: bool,
    figures: &mut Figures,
) -> Result<(), String> {
    let n = work.keys.len();
    let [mut insert, mut read, mut pairs, mut scan] = [(); 4].map(|()| Script::default());
    for index in 0..n {
        let (key, absolute) = (work.keys.get(index), index + 1);
        let key = String::from_utf8_lossy(key);
        insert.add(|request, reply| {
            request.extend_from_slice(format!("INSERT:{} {key}\n", key.len()).as_bytes());
            reply.extend_from_slice(format!("SUCCESS,key={absolute}\n").as_bytes());
        });
        read.add(|request, reply| {
            request.extend_from_slice(format!("READ {absolute}\n").as_bytes());
            let size = key.len();
            reply.extend_from_slice(format!("SUCCESS,size={size},value={key}\n").as_bytes());
        });
        pairs.add(|request, reply| {
            request.extend_from_slice(format!("PAIR_SET {key} {absolute}\n").as_bytes());
            reply.extend_from_slice(b"SUCCESS,pair_set\n");
        });
    }
    let rows = pages(work, &mut scan);
    // One connection inserts: absolute keys are given out in the order of the commands.
    let parts = [
        ("insert", 1, insert, n),
        ("read", CONNECTIONS, read, n),
        ("pair_set", CONNECTIONS, pairs, n),
        ("pair_scan", CONNECTIONS, scan, rows),
    ];
    // Loops give absolute keys out each for itself: which ones is not known beforehand.
    for (name, connections, script, count) in
        parts.into_iter().skip(if counts_from_1 { 0 } else { 2 })
    {
        let (cpu, _) = server.measure(address, connections, &script, count)?;
        figures.push((name.into(), cpu));
    }
    Ok(())
}

/// Pages of all pairs in order, each from a cursor on; the number of rows.
fn pages(work: &Workload, script: &mut Script) -> usize {
    let mut all: Vec<(&[u8], usize)> = work.keys.iter().zip(1..).collect();
    all.sort_unstable();
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (mut cursor, mut rows) = (String::new(), 0);
    for page in all.chunks_exact(PAGE) {
        rows += page.len();
        script.add(|request, reply| {
            request.extend_from_slice(format!("PAIR_SCAN * {PAGE}{cursor}\n").as_bytes());
            let last = page.last().map_or(String::new(), |(key, _)| hex(key));
            cursor = format!(" x{last}");
            let items: Vec<String> =
                page.iter().map(|(key, absolute)| format!("{}:{absolute}", hex(key))).collect();
            let items = items.join(";");
            let next =
                if rows < all.len() { format!(",next_cursor=x{last}") } else { String::new() };
            reply.extend_from_slice(
                format!("SUCCESS,count={PAGE}{next},items={items}\n").as_bytes(),
            );
        });
    }
    rows
}
