"""Runs one Python peer over one sample and prints one line of JSON, as `peers/src/main.rs` does.

    peer.py ENGINE VOCABULARY RANKS SAMPLE PASSES
"""

import inspect
import json
import os
import sys
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")
ENOUGH_NS = 1_200_000_000


def resident_kib() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def texts(path: str) -> list[bytes]:
    raw = open(path, "rb").read()
    ends = memoryview(open(path + ".ends", "rb").read()).cast("I")
    return [raw[a:b] for a, b in zip([0, *ends], ends)]


def gigatoken(vocabulary: str, ranks: str):
    import gigatoken as package

    return package.Tokenizer.from_tiktoken(ranks).backend.encode, False


def tiktoken(vocabulary: str, ranks: str):
    import reference
    import sources

    return reference.encodings(sources.cache_folder(), (vocabulary,))[vocabulary].encode_ordinary, True


def crayon(vocabulary: str, ranks: str):
    from crayon import CrayonVocab

    if "device" in inspect.signature(CrayonVocab).parameters:  # 5.x
        vocab = CrayonVocab(device="cpu")
        vocab.load_profile(vocabulary)
    else:  # 2.x, where loading replaces one table that all vocabularies share
        vocab = CrayonVocab.load_profile(vocabulary)
    return vocab.tokenize, True


def digest(ids) -> int:
    """The sum that `trial.rs` describes."""
    import numpy

    with numpy.errstate(over="ignore"):
        powers = numpy.full(len(ids), 6364136223846793005, dtype=numpy.uint64)
        powers[:1] = 1
        return int(((ids.astype(numpy.uint64) + numpy.uint64(1)) * numpy.cumprod(powers)).sum(dtype=numpy.uint64))


def main() -> None:
    engine, vocabulary, ranks, sample, passes = sys.argv[1:6]
    out, sys.stdout = sys.stdout, sys.stderr  # crayon prints what it finds
    raw = texts(sample)
    before = resident_kib()
    start = time.perf_counter_ns()
    encode, takes_text = {"gigatoken": gigatoken, "tiktoken": tiktoken, "crayon": crayon}[engine](vocabulary, ranks)
    opened_ns = time.perf_counter_ns() - start
    inputs = [text.decode() for text in raw] if takes_text else raw
    if engine == "crayon" and os.environ.get("CRAYON_PIECE"):
        # Texts from 16 KiB on start a second thread that no option turns off.
        piece = int(os.environ["CRAYON_PIECE"])
        inputs = [t[i : i + piece] for t in inputs for i in range(0, len(t), piece)]
    opened = resident_kib()
    times, counts, spent = [], [], 0
    while len(times) < max(int(passes), 1) and spent < ENOUGH_NS:
        start = time.perf_counter_ns()
        count = 0
        for text in inputs:
            count += len(encode(text))
        times.append(time.perf_counter_ns() - start)
        spent += times[-1]
        counts.append(count)
    passed = resident_kib()
    import numpy

    ids = numpy.concatenate([numpy.asarray(encode(text), dtype=numpy.uint32) for text in inputs])
    print(json.dumps({
        "open_ns": opened_ns, "passes_ns": times, "tokens": counts[0],
        "steady": len(set(counts)) == 1 and counts[0] == len(ids), "digest": digest(ids),
        "bytes": sum(map(len, raw)), "opened_kib": opened - before, "passed_kib": passed - opened,
    }), file=out)


if __name__ == "__main__":
    main()
