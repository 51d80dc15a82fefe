//! DPDK by its virtual devices: what cannot be is said, and nothing is left behind.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{pfs, run};

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
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    // Until EAL's threads run.
    let tasks = format!("/proc/{}/task", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(&tasks).map_or(0, Iterator::count) < 4 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(left(), before);
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
