//! `pfs kv`: a server and what asks it, over TCP and over a folder.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Done, done, file, folder, pfs, run, until, with_full_disk};

/// A `pfs kv serve` on free ports. Killed when dropped.
struct Served {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    told: String,
    resp: SocketAddr,
    cheetah: SocketAddr,
}

impl Served {
    #[track_caller]
    fn start(words: &str) -> Self {
        Self::spawn(pfs(&format!("kv serve --resp 127.0.0.1:0 --cheetah 127.0.0.1:0 {words}")))
    }

    #[track_caller]
    fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut told = String::new();
        while !told.contains("serving, pid") {
            assert!(out.read_line(&mut told).expect("reads") > 0, "pfs kv serve ended: {told}");
        }
        let address = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)).expect("an address");
            line.parse().expect("an address")
        };
        let (resp, cheetah) = (address("RESP on "), address("lines on "));
        Self { child, out, told, resp, cheetah }
    }

    /// A command of `pfs kv` at this server.
    fn kv(&self, words: &str) -> Done {
        run(&format!("kv {words} --server {} --cheetah {}", self.resp, self.cheetah))
    }

    /// What lines of the grammar answer.
    fn lines(&self, lines: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(self.cheetah).expect("connects");
        stream.write_all(lines.as_bytes()).expect("writes");
        let replies = BufReader::new(stream).lines().take(lines.lines().count());
        replies.map(|line| line.expect("reads")).collect()
    }

    /// Ends it by `signal`; what it said.
    fn end(mut self, signal: Signal) -> Done {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("is there");
        let status = self.child.wait().expect("ends");
        let mut out = std::mem::take(&mut self.told);
        self.out.read_to_string(&mut out).expect("reads");
        Done { code: status.code().unwrap_or(-1), out, err: String::new() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `pfs` with `words` and `input`; standard output as bytes.
#[track_caller]
fn piped(words: &str, input: &[u8]) -> Vec<u8> {
    let mut child = pfs(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(input).expect("writes");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn keys_and_values_of_any_bytes_are_set_read_and_deleted() {
    let server = Served::start("--memory");
    server.kv("set a:1 one").ok();
    server.kv("set --form hex 00ff0a 0d0a5c00").ok();
    server.kv("set --form escape a:\\x00 \\t").ok();
    assert_eq!(server.kv("get a:1").ok(), "one", "nothing is added where no terminal reads");
    assert_eq!(server.kv("get --form hex 00ff0a").ok(), "0d0a5c00\n");
    assert_eq!(server.kv("get --form escape a:\\x00").ok(), "\\t\n");
    assert_eq!(server.kv("scan").ok(), "\\x00\\xff\\n\na:\\x00\na:1\n");
    assert_eq!(server.kv("scan a: --values --limit 1").ok(), "a:\\x00\t\\t\n");
    assert_eq!(server.kv("scan --form hex 00").ok(), "00ff0a\n");
    server.kv("get a:2").fails(1, &["no key a:2", "default"]);
    server.kv("get a:1 --db 3").fails(1, &["database 3"]);
    server.kv("set a:1 two --absent").fails(1, &["a:1 is there already"]);
    server.kv("set a:2 two --present").fails(1, &["a:2 is not there"]);
    server.kv("set a:9 gone --ttl-ms 1").ok();
    until("expiry", || server.kv("get a:9").code == 1);
    assert_eq!(server.kv("del a:1 a:2 a:9").ok(), "1\n");
    // A pattern's letters mean themselves in a prefix.
    server.kv("set a*b[c]\\ x").ok();
    assert_eq!(server.kv("scan --form raw a*b[").ok(), "a*b[c]\\\n");
    assert_eq!(server.kv("scan --form raw a?").ok(), "");
    let value: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let at = format!("--server {}", server.resp);
    piped(&format!("kv set big --value-file - {at}"), &value);
    assert_eq!(piped(&format!("kv get big {at}"), b""), value);
    let stats = server.kv("stats --json").json();
    assert_eq!(stats["keyspace"]["db0"], "keys=4", "{stats}");
    assert!(server.kv("stats").ok().contains("# Server"));
    assert!(server.end(Signal::SIGINT).ok().contains("stopped: "));
}

#[test]
fn a_stopped_server_leaves_everything_in_its_folder() {
    let folder = folder();
    let dir = folder.path().join("store").display().to_string();
    for (fsync, signal) in [
        ("always", Signal::SIGTERM),
        ("group:1000:1MiB", Signal::SIGINT),
        ("never", Signal::SIGTERM),
    ] {
        let server = Served::start(&format!("--dir {dir} --fsync {fsync} --shards 3"));
        server.kv(&format!("set {fsync} kept")).ok();
        let inside = run(&format!("kv get {fsync} --dir {dir}"));
        inside.fails(1, &["is open in process", &server.child.id().to_string()]);
        let second = format!("kv serve --dir {dir} --resp 127.0.0.1:0 --cheetah none");
        run(&second).fails(1, &["is open in process", &server.child.id().to_string()]);
        server.end(signal).ok();
        assert_eq!(run(&format!("kv get {fsync} --dir {dir}")).ok(), "kept");
    }
    let server = Served::start(&format!("--dir {dir}"));
    assert!(server.told.contains("3 shards, 3 keys"), "{}", server.told);
    server.end(Signal::SIGTERM).ok();
    run(&format!("kv serve --dir {dir} --shards 2 --resp none --cheetah 127.0.0.1:0"))
        .fails(1, &["made with 3 shards"]);
    run("kv get x --dir /nonexistent/x").fails(1, &["/nonexistent/x holds no store"]);
    run(&format!("kv set x y --dir {dir}")).ok();
    assert_eq!(run(&format!("kv scan --dir {dir}")).ok().lines().count(), 4);
}

#[test]
fn a_write_cut_short_is_reported() {
    let folder = folder();
    let dir = folder.path().display().to_string();
    run(&format!("kv set a 1 --dir {dir}")).ok();
    let shard = folder.path().join("shard-0");
    let log = fs::read_dir(&shard).expect("lists").map(|entry| entry.expect("an entry").path());
    let log =
        log.filter(|path| path.extension().is_some_and(|ext| ext == "log")).max().expect("a log");
    let bytes = fs::read(&log).expect("reads");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    // A frame that was under way: its beginning, then nothing.
    let mut cut = bytes.clone();
    cut[end..end + 100].fill(0x5a);
    fs::write(&log, cut).expect("writes");
    let server = Served::start(&format!("--dir {dir}"));
    assert!(server.told.contains("cut "), "{}", server.told);
    assert_eq!(server.kv("get a").ok(), "1");
}

#[test]
fn exports_are_imports() {
    let server = Served::start("--memory");
    for n in 0..1500 {
        // Every byte is somewhere in a key and in a value.
        server_set(&server, n);
    }
    server.kv("set soon x --ttl-ms 86400000").ok();
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for format in ["json", "plain"] {
        let exported = path(format);
        let told = server.kv(&format!("export --format {format} -o {exported}")).ok();
        assert!(told.contains("1,501 keys written"), "{told}");
        let other = Served::start("--memory");
        let told = other.kv(&format!("import --format {format} {exported}")).ok();
        assert_eq!(told, "1,501 keys set\n");
        let again = path("again");
        other.kv(&format!("export --format {format} -o {again}")).ok();
        assert_eq!(fs::read(&again).expect("reads"), fs::read(&exported).expect("reads"));
        // A pipe, and a folder.
        let dir = path(&format!("store-{format}"));
        let lines = piped(
            &format!("kv export --format {format} --only keys --server {}", server.resp),
            b"",
        );
        piped(&format!("kv import --format {format} --dir {dir}"), &lines);
        let found = piped(&format!("kv export --format {format} --dir {dir}"), b"");
        assert_eq!(found, fs::read(&exported).expect("reads"), "{format}");
    }
    let some = server.kv("export --format plain soon").ok();
    assert!(some.starts_with("soon\tx\t") && some.lines().count() == 1, "{some}");
}

#[test]
fn pairs_are_exported_with_what_they_lead_to() {
    let server = Served::start("--memory");
    server.kv("set key value").ok();
    // Two pairs lead to one value, one is hidden, one leads nowhere; a value has blanks at its end.
    let mut lines = "INSERT:7  value \nINSERT other\nDELETE 2\nINSERT third\n".to_owned();
    lines +=
        "PAIR_SET a 1\nPAIR_SET b 1\nPAIR_SET x00ff0a 3\nPAIR_SET_HIDDEN c 3\nPAIR_SET d 1999\n";
    (0..1200).for_each(|n| lines += &format!("PAIR_SET many:{n:04} {}\n", 1 + n % 3));
    let replies = server.lines(&lines);
    assert!(replies.iter().all(|reply| reply.starts_with("SUCCESS")), "{replies:?}");
    let folder = folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for format in ["json", "plain"] {
        let exported = path(format);
        let told = server.kv(&format!("export --format {format} -o {exported}")).ok();
        assert!(told.contains("1 keys and 1,205 pairs written"), "{told}");
        let dir = path(&format!("store-{format}"));
        // Absolute keys of a store that has given some out are others.
        let other = Served::start(&format!("--dir {dir} --threads 2 --shards 5"));
        other.lines("INSERT x\nINSERT y\nINSERT z\n");
        let told = other.kv(&format!("import --format {format} {exported}")).ok();
        assert_eq!(told, "1 keys and 1,205 pairs set\n");
        let rows = |server: &Served, rest: &str| {
            let reply = server.lines(&format!("PAIR_REDUCE raw {rest}\n")).remove(0);
            let items = reply.split_once("items=").expect("items").1.to_owned();
            let row = |row: &str| {
                let fields: Vec<_> = row.split(':').collect();
                (fields[0].to_owned(), fields[2].to_owned())
            };
            items.split(';').map(row).collect::<Vec<_>>()
        };
        // What led nowhere leads nowhere, also when every number that it may have had is given out.
        other.lines(&"INSERT later\n".repeat(2000));
        for rest in ["* 0", "* 0 include_hidden=1"] {
            assert_eq!(rows(&other, rest), rows(&server, rest), "{format} {rest}");
        }
        let same = other.lines("PAIR_GET a\nPAIR_GET b\nPAIR_GET d\nPAIR_GET many:0001\n");
        assert!(same[0] == same[1] && same[2] == same[3], "{same:?}");
        assert!(other.end(Signal::SIGTERM).ok().contains("stopped"));
        let only = run(&format!("kv export --format plain --only pairs --dir {dir} many:000")).ok();
        assert_eq!(only.lines().count(), 10);
        assert!(only.lines().all(|line| line.starts_with("\\P\tmany:000")), "{only}");
    }
    let bad = file(folder.path(), "bad", "\\P\tok\n\\P\tend\t1\ta\\nb\n");
    server
        .kv(&format!("import --format plain {}", bad.display()))
        .fails(1, &["bad line 2", "a line's end", "0 keys and 1 pairs were set before"]);
}

fn server_set(server: &Served, n: u32) {
    let mut stream = TcpStream::connect(server.resp).expect("connects");
    let key = [n as u8, (n >> 8) as u8, b'\n', b'k'];
    let value: Vec<u8> = (0..n % 300).map(|at| (at ^ n) as u8).collect();
    let mut bytes = format!("*3\r\n$3\r\nSET\r\n${}\r\n", key.len()).into_bytes();
    bytes.extend_from_slice(&key);
    bytes.extend_from_slice(format!("\r\n${}\r\n", value.len()).as_bytes());
    bytes.extend_from_slice(&value);
    bytes.extend_from_slice(b"\r\n");
    stream.write_all(&bytes).expect("writes");
    let mut reply = [0; 5];
    stream.read_exact(&mut reply).expect("reads");
    assert_eq!(&reply, b"+OK\r\n");
}

#[test]
fn lines_that_cannot_be_imported_are_named() {
    let server = Served::start("--memory");
    let folder = folder();
    let plain = file(folder.path(), "plain", "a\t1\nb\t2\nc\n");
    server
        .kv(&format!("import --format plain {}", plain.display()))
        .fails(1, &["plain line 3", "no tab", "2 keys were set before"]);
    assert_eq!(server.kv("scan").ok(), "a\nb\n");
    let json = file(folder.path(), "json", "{\"key\":\"a\"}\n");
    server.kv(&format!("import {}", json.display())).fails(1, &["json line 1", "value_hex"]);
    server.kv("import /nonexistent/x").fails(1, &["/nonexistent/x"]);
    server.kv("export -o /proc/x").fails(1, &["/proc/x"]);
}

#[test]
fn pairs_are_summed_up_and_reduced() {
    let server = Served::start("--memory");
    // Layout `continuation`: version 1, token 7, contexts 3 and 4; none of their bytes ends a line.
    let mut stream = TcpStream::connect(server.cheetah).expect("connects");
    for contexts in [3, 4] {
        stream.write_all(b"INSERT:9 \x01\0\0\0\x07\0\0\0").expect("writes");
        stream.write_all(&[contexts, b'\n']).expect("writes");
    }
    stream.write_all(b"PAIR_SET xff01 1\nPAIR_SET xff02 2\n").expect("writes");
    let replies = BufReader::new(stream).lines().take(4).map(|line| line.expect("reads"));
    assert!(replies.into_iter().all(|line| line.starts_with("SUCCESS")));
    let sum = server.kv("summary --form hex ff --json").json();
    assert_eq!((&sum["count"], &sum["total_payload_bytes"]), (&2.into(), &18.into()), "{sum}");
    assert_eq!(sum["branches"].as_array().expect("branches").len(), 2, "{sum}");
    let text = server.kv("summary").ok();
    assert!(text.contains("count         2\n") && text.contains("min_key       xff01"), "{text}");
    let reduced = server.kv("reduce continuation --form hex ff --json").json();
    assert_eq!((&reduced["payloads"], &reduced["refused"]), (&2.into(), &0.into()), "{reduced}");
    assert_eq!(reduced["top"][0], "7:2:7:3:4", "{reduced}");
    assert_eq!(server.kv("reduce raw --json").json()["items"].as_array().expect("rows").len(), 2);
    assert_eq!(server.lines("DATABASE other\nPAIR_SET a 5\n").len(), 2);
    assert_eq!(server.kv("summary --db other --json").json()["count"], 1);
}

#[test]
fn databases_are_no_paths() {
    let folder = folder();
    let server = Served::start(&format!("--dir {}", folder.path().join("s").display()));
    for name in ["../evil", "..", "/etc", "a/b", "-x", "a\u{0}b"] {
        // No argument can hold NUL; a line can.
        if !name.contains('\0') {
            for command in ["summary", "reduce raw"] {
                server.kv(&format!("{command} --db={name}")).fails(2, &["letters, digits"]);
            }
            server.kv(&format!("get x --db={name}")).fails(2, &["default and 1 to 15"]);
        }
        let replies = server.lines(&format!("DATABASE {name}\n"));
        assert!(replies[0].starts_with("ERROR"), "{name}: {replies:?}");
    }
    server.kv("get x --db 16").fails(2, &["default and 1 to 15"]);
    server.end(Signal::SIGTERM).ok();
    let found = crate::common::names(folder.path());
    assert_eq!(found, ["s"], "nothing was made beside the store");
}

#[test]
fn a_password_is_asked_for() {
    let folder = folder();
    let right = file(folder.path(), "right", "s3 cret\n");
    let wrong = file(folder.path(), "wrong", "s3 creT\n");
    let empty = file(folder.path(), "empty", "\n");
    let server = Served::start(&format!("--memory --auth file:{}", right.display()));
    let auth = |path: &Path| format!("--auth file:{}", path.display());
    server.kv(&format!("set a 1 {}", auth(&right))).ok();
    server.kv("get a").fails(1, &["NOAUTH", "--auth"]);
    server.kv(&format!("get a {}", auth(&wrong))).fails(1, &["WRONGPASS"]);
    server.kv("summary").fails(1, &["ERROR"]);
    server.kv(&format!("summary {}", auth(&wrong))).fails(1, &["AUTH"]);
    assert!(server.kv(&format!("summary {}", auth(&right))).ok().contains("count"));
    server.kv(&format!("get a {}", auth(&empty))).fails(1, &["holds no password"]);
    server.kv("get a --auth env:PFS_NO_SUCH").fails(1, &["PFS_NO_SUCH", "no password"]);
    // Not repeated: it may be the password.
    let told = server.kv("get a --auth s3cret").fails(2, &["env:NAME"]);
    assert!(told.err.matches("s3cret").count() <= 1, "{told:?}");
    let mut command = pfs(&format!("kv get a --auth env:PFS_TEST_SECRET --server {}", server.resp));
    command.env("PFS_TEST_SECRET", "s3 cret");
    assert_eq!(done(command).ok(), "1");
}

#[test]
fn what_cannot_be_served_is_said() {
    run("kv serve --memory --resp 0.0.0.0:0").fails(1, &["no password is set", "--auth"]);
    run("kv serve --memory --resp none --cheetah none").fails(1, &["no address"]);
    run("kv serve").fails(2, &["--dir"]);
    run("kv serve --memory --dir x").fails(2, &["--dir"]);
    run("kv serve --memory --fsync often").fails(2, &["always, group:US:BYTES"]);
    run("kv serve --memory --max-memory 5Q").fails(2, &["`Q` is no unit"]);
    run("kv serve --memory --max-value 65MiB").fails(2, &["--max-value"]);
    run("kv serve --memory --resp localhost").fails(2, &["ADDRESS:PORT"]);
    let server = Served::start("--memory");
    let taken = format!("kv serve --memory --cheetah none --resp {}", server.resp);
    run(&taken).fails(1, &["listening on", "ss -ltnp"]);
    server.kv("get --form hex 0").fails(2, &["no whole bytes"]);
    server.kv("del").fails(2, &["<KEYS>"]);
    let address = server.resp;
    drop(server);
    run(&format!("kv get x --server {address}"))
        .fails(1, &["connecting to", "check that the server"]);
    let folder = folder();
    fs::write(folder.path().join("store"), "other").expect("writes");
    run(&format!("kv serve --dir {} --resp none --cheetah 127.0.0.1:0", folder.path().display()))
        .fails(1, &["damaged"]);
}

#[test]
fn a_full_disk_refuses_writes_and_says_so() {
    with_full_disk(|place| {
        let dir = place.join("kv").display().to_string();
        let told = run(&format!("kv set a 1 --dir {dir}"));
        assert_eq!(told.code, 1, "{told:?}");
        assert!(
            told.err.contains("No space left") || told.err.contains("disk is full"),
            "{told:?}"
        );
    });
}

#[test]
fn a_shell_answers_lines() {
    let server = Served::start("--memory");
    let input =
        b"SET \"a b\" 'c d'\nget \"a b\"\n\nINCR n\nSCAN 0\nGET none\nhelp\nQUIT\nSET late 1\n";
    let out = piped(&format!("kv shell --server {}", server.resp), input);
    let out = String::from_utf8(out).expect("text");
    assert!(
        out.starts_with("OK\n\"c d\"\n(integer) 1\n1) \"0\"\n2) 1) \"a b\"\n   2) \"n\"\n(nil)\n"),
        "{out}"
    );
    assert_eq!(server.kv("scan").ok(), "a b\nn\n");
    let mut child = pfs(&format!("kv shell --server {}", server.resp))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(b"NOPE\nSET late 1\n").expect("writes");
    Done::from(child.wait_with_output().expect("ends")).fails(1, &["unknown command"]);
    assert_eq!(server.kv("get late").code, 1);
}

#[test]
fn memory_is_bounded() {
    let server = Served::start("--memory --max-memory 16MiB");
    let value = vec![7; 1 << 20];
    let mut refused = 0;
    for n in 0..20 {
        let mut child = pfs(&format!("kv set k{n} --value-file - --server {}", server.resp))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // A command that is refused early closes it.
        let _ = child.stdin.take().expect("piped").write_all(&value);
        let told = Done::from(child.wait_with_output().expect("ends"));
        if told.code != 0 {
            told.fails(1, &["OOM"]);
            refused += 1;
        }
    }
    assert!(refused > 0, "20 MiB do not fit 16");
    assert_eq!(server.kv("get k0").ok().len(), value.len(), "reads go on");
}

/// A capture of one payload.
fn payload(folder: &Path, bytes: &[u8]) -> String {
    let input = file(folder, "payload", bytes);
    let to = folder.join("payload.pcap").display().to_string();
    run(&format!("tx {} --payload 1400 --to pcap:{to}", input.display())).ok();
    to
}

#[test]
fn a_run_writes_a_store_that_a_server_serves() {
    let folder = folder();
    let from = payload(folder.path(), b"SET a 1\r\nMSET b 2 c 3\r\nDEL a\r\nGET b\r\n");
    let dir = folder.path().join("store").display().to_string();
    let words = format!("run --json --from pcap:{from} --prog kv:resp,dir={dir}");
    let report = run(&words).json();
    let rule = &report["results"][0];
    assert_eq!((&rule["results"]["r"][0], &rule["results"]["r"][1]), (&4.into(), &0.into()));
    assert_eq!(rule["engines"][0]["counters"]["gets_refused"], 1, "{report}");
    let server = Served::start(&format!("--dir {dir}"));
    assert_eq!(server.kv("scan --values").ok(), "b\t2\nc\t3\n");
    run(&words).fails(1, &["is open in process", &server.child.id().to_string()]);
    // A plan is checked without the store.
    let plan = folder.path().join("plan.json").display().to_string();
    run(&format!("plan make --from pcap:{from} --prog kv:resp,dir={dir} -o {plan}")).ok();
    run(&format!("plan check {plan}")).ok();
    let explained = run(&format!("plan explain {plan}")).ok();
    assert!(explained.contains("kv:resp"), "{explained}");
    run("plan make --from memory:64 --prog kv,db=../evil").fails(2, &["db=NAME"]);
}

#[test]
fn a_run_on_a_full_disk_counts_what_was_refused() {
    with_full_disk(|place| {
        // Room for the store's own files and not for a segment of its log.
        fs::write(place.join("filler"), [0; 16 << 10]).expect("fits");
        let captures = folder();
        let from = payload(captures.path(), b"SET a 1\r\nSET b 2\r\n");
        let dir = place.join("kv").display().to_string();
        let words = format!("run --json --from pcap:{from} --prog kv:resp,dir={dir}");
        let report = run(&words).json();
        let rule = &report["results"][0];
        assert_eq!((&rule["results"]["r"][0], &rule["results"]["r"][1]), (&0.into(), &2.into()));
        assert_eq!(rule["engines"][0]["counters"]["read_only"], 2, "{report}");
    });
}
