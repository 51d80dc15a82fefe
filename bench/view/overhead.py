#!/usr/bin/env python3
"""What watching a run costs: the run's rate, and the viewers' own time.

    cargo build --release -p pfs-control
    bench/view/overhead.py [--pfs target/release/pfs] [--rounds 7] [--seconds 5]

Each round runs the same plan (frames in memory, one receiver, one worker) bare, watched by `pfs top`
in a terminal of 80 x 24, and served to a reader of the web view's events; the order turns from round
to round. Printed: the median of each round's ratio to its bare run with the smallest and the largest,
and the share of one core that `pfs top` and the run's thread of views took. Give it a quiet machine
with a core beside the run's two: on two cores viewers and run share, and the ratio shows that too.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import socket
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


def thread_seconds(pid, name):
    """Processor time of the thread called `name`; 0 where there is none."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as file:
            text = file.read()
        if f"({name})" in text:
            fields = text[text.rindex(")") + 2:].split()
            return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


class Top:
    """`pfs top` in a pseudo-terminal; what it draws is read and thrown away."""

    def __init__(self, pfs, pid, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(pfs, [pfs, "top", str(pid)], {**environment, "TERM": "xterm-256color"})
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.began, self.drawn = time.monotonic(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while piece := os.read(self.terminal, 65536):
                self.drawn += len(piece)
        except OSError:
            pass

    def end(self):
        """Share of a core that it took."""
        seconds = time.monotonic() - self.began
        os.write(self.terminal, b"q")
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.terminal)
        assert status == 0 and self.drawn > 2000, f"pfs top ended with {status}, drew {self.drawn} bytes"
        return (usage.ru_utime + usage.ru_stime) / seconds


class Reader:
    """One client of /events."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port)))
        self.stream.sendall(f"GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        self.events = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while piece := self.stream.recv(65536):
                self.events += piece.count(b"data: ")
        except OSError:
            pass


def run(pfs, seconds, how, environment):
    """One run; (packets a second, share of a core of the views' thread, share of the viewer)."""
    words = [pfs, "run", "--from", "memory:64", "--prog", "crc32c", "--seconds", str(seconds), "--json"]
    words += ["--no-control"] if how != "top" else []
    words += ["--http", "127.0.0.1:0"] if how == "web" else []
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    viewer = reader = None
    if how == "web":
        told = child.stderr.readline()
        reader = Reader(re.search(r"http://([^/]+)/", told)[1])
    time.sleep(1.0)
    if how == "top":
        viewer = Top(pfs, child.pid, environment)
    before, began = thread_seconds(child.pid, "pfs-view"), time.monotonic()
    time.sleep(max(0.5, seconds - 2.0))
    serving = (thread_seconds(child.pid, "pfs-view") - before) / (time.monotonic() - began)
    looking = viewer.end() if viewer else 0.0
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    report = json.loads(out)
    assert report["books"]["residual"] == 0
    if reader:
        assert reader.events >= seconds - 2, f"{reader.events} events in {seconds} s"
    return report["books"]["consumed"] / report["elapsed_s"], serving, looking


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pfs", default="target/release/pfs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pfs, ways = os.path.abspath(args.pfs), ["bare", "top", "web"]
    ratios, shares = {way: [] for way in ways}, {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "PFS_RUNTIME_DIR": place}
        for at in range(args.rounds):
            order = ways[at % 3:] + ways[:at % 3]
            found = {way: run(pfs, args.seconds, way, environment) for way in order}
            for way in ways:
                ratios[way].append(found[way][0] / found["bare"][0])
                shares[way].append(found[way][1:])
    rows = {}
    for way in ways[1:]:
        serving, looking = (statistics.median(each) for each in zip(*shares[way]))
        rows[way] = {
            "rate_ratio_median": statistics.median(ratios[way]), "rate_ratio_least": min(ratios[way]),
            "rate_ratio_most": max(ratios[way]), "views_thread_of_a_core": serving, "viewer_of_a_core": looking,
        }
    if args.json:
        return print(json.dumps({"rounds": args.rounds, "seconds": args.seconds, "cores": os.cpu_count(), "rows": rows}, indent=2))
    print(f"{args.rounds} rounds of {args.seconds} s, {os.cpu_count()} cores")
    for way, row in rows.items():
        print(f"{way}: rate {row['rate_ratio_median']:.4f} of bare ({row['rate_ratio_least']:.4f} to {row['rate_ratio_most']:.4f}); "
              f"thread of views {100 * row['views_thread_of_a_core']:.2f} % of a core, pfs top {100 * row['viewer_of_a_core']:.2f} %")


if __name__ == "__main__":
    main()
