#!/usr/bin/env python3
"""Payloads and UDP traffic for record.sh. Standard library only.

  traffic.py text BYTES SEED           English-like text on stdout, exactly BYTES long
  traffic.py pages DIR                 the web pages that nginx serves
  traffic.py resp set|get              redis commands, as RESP, on stdout; the values are text
  traffic.py dns                       dig's batch file on stdout
  traffic.py dnsmasq                   the records that those questions ask for
  traffic.py answer ADDR PORT          UDP server: answers each datagram with other text of the same length
  traffic.py ask ADDR PORT KIND LEN... send one datagram of each length, wait for each answer
                                       KIND: plain | hopopts | dstopts | both | ipv4-options

All text is made from the word list below by a seeded generator: nobody else's text is in a capture.
"""
import os
import random
import socket
import sys

WORDS = """a able about after again air all along also always an and answer any are around as ask at away
back be because before began below between bird black block book both branch bring build but by call came can
capture carry change city clear close cold colour come copper could count country cross cut day deep did digest
distance do does door down draw each early earth eat empty end enough even ever every eye face fall far fast field
find fire first fish five flow follow for form four frame from full garden gather give go gold good great green
ground grow half hand harbour have he head hear heavy her here high hold home horse hour house how hundred idea if
in island it just keep kind king know lamp land large last later lead learn leave left letter light like line list
little long look low make many map mark measure meet might mile mind money moon more morning most mountain mouth
move much must name near never new next night north not note notice now number ocean of off often old on once one
only open order other our out over own packet page paper part pass path pattern people perhaps piece place plain
plan plant play point port power press queue question quick quiet rain reach read real receive record red rest
return right ring river road rock room round rule run sail said same school sea second see seem send sentence set
seven shape she ship short show side silver simple since sing six size sleep slow small snow so some song soon sound
south span stand star start state station stay step still stone stop story street strong such sun sure table take
talk tell ten than that the their them then there these they thing think this those though thought thousand three
through time to together token told too took top toward town travel tree true turn two under until up upon us use
very voice wait walk wall want warm was watch water way we week well were west what wheel when where which while
white who why will wind window winter with without wood word work world would write year yellow you young
""".split()
NAMES = [f"host{i:03d}" for i in range(120)]


def text(size, seed):
    """`size` bytes of sentences and paragraphs; the same for the same seed."""
    rng = random.Random(seed)
    out, have = [], 0
    while have <= size:
        words = [rng.choice(WORDS) for _ in range(rng.randint(4, 17))]
        if len(words) > 9:
            words[rng.randint(3, 6)] += ","
        if rng.random() < 0.15:
            words.insert(2, str(rng.randint(2, 99999)))
        end = rng.choice([". ", ". ", ". ", "? ", ".\n", ".\n\n"])
        sentence = " ".join(words).capitalize() + end
        out.append(sentence)
        have += len(sentence)
    return "".join(out)[:size].encode("ascii")


def pages(folder):
    """24 small pages, one JSON document and one large body."""
    for i in range(24):
        rng = random.Random(i)
        body = text(rng.randint(300, 3500), f"page {i}").decode().replace("\n\n", "</p>\n<p>")
        head = f"<!doctype html>\n<html lang=\"en\"><head><title>Page {i}</title></head>\n<body>\n<p>"
        write(folder, f"page{i}.html", (head + body + "</p>\n</body></html>\n").encode())
    rows = ",\n".join(f'  {{"id": {i}, "note": "{text(60, i).decode().split(chr(10))[0]}"}}' for i in range(40))
    write(folder, "notes.json", f"[\n{rows}\n]\n".encode())
    write(folder, "large.txt", text(90_000, "large"))
    write(folder, "medium.txt", text(12_000, "medium"))


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def resp(verb):
    """set: 250 SETs, values of 60 to 900 bytes; get: 80 GETs of every third of their keys."""
    rng = random.Random("redis")
    for i in range(250):
        parts = [b"SET", b"note:%04d" % i, text(rng.randint(60, 900), f"note {i}")]
        if verb == "get":
            if i % 3 or i >= 240:
                continue
            parts = [b"GET", parts[1]]
        frame = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        sys.stdout.buffer.write(frame)


def dns():
    """360 questions: mostly A and AAAA, some TXT and MX, some names that do not exist."""
    rng = random.Random("dns")
    for _ in range(360):
        name, kind = rng.choice(NAMES), rng.choice(["A"] * 4 + ["AAAA"] * 3 + ["TXT", "TXT", "MX", "none"])
        if kind == "MX":
            print("mail.example MX")
        elif kind == "none":
            print(f"no-{name}.example A")
        else:
            print(f"{name}.example {kind}")


def dnsmasq():
    """Records that the questions of `dns` ask for, in dnsmasq's configuration syntax."""
    for i, name in enumerate(NAMES):
        print(f"host-record={name}.example,198.51.100.{i + 1},2001:db8:100::{i + 1:x}")
        print(f"txt-record={name}.example,{text(40 + i, name).decode().translate({10: 32, 44: 32})}")
    print("mx-host=mail.example,host001.example,10\nmx-host=mail.example,host002.example,20")


def family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def answer(addr, port):
    sock = socket.socket(family(addr), socket.SOCK_DGRAM)
    sock.bind((addr, int(port)))
    count = 0
    while True:
        data, peer = sock.recvfrom(65535)
        count += 1
        sock.sendto(text(len(data), f"answer {count}"), peer)


def ask(addr, port, kind, *sizes):
    sock = socket.socket(family(addr), socket.SOCK_DGRAM)
    sock.settimeout(5)
    options(sock, kind)
    for size in map(int, sizes):
        sock.sendto(text(size, f"ask {size}"), (addr, int(port)))
        got, _ = sock.recvfrom(65535)
        if len(got) != size:
            sys.exit(f"answer of {len(got)} bytes to a datagram of {size}")


def options(sock, kind):
    """The kernel fills in the next-header byte of an IPv6 options header that it is given."""
    if kind in ("hopopts", "both"):  # PadN of 4 bytes: one 8-byte header
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    if kind in ("dstopts", "both"):  # RFC 4727 experiment of 8 bytes, PadN: one 16-byte header
        opts = bytes([0, 1, 0x1E, 8]) + b"testdata" + bytes([1, 2, 0, 0])
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, opts)
    if kind == "ipv4-options":  # record route with three slots; it is not copied to later fragments
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 15, 4] + [0] * 12 + [0]))


def main(verb, *args):
    if verb == "text":
        sys.stdout.buffer.write(text(int(args[0]), args[1]))
    else:
        {"pages": pages, "resp": resp, "dns": dns, "dnsmasq": dnsmasq, "answer": answer, "ask": ask}[verb](*args)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
