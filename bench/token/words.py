"""Counts pieces in the training texts and writes the multi-token word list.

    words.py [--out dataplane/engines/token/data/words.zst] [--count 65536]

Needs tiktoken, regex and zstandard from PyPI (`install-peers` makes a venv that has them).
The list is described in `words.md` beside it.
"""

import argparse
import collections
import hashlib
import multiprocessing
import pathlib
import unicodedata

import regex
import zstandard

import reference
import sources

LONGEST = 15  # bytes that fit a cell of the word table
MOST_IDS = 4  # ids that fit a cell
SHARES = {"english": 0.42, "code": 0.35, "multi": 0.23}
# How much a piece is worth to the vocabularies that need several tokens for it.
VOCABULARIES = {"cl100k_base": 1.0, "o200k_base": 1.0, "p50k_base": 0.1, "r50k_base": 0.15}
# A piece counts once for each stretch of text that has it: a name that one file is full of says
# little of other files.
STRETCH = 1 << 14
SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "DEVANAGARI", "LATIN")


def count(task: tuple[int, dict[str, str]]) -> tuple[int, dict[str, collections.Counter], int]:
    """In how many stretches of one source each piece occurs under each split pattern, and the bytes
    that were read."""
    index, patterns = task
    compiled = {name: regex.compile(pattern) for name, pattern in patterns.items()}
    counts = {name: collections.Counter() for name in patterns}
    size = 0
    seen = set()
    for text in sources.texts(sources.SOURCES[index], training=True):
        digest = hashlib.sha256(text.encode()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        size += len(text.encode())
        for at in range(0, len(text), STRETCH):
            for name, pattern in compiled.items():
                counts[name].update(set(pattern.findall(text[at : at + STRETCH])))
    short = {
        name: collections.Counter({p: n for p, n in c.items() if len(p.encode()) <= LONGEST})
        for name, c in counts.items()
    }
    return index, short, size


def script(piece: str) -> str:
    """The script of the first letter, for languages to weigh alike; nothing for a rare one."""
    for char in piece:
        if char.isalpha():
            name = unicodedata.name(char, "").split(" ")[0]
            return name if name in SCRIPTS else ""
    return ""


def shares(counted: dict[str, collections.Counter]) -> collections.Counter:
    """The share that each piece has in all text, when classes weigh `SHARES` and the scripts of
    the multilingual class weigh as the roots of their sizes."""
    total = collections.Counter()
    for kind, counts in counted.items():
        groups = collections.defaultdict(list)
        for piece, n in counts.items():
            groups[script(piece) if kind == "multi" else ""].append((piece, n))
        sizes = {group: sum(n for _, n in pieces) for group, pieces in groups.items()}
        roots = sum(size**0.5 for size in sizes.values())
        for group, pieces in groups.items():
            for piece, n in pieces:
                if n > 1:
                    total[piece] += SHARES[kind] * n / sizes[group] ** 0.5 / roots
    return total


def score(encodings: dict, by_pattern: dict[str, dict[str, collections.Counter]]) -> collections.Counter:
    """What a cell for each piece is worth: its share, summed over the vocabularies that need two
    to four tokens for it."""
    worth = collections.Counter()
    weighed = {pattern: shares(counted) for pattern, counted in by_pattern.items()}
    for name, encoding in encodings.items():
        for piece, share in weighed[encoding._pat_str].items():
            ids = len(encoding._encode_single_piece(piece.encode()))
            if 2 <= ids <= MOST_IDS:
                worth[piece] += VOCABULARIES[name] * share
    return worth


def write(path: pathlib.Path, pieces: list[str]) -> int:
    """Writes the list: one byte of length and the bytes of each piece, as one zstd frame."""
    raw = b"".join(bytes([len(p.encode())]) + p.encode() for p in pieces)
    packed = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw)
    path.write_bytes(packed)
    return len(packed)


def main() -> None:
    root = pathlib.Path(__file__).parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=root / "dataplane/engines/token/data/words.zst")
    parser.add_argument("--count", type=int, default=65536)
    arguments = parser.parse_args()
    encodings = reference.encodings(sources.cache_folder(), tuple(VOCABULARIES))
    patterns = {e._pat_str: e._pat_str for e in encodings.values()}
    by_pattern = {p: {kind: collections.Counter() for kind in SHARES} for p in patterns}
    tasks = [(i, patterns) for i, s in enumerate(sources.SOURCES) if s.kind in SHARES and s.part != "test"]
    with multiprocessing.Pool() as pool:
        for index, counts, size in pool.imap(count, tasks):
            source = sources.SOURCES[index]
            print(f"{source.kind:8} {source.registry}:{source.package:32} {source.licence:24} {size:>10}", flush=True)
            for pattern, counter in counts.items():
                by_pattern[pattern][source.kind].update(counter)
    worth = score(encodings, by_pattern)
    ranked = sorted(worth.items(), key=lambda item: (-item[1], item[0]))[: arguments.count]
    size = write(arguments.out, [piece for piece, _ in ranked])
    whole = sum(worth.values())
    for part in (1024, 4096, 16384, len(ranked)):
        print(f"first {part}: {sum(v for _, v in ranked[:part]) / whole:.3f} of what multi-token pieces weigh")
    print(f"{len(worth)} candidates, {len(ranked)} pieces, {size} bytes in {arguments.out}")


if __name__ == "__main__":
    main()
