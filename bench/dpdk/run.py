#!/usr/bin/env python3
"""DPDK rows: pfs over virtual devices beside the least that C does, and beside testpmd.

    just build && python3 bench/dpdk/run.py [--rounds 3] [--seconds 2] [--cores 0,1] [null] [veth] [ring]

`null` (256 huge pages of 2 MiB, or --no-huge): net_null of 64 bytes to `len`, and of 1,400 bytes copied
by the driver to `len` and `crc32c`, run to completion, against bench/dpdk/rxonly.c over the same device.
`veth` (root): frames of 64 and 1,400 bytes over a veth pair through net_af_packet and net_af_xdp,
against `dpdk-testpmd` rxonly on the same device, same sender. Rounds alternate; medians are printed, with the
lowest and the highest, and of ratios the median of rounds. `ring` (two cores): frames of 64 bytes from one core to another through net_ring, sent and received by pfs, against
`dpdk-testpmd` in mode io over two such rings with a core each, which hands the same mbufs round and round: what
comes out of a ring is counted on both sides. Every answer is checked: books, bytes, checksums.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
PFS = TARGET / "release/pfs"
SPACES = ("pfs-dpdk-bench-a", "pfs-dpdk-bench-b")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def run(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build_rxonly():
    path = TARGET / "dpdk-rxonly"
    flags = [run(["pkg-config", flag, "libdpdk"]).split() for flag in ("--cflags", "--libs")]
    source = ROOT / "bench/dpdk/rxonly.c"
    run(["cc", "-O3", "-march=native", *flags[0], source, "-o", path, *flags[1]])
    return path


def null_c(rxonly, args, device):
    eal = ["--no-huge", "-m", "256"] if args.no_huge else ["--in-memory"]
    words = [rxonly, str(args.seconds), *eal, "--no-pci", "--no-telemetry", "-l", str(args.cores[0]), "--vdev", f"net_null0,{device}"]
    packets, total = re.search(r"(\d+) packets, sum (\d+),", run(words)).groups()
    assert int(packets) > 0 and int(total) == 0, "the device makes zeros"
    return int(packets) / args.seconds / 1e6


def null_pfs(args, device, size, program):
    eal = ["--eal", "--no-huge -m 64"] if args.no_huge else []
    source = ",".join(f"args.{word}" for word in device.split(","))
    words = [PFS, "run", "--from", f"dpdk:net_null0,{source},framing=payload", "--prog", program, "--run-to-completion",
             "--cores", str(args.cores[0]), "--seconds", str(args.seconds), "--json", *eal]
    report = json.loads(run(words))
    books = report["books"]
    counters = report["receivers"][0]["counters"]
    assert books["residual"] == 0 and counters["bytes"] == books["consumed"] * size, books
    answer = report["results"][0]["results"]["r"][0]
    each = size if program == "len" else crc32c(bytes(size))
    assert answer == books["consumed"] * each % 2**64, (program, answer)
    stages = {name: counters[f"{name}_cycles"] / counters["packets"] for name in ("poll", "classify", "steer", "recycle")}
    stages["program"] = report["workers"][0]["counters"]["program_cycles"] / counters["packets"]
    return books["consumed"] / report["elapsed_s"] / 1e6, stages


def spread(values):
    return f"{statistics.median(values):8.2f} [{min(values):.2f}-{max(values):.2f}]"


def null(args):
    rxonly = build_rxonly()
    for size, device, programs in ((64, "size=64", ["len"]), (1400, "size=1400,copy=1", ["len", "crc32c"])):
        peer, ours = [], {program: [] for program in programs}
        stages = {}
        for _ in range(args.rounds):
            peer.append(null_c(rxonly, args, device))
            for program in programs:
                rate, stages[program] = null_pfs(args, device, size, program)
                ours[program].append(rate)
        print(f"net_null {device}: C, a byte read   {spread(peer)} M packets/s")
        for program in programs:
            # Round by round: the host's other guests change the rate of both for seconds at a time.
            ratio = statistics.median(rate / beside for rate, beside in zip(ours[program], peer))
            cycles = ", ".join(f"{name} {value:.1f}" for name, value in stages[program].items())
            print(f"net_null {device}: pfs {program:<12}  {spread(ours[program])} M packets/s, {ratio:.2f} x C; cycles: {cycles}")


def namespaces(make):
    for space in SPACES:
        subprocess.run(["ip", "netns", "del", space], capture_output=True)
    if not make:
        return
    for space in SPACES:
        run(["ip", "netns", "add", space])
        run(["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])
    run(["ip", "link", "add", "a0", "netns", SPACES[0], "type", "veth", "peer", "name", "b0", "netns", SPACES[1]])
    for space, link in zip(SPACES, ("a0", "b0")):
        run(["ip", "-n", space, "link", "set", link, "up", "promisc", "on"])


def inside(space, *words):
    return ["ip", "netns", "exec", space, *map(str, words)]


def send(args, size):
    """Sends for so long; gives how many frames left. They are addressed to nobody, so that no stack takes them."""
    words = [PFS, "tx", "--generate", size, "--to", "af_packet:a0", "--top-speed", "--json", "--quiet"]
    sender = subprocess.Popen(inside(SPACES[0], "taskset", "-c", args.cores[1], *words), stdout=subprocess.PIPE, text=True)
    time.sleep(args.seconds)
    sender.send_signal(2)
    out, _ = sender.communicate(timeout=60)
    return json.loads(out)["frames"]


def veth_pfs(args, device, size):
    words = inside(SPACES[1], PFS, "run", "--dev", device, "--prog", "crc32c", "--run-to-completion", "--cores", args.cores[0],
                   "--seconds", args.seconds + 3, "--json", "--eal", "--no-huge -m 256" if args.no_huge else "--in-memory")
    receiver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    sent = send(args, size)
    out, err = receiver.communicate(timeout=60)
    if receiver.returncode != 0:
        sys.exit(f"{device}: {err}")
    report = json.loads(out)
    assert report["books"]["residual"] == 0, report["books"]
    return report["books"]["consumed"] / args.seconds / 1e3, report["books"]["consumed"] / sent


def veth_testpmd(args, device, size):
    eal = ["--no-huge", "-m", "256"] if args.no_huge else ["--in-memory", "-m", "256"]
    words = inside(SPACES[1], "dpdk-testpmd", "-l", f"{args.cores[1]},{args.cores[0]}", "--main-lcore", args.cores[1], *eal, "--no-pci", "--no-telemetry",
                   f"--vdev={device}", "--", "--forward-mode=rxonly", "--auto-start", "--total-num-mbufs=16384", "--stats-period", "100")
    receiver = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(1.5)
    sent = send(args, size)
    receiver.send_signal(2)
    out, _ = receiver.communicate(timeout=60)
    got = int(re.findall(r"RX-packets:\s*(\d+)", out)[-1])
    return got / args.seconds / 1e3, got / sent


def veth(args):
    devices = ("net_af_packet0,iface=b0,blocksz=1048576,framesz=2048,framecnt=8192", "net_af_xdp0,iface=b0")
    namespaces(True)
    try:
        for device in devices:
            for size in (64, 1400):
                rows = {"pfs, crc32c": [], "testpmd rxonly": []}
                for _ in range(args.rounds):
                    rows["pfs, crc32c"].append(veth_pfs(args, device, size))
                    rows["testpmd rxonly"].append(veth_testpmd(args, device, size))
                for name, row in rows.items():
                    rates, shares = zip(*row)
                    print(f"{device.split(',')[0]} {size:>5} B: {name:<15} {spread(rates)} k packets/s, {min(shares):.3f} of what was sent at the least")
    finally:
        namespaces(False)


def ring_pfs(args):
    eal = "--no-huge -m 64" if args.no_huge else "--in-memory -m 64"
    words = ["taskset", "-c", ",".join(map(str, sorted(args.cores))), TARGET / "release/pfs-bench", "dpdk-ring", "--seconds", str(args.seconds), "--eal", eal]
    packets, seconds = re.fullmatch(r"(\d+) packets in ([\d.]+) s\n", run(words)).groups()
    return int(packets) / float(seconds) / 1e6


def ring_testpmd(args):
    eal = ["--no-huge", "-m", "256"] if args.no_huge else ["--in-memory", "-m", "256"]
    # The main thread only waits: it may share a core.
    words = ["dpdk-testpmd", "--lcores", f"0@{args.cores[0]},1@{args.cores[0]},2@{args.cores[1]}", *eal, "--no-pci", "--no-telemetry",
             "--vdev=net_ring0", "--vdev=net_ring1", "--", "--forward-mode=io", "--auto-start", "--tx-first", "--nb-cores=2",
             "--burst=64", "--total-num-mbufs=16384", "--stats-period", "1"]
    forwarder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(args.seconds + 2.5)
    forwarder.send_signal(2)
    out, _ = forwarder.communicate(timeout=60)
    # Of each second, port by port; the first ones are its start.
    rates = [int(rate) for rate in re.findall(r"Rx-pps:\s*(\d+)", out)][2:]
    assert rates and min(rates) > 0, out
    return statistics.median(rates) / 1e6


def ring(args):
    ours, peer = [], []
    for _ in range(args.rounds):
        ours.append(ring_pfs(args))
        peer.append(ring_testpmd(args))
    ratio = statistics.median(rate / beside for rate, beside in zip(ours, peer))
    print(f"net_ring 64 B, core to core: pfs tx to len  {spread(ours)} M packets/s, {ratio:.2f} x testpmd io")
    print(f"net_ring 64 B, core to core: testpmd io     {spread(peer)} M packets/s, out of each ring")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="null, veth, ring; all where none is named")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--cores", default="0,1", type=lambda text: [int(core) for core in text.split(",")])
    parser.add_argument("--no-huge", action="store_true", help="without huge pages, pfs and peers alike")
    args = parser.parse_args()
    for name, rows in (("null", null), ("veth", veth), ("ring", ring)):
        if not args.what or name in args.what:
            rows(args)


if __name__ == "__main__":
    main()
