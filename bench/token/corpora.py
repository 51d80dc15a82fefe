"""Assembles the benchmark's texts from packages on this machine: local use, never to be passed on.

    corpora.py            writes target/bench-corpora/{english,code,multi,html,adv_*}.txt

Test files only (see `sources.py`): none of them was counted into the word list. Prints what each
corpus is made of and its SHA-256.
"""

import hashlib
import pathlib
from typing import Iterator

import sources

MIB = 1 << 20
# Bytes of a corpus, and the most that one package gives to it.
SIZES = {"english": (60 * MIB, 12 * MIB), "code": (50 * MIB, 22 * MIB),
         "multi": (36 * MIB, 8 * MIB), "html": (20 * MIB, 14 * MIB)}
LETTERS = b"abcdefghijklmnopqrstuvwxyz"


def splitmix64(seed: int) -> Iterator[int]:
    """Steele, Lea and Flood's generator: the same numbers everywhere."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def random_letters(size: int) -> bytes:
    """Letters without a space."""
    numbers = splitmix64(1)
    return bytes(LETTERS[next(numbers) % 26] for _ in range(size))


def random_words(count: int) -> bytes:
    """`count` distinct words of 3 to 12 random letters, with a space between them."""
    numbers = splitmix64(2)
    words: dict[bytes, None] = {}
    while len(words) < count:
        length = 3 + next(numbers) % 10
        words[bytes(LETTERS[next(numbers) % 26] for _ in range(length))] = None
    return b" ".join(words)


def documents(kind: str) -> Iterator[tuple[sources.Source, bytes]]:
    """Distinct test texts of one kind, package by package, up to the package's share."""
    seen = set()
    usable = [s for s in sources.SOURCES if s.kind == kind and s.part != "train"]
    for source in sorted(usable, key=lambda s: s.part != "test"):
        left = SIZES[kind][1]
        for text in sources.texts(source, training=False):
            raw = text.encode("utf-8", errors="replace")
            digest = hashlib.sha256(raw).digest()
            if not raw or digest in seen or left <= 0:
                continue
            seen.add(digest)
            raw = raw[:left].decode("utf-8", errors="ignore").encode()
            left -= len(raw)
            yield source, raw


def assemble(kind: str) -> tuple[bytes, dict[str, int]]:
    """One corpus, cut at its size, and what it is made of."""
    out = bytearray()
    parts: dict[str, int] = {}
    limit = SIZES[kind][0]
    for source, raw in documents(kind):
        raw = raw[: limit - len(out)].decode("utf-8", errors="ignore").encode()
        if not raw:
            continue
        name = f"{source.registry}:{source.package} ({source.licence})"
        parts[name] = parts.get(name, 0) + len(raw)
        out += raw + b"\n"
    return bytes(out), parts


def keep(folder: pathlib.Path, name: str, raw: bytes) -> None:
    """Writes a corpus and prints its line."""
    (folder / f"{name}.txt").write_bytes(raw)
    print(f"{name:10} {len(raw):>10} bytes  sha256 {hashlib.sha256(raw).hexdigest()}", flush=True)


def main() -> None:
    folder = sources.cache_folder()
    for kind in SIZES:
        raw, parts = assemble(kind)
        keep(folder, kind, raw)
        for part, size in parts.items():
            print(f"    {size:>10}  {part}")
    keep(folder, "adv_a", b"a" * MIB)
    keep(folder, "adv_rand", random_letters(MIB))
    keep(folder, "adv_words", random_words(120_000))


if __name__ == "__main__":
    main()
