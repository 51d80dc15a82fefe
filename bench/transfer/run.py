#!/usr/bin/env python3
"""Sends a file from one network namespace to another with pfs, rsync's daemon, uftp and udpcast.

Runs them in turn, --rounds times each, in one veth pair; every copy is compared. Needs root, `ip`, and of
the peers those that are to run (apt-get install rsync uftp udpcast). Prints MB/s, seconds of processor time
of both ends together for a GiB, the ratio of pfs to each peer, pfs with 1 % loss, and what an unchanged file
of 100 MiB costs on the wire. pfs seals its frames and the peers do not; `pfs, plain` does not, either.
"""

import argparse
import filecmp
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

HERE, THERE = "198.18.9.1", "198.18.9.2"


def sh(command):
    subprocess.run(command, shell=True, check=True)


class Link:
    """Two namespaces and a veth pair."""

    def __init__(self, mtu):
        self.mtu = mtu
        self.a, self.b = f"pfsa{os.getpid()}", f"pfsb{os.getpid()}"

    def __enter__(self):
        sh(f"ip netns add {self.a} && ip netns add {self.b}")
        sh(f"ip link add va netns {self.a} type veth peer name vb netns {self.b}")
        for ns, name, address in [(self.a, "va", HERE), (self.b, "vb", THERE)]:
            sh(f"ip -n {ns} link set lo up && ip -n {ns} addr add {address}/24 dev {name}")
            sh(f"ip -n {ns} link set {name} mtu {self.mtu} up multicast on && ip -n {ns} route add 224.0.0.0/4 dev {name}")
        return self

    def __exit__(self, *_):
        for ns in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", ns], check=False)

    def here(self, command, **more):
        return subprocess.Popen(["ip", "netns", "exec", self.a, *command], **more)

    def there(self, command, **more):
        return subprocess.Popen(["ip", "netns", "exec", self.b, *command], **more)


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def wait(process, what):
    try:
        failed = process.wait(timeout=180) != 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise SystemExit(f"{what} did not end within three minutes; leave it out with --peers") from None
    if failed:
        raise SystemExit(f"{what} failed with {process.returncode}")


def cpu():
    """Seconds of processor time of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def pfs(link, args, source, target, key, faults=None):
    trust = ["--key", key] if key else ["--insecure-plain"]
    receiver = link.there([args.pfs, "recv", target, "--listen", f"{THERE}:7373", "--once", "--no-fsync", *trust], **QUIET)
    time.sleep(0.5)
    command = [args.pfs, "send", source, f"{THERE}:7373", *trust, "--json"]
    command += ["--faults", faults] if faults else []
    begin = time.monotonic()
    sender = link.here(command, stdout=subprocess.PIPE)
    report = json.load(sender.stdout)
    wait(sender, "pfs send")
    seconds = time.monotonic() - begin
    wait(receiver, "pfs recv")
    return seconds, report


def rsync(link, _, source, target, folder):
    config = os.path.join(folder, "rsyncd.conf")
    with open(config, "w") as file:
        file.write(f"use chroot = no\n[to]\npath = {target}\nread only = no\nuid = 0\ngid = 0\n")
    daemon = link.there(["rsync", "--daemon", "--no-detach", "--config", config, "--port", "8730"], **QUIET)
    time.sleep(0.5)
    begin = time.monotonic()
    wait(link.here(["rsync", "-a", "--port", "8730", source, f"{THERE}::to/"], **QUIET), "rsync")
    seconds = time.monotonic() - begin
    daemon.terminate()
    daemon.wait()
    return seconds, None


def uftp(link, _, source, target, folder):
    daemon = link.there(["uftpd", "-d", "-D", target, "-I", "vb", "-B", "33554432"], **QUIET)
    time.sleep(0.5)
    begin = time.monotonic()
    wait(link.here(["uftp", "-I", "va", "-R", "-1", "-B", "33554432", source], **QUIET), "uftp")
    seconds = time.monotonic() - begin
    daemon.terminate()
    daemon.wait()
    return seconds, None


def udpcast(link, _, source, target, folder):
    out = os.path.join(target, os.path.basename(source))
    receiver = link.there(["udp-receiver", "--interface", "vb", "--nokbd", "--file", out], **QUIET)
    time.sleep(0.5)
    begin = time.monotonic()
    sender = ["udp-sender", "--interface", "va", "--nokbd", "--min-receivers", "1", "--full-duplex", "--file", source]
    wait(link.here(sender, **QUIET), "udp-sender")
    seconds = time.monotonic() - begin
    wait(receiver, "udp-receiver")
    return seconds, None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pfs", default="target/release/pfs")
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="rsync,uftp,udpcast", help="which of them run")
    parser.add_argument("--mtu", type=int, default=1500, help="of the link, for all of them")
    parser.add_argument("--folder", default="/dev/shm", help="where files are made; best in memory")
    args = parser.parse_args()
    args.pfs = os.path.abspath(args.pfs)
    with Link(args.mtu) as link, tempfile.TemporaryDirectory(dir=args.folder) as folder:
        source, key = os.path.join(folder, "source"), os.path.join(folder, "key")
        with open(source, "wb") as file:
            for _ in range(args.bytes >> 20):
                file.write(os.urandom(1 << 20))
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex())
        lossy = "loss=0.01,seed=1"
        ways = {
            "pfs": lambda *a: pfs(*a[:4], key),
            "pfs, 1 % lost": lambda *a: pfs(*a[:4], key, lossy),
            "pfs, plain": lambda *a: pfs(*a[:4], None),
        }
        for name, program, way in [("rsync", "rsync", rsync), ("uftp", "uftp", uftp), ("udpcast", "udp-sender", udpcast)]:
            if name not in args.peers.split(","):
                continue
            if shutil.which(program):
                ways[name] = way
            else:
                print(f"left out: {name} is not installed")
        times, work = {name: [] for name in ways}, {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                target = tempfile.mkdtemp(dir=folder)
                before = cpu()
                seconds, _ = way(link, args, source, target, folder)
                work[name].append((cpu() - before) * (1 << 30) / args.bytes)
                if not filecmp.cmp(source, os.path.join(target, "source"), shallow=False):
                    raise SystemExit(f"{name}: the copy differs")
                shutil.rmtree(target)
                times[name].append(seconds)
        best = {name: statistics.median(all) for name, all in times.items()}
        for name, seconds in best.items():
            rates = ", ".join(f"{args.bytes / each / 1e6:.0f}" for each in times[name])
            spent = statistics.median(work[name])
            ratio = f"pfs is {seconds / best['pfs']:.2f} x, plain {seconds / best['pfs, plain']:.2f} x"
            print(f"{name:<14} {args.bytes / seconds / 1e6:8.0f} MB/s  ({rates})  {spent:5.2f} CPU s/GiB  {ratio}")
        with open(source, "r+b") as file:
            file.truncate(100 << 20)
        target = tempfile.mkdtemp(dir=folder)
        pfs(link, args, source, target, key)
        _, report = pfs(link, args, source, target, key)
        total = report["wire_bytes"]["total"]
        print(f"unchanged 100 MiB: {total} bytes on the wire, {total / (100 << 20):.6%}")


if __name__ == "__main__":
    main()
