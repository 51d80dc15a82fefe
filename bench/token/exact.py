"""Holds our ids against OpenAI's tiktoken over megabytes of text, and against Crayon 2.0.3 in its own
vocabulary with longest match.

    exact.py [--most MIB_PER_CORPUS] [--engine pfs pfs-batch pfs-stream] [--vocabulary NAME...]

Needs `corpora.py` and `install-peers` to have run, and `cargo build --release -p pfs-bench`.
Ends with 1 when an id differs, and says where.
"""

import argparse
import array
import json
import pathlib
import subprocess
import sys
import tempfile

import reference
import sources

MIB = 1 << 20
DOCUMENT = 256 << 10  # bytes that are encoded at a time
CORPORA = ("english", "code", "multi", "html", "adv_words", "adv_rand", "adv_a")
TARGET = sources.cache_folder().parent

# Prints the ids of each document by Crayon 2.0.3: run by that version's own Python.
CRAYON = """
import array, json, sys
from crayon import CrayonVocab
vocab = CrayonVocab.load_profile("lite")
texts = json.load(open(sys.argv[1]))
json.dump([list(vocab.tokenize(text)) for text in texts], open(sys.argv[2], "w"))
"""


def documents(corpus: str, most: int) -> list[str]:
    """The corpus in documents that are cut between characters."""
    raw = (sources.cache_folder() / f"{corpus}.txt").read_bytes()[: most * MIB]
    texts, at = [], 0
    while at < len(raw):
        end = min(at + DOCUMENT, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        texts.append(raw[at:end].decode("utf-8", errors="ignore"))
        at = end
    return texts


def ours(engine: str, vocabulary: str, file: str, texts: list[str]) -> array.array:
    """Our ids of all documents, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        sample = pathlib.Path(folder) / "sample"
        raw = [text.encode() for text in texts]
        sample.write_bytes(b"".join(raw))
        ends, end = array.array("I"), 0
        for each in raw:
            end += len(each)
            ends.append(end)
        pathlib.Path(f"{sample}.ends").write_bytes(ends.tobytes())
        command = [TARGET / "release/pfs-bench", "token", "ids", engine, vocabulary, file, sample]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    ids = array.array("I")
    ids.frombytes(output)
    return ids


def compare(name: str, texts: list[str], wanted: list[list[int]], found: array.array) -> bool:
    """Whether all ids are equal; prints where they differ first."""
    size = sum(len(text.encode()) for text in texts)
    at = 0
    for index, ids in enumerate(wanted):
        part = found[at : at + len(ids)]
        if part.tolist() != ids:
            first = next((i for i, (a, b) in enumerate(zip(part, ids)) if a != b), len(part))
            print(f"{name}: DIFFERENT in document {index} at token {first}: {part[first : first + 8].tolist()}, "
                  f"reference {ids[first : first + 8]}")
            return False
        at += len(ids)
    equal = at == len(found)
    print(f"{name}: {'equal' if equal else 'TOO LONG'}: {at} tokens of {size} bytes", flush=True)
    return equal


def crayon(texts: list[str]) -> bool:
    """Crayon 2.0.3 over the documents, where it is installed."""
    environment = TARGET / "bench-peers/crayon-2.0.3"
    table = next(environment.glob("lib/*/site-packages/crayon/resources/dat/vocab_lite.dat"), None)
    if table is None:
        print("crayon-2.0.3 is not installed: not compared")
        return True
    with tempfile.TemporaryDirectory() as folder:
        given, made = pathlib.Path(folder) / "texts.json", pathlib.Path(folder) / "ids.json"
        given.write_text(json.dumps(texts))
        subprocess.run([environment / "bin/python", "-c", CRAYON, given, made], check=True, stdout=sys.stderr)
        wanted = json.loads(made.read_text())
    return compare("crayon-2.0.3 lite", texts, wanted, ours("pfs-greedy", "crayon-2.0.3:lite", str(table), texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=20, help="MiB of each corpus (default 20)")
    parser.add_argument("--engine", nargs="+", default=["pfs", "pfs-batch", "pfs-stream"])
    parser.add_argument("--vocabulary", nargs="+", default=["r50k_base", "cl100k_base", "o200k_base"])
    parser.add_argument("--corpus", nargs="+", default=CORPORA)
    arguments = parser.parse_args()
    encodings = reference.encodings(sources.cache_folder(), tuple(arguments.vocabulary))
    right = True
    for corpus in arguments.corpus:
        texts = documents(corpus, arguments.most)
        for name, encoding in encodings.items():
            wanted = encoding.encode_ordinary_batch(texts, num_threads=2)
            for engine in arguments.engine:
                right &= compare(f"{corpus} {name} {engine}", texts, wanted, ours(engine, name, "-", texts))
    for corpus in (c for c in ("english", "code", "multi") if c in arguments.corpus):
        right &= crayon(documents(corpus, min(arguments.most, 4)))
    sys.exit(not right)


if __name__ == "__main__":
    main()
