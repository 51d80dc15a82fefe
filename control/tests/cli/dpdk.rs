//! DPDK by its virtual devices: what cannot be is said, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Live, books, has_af_xdp, pfs, run, with_veth};
use crate::live::is_bare;

const EAL: [&str; 2] = ["--eal", "--no-huge -m 64"];

/// `pfs` with `words` and EAL's arguments for any user.
fn with_eal(words: &str) -> crate::common::Done {
    pfs(words).args(EAL).output().expect("it starts").into()
}

#[test]
fn packets_out_of_nothing_are_all_accounted_for() {
    let words = "run --from dpdk:net_null0,args.size=64,framing=payload,frames=4096 --prog len --packets 100000 --json";
    let report: serde_json::Value = serde_json::from_str(&with_eal(words).ok()).expect("JSON");
    let books = &report["books"];
    assert!(books["consumed"].as_u64() >= Some(100_000), "{books}");
    assert_eq!(books["residual"], 0);
    assert_eq!(report["receivers"][0]["granted"]["mode"], "net_null");
}

#[test]
fn a_capture_has_the_digest_that_the_pcap_source_gives() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/redis.pcap");
    let digest = |done: crate::common::Done| {
        let report: serde_json::Value = serde_json::from_str(&done.ok()).expect("JSON");
        report["results"][0]["r"].clone()
    };
    let program = "--prog crc32c,fnv64 --json";
    let want = digest(run(&format!("run --from pcap:{capture} {program}")));
    let words = format!("run --dev net_pcap0,rx_pcap={capture} {program} --packets 508");
    assert_eq!(digest(with_eal(&words)), want);
}

#[test]
fn what_eal_and_drivers_refuse_is_said_in_their_words() {
    let bogus = pfs("run --dev net_null0 --prog len").args(["--eal", "--bogus"]).output();
    let bogus = crate::common::Done::from(bogus.expect("it starts"));
    bogus.fails(1, &["starting DPDK", "--bogus"]);
    with_eal("run --dev net_nothing0 --prog len")
        .fails(1, &["attaching net_nothing0", "net_ring0"]);
    with_eal("run --dev net_af_packet0,iface=nosuchif --prog len").fails(1, &["nosuchif"]);
    with_eal("run --dev 0000:7f:1f.7 --prog len").fails(1, &["0000:7f:1f.7"]);
    with_eal("run --from dpdk:net_ring0,queues=2 --cores 0 --prog len --run-to-completion")
        .fails(2, &["1 cores for 2 queues of net_ring0"]);
    with_eal("run --from dpdk:net_ring0,frames=7 --prog len").fails(2, &["frames 7"]);
    let help = pfs("run --dev net_null0 --prog len").args(["--eal", "--help"]).output();
    crate::common::Done::from(help.expect("it starts")).fails(1, &["--help"]);
}

#[test]
fn a_killed_run_leaves_nothing_in_hugetlbfs_or_run() {
    let before = left();
    let words = "run --from dpdk:net_null0,args.size=64,framing=payload --prog crc32c --seconds 60";
    let mut child = pfs(words)
        .args(EAL)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // Until EAL's threads run.
    let tasks = format!("/proc/{}/task", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&tasks).map_or(0, Iterator::count) < 4 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(left(), before);
}

#[test]
fn a_pool_that_workers_hold_is_waited_for_and_nothing_is_lost() {
    if thread::available_parallelism().map_or(1, Into::into) < 2 {
        println!("skipped: one core, and so no worker beside the receiver");
        return;
    }
    // The lane has room for more than the pool has, and the worker takes longer than the receiver.
    let words = "run --from dpdk:net_null0,args.size=64,framing=payload,frames=2304 --ring-slots 8192 --prog fnv64,hist8,crc32c --packets 100000 --json";
    let report: serde_json::Value = serde_json::from_str(&with_eal(words).ok()).expect("JSON");
    assert!(books(&report) >= 100_000, "{report}");
    assert_eq!(report["books"]["dropped_ring_full"], 0, "the pool was the limit: {report}");
    assert!(report["receivers"][0]["driver"]["rx_good_packets"].as_u64() >= Some(100_000));
}

#[test]
fn two_processes_of_one_file_prefix_are_told_apart() {
    let prefix = format!("pfs-test-{}", std::process::id());
    let eal = format!("--no-huge -m 64 --file-prefix={prefix}");
    let words = "run --dev net_null0 --prog len --seconds 60";
    let mut first = pfs(words).args(["--eal", &eal]).stdout(Stdio::null()).spawn().expect("starts");
    let folders = || {
        let home = std::env::var("XDG_RUNTIME_DIR").map(|dir| format!("{dir}/dpdk"));
        ["/var/run/dpdk".to_owned(), "/tmp/dpdk".to_owned()].into_iter().chain(home)
    };
    let config = || {
        folders().map(|dir| format!("{dir}/{prefix}/config")).find(|file| Path::new(file).exists())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while config().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let second = pfs(words).args(["--eal", &eal]).output().map(crate::common::Done::from);
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGINT).expect("it runs");
    first.wait().expect("it ends");
    for folder in folders() {
        let _ = fs::remove_dir_all(format!("{folder}/{prefix}"));
    }
    second.expect("starts").fails(1, &["starting DPDK", &prefix]);
}

#[test]
fn a_secondary_process_is_refused() {
    let output = pfs("run --dev net_null0 --prog len")
        .args(["--eal", "--no-huge --proc-type=secondary --file-prefix=pfs-none"])
        .output();
    crate::common::Done::from(output.expect("it starts")).fails(1, &["secondary", "net_memif"]);
}

#[test]
fn memif_chains_two_processes() {
    let folder = crate::common::folder();
    let socket = folder.path().join("memif.sock").display().to_string();
    let capture = crate::common::capture("dns.pcap");
    let want = run(&format!("run --from pcap:{capture} --prog crc32c,fnv64 --json")).json();
    let packets = books(&want);
    let words = format!(
        "run --dev net_memif0,role=server,id=0,socket={socket},socket-abstract=no --prog crc32c,fnv64 --packets {packets} --seconds 30 --json"
    );
    let server = pfs(&words).args(EAL).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let server = server.expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !Path::new(&socket).exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let to = format!(
        "dpdk:net_memif0,args.role=client,args.id=0,args.socket={socket},args.socket-abstract=no,eal=--no-huge -m 64"
    );
    let sent = pfs(&format!("tx {capture} --pps 2000 --json")).args(["--to", &to]).output();
    let report = crate::common::Done::from(server.wait_with_output().expect("it ends")).json();
    crate::common::Done::from(sent.expect("it starts")).ok();
    assert_eq!(books(&report), packets);
    let results = crate::common::accumulators;
    assert_eq!(results(&report), results(&want));
}

#[test]
fn the_driver_of_af_xdp_leaves_a_program_only_where_it_is_killed() {
    if !has_af_xdp() {
        return;
    }
    with_veth(|| {
        let words = "run --dev net_af_xdp0,iface=rx0 --prog len -v --json --metrics 127.0.0.1:0";
        let start = || {
            let mut command = pfs(words);
            command.args(EAL);
            Live::spawn(command)
        };
        with_eal("run --dev net_af_xdp0,iface=rx0 --prog len --seconds 0.1").ok();
        assert!(is_bare(), "after a normal end");
        let live = start();
        assert!(!is_bare(), "it has attached its program");
        live.signal(Signal::SIGINT);
        books(&live.end().json());
        assert!(is_bare(), "after SIGINT");
        let live = start();
        live.signal(Signal::SIGKILL);
        live.end();
        // By netlink, which nothing takes off again; ours of af_xdp hangs on a link.
        assert!(!is_bare(), "it stays: docs/BACKENDS.md has to say otherwise now");
        run("detach rx0").fails(1, &["xsk_def_prog", "ip link set dev rx0 xdpdrv off"]);
        with_eal("run --dev net_af_xdp0,iface=rx0 --prog len --seconds 0.1").ok();
        assert!(is_bare(), "the next run takes it over, and off");
    });
}

/// Makes a shared object out of C code, or says why not.
fn shared_object(folder: &Path, name: &str, code: &str) -> bool {
    let source = crate::common::file(folder, "fake.c", code);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", &format!("-Wl,-soname,{name}"), "-o"]);
    match cc.arg(folder.join(name)).arg(source).status() {
        Ok(status) if status.success() => true,
        other => {
            println!("skipped: cc made no shared object: {other:?}");
            false
        }
    }
}

#[test]
fn a_library_of_another_release_is_refused() {
    let folder = crate::common::folder();
    let answers = "const char *rte_version(void) { return \"DPDK 99.11.1\"; }";
    if !shared_object(folder.path(), "libanswers.so", answers) {
        return;
    }
    let output = pfs("run --dev net_null0 --prog len")
        .args(EAL)
        .env("LD_PRELOAD", folder.path().join("libanswers.so"))
        .output();
    crate::common::Done::from(output.expect("it starts"))
        .fails(1, &["built with DPDK", "DPDK 99.11.1 was loaded", "just build"]);
}

#[test]
fn a_library_of_another_major_version_is_refused_when_it_is_loaded() {
    let folder = crate::common::folder();
    let linked = Command::new("ldd").arg(env!("CARGO_BIN_EXE_pfs")).output().expect("ldd");
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let name = linked.split_whitespace().find(|word| word.starts_with("librte_eal.so"));
    let name = name.expect("it is linked with EAL");
    if !shared_object(folder.path(), name, "int nothing_of_ours;") {
        return;
    }
    let output = pfs("plan schema").env("LD_LIBRARY_PATH", folder.path()).output();
    // The loader's own words and code: nothing of pfs has run.
    crate::common::Done::from(output.expect("it starts")).fails(127, &[name, "DPDK"]);
}

/// What DPDK leaves when it is not in memory alone.
fn left() -> Vec<String> {
    let folders = ["/dev/hugepages", "/var/run/dpdk", "/tmp/dpdk"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let mut names: Vec<String> =
        files.flatten().map(|file| file.path().display().to_string()).collect();
    names.sort();
    names
}
