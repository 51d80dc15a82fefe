"""Writes testdata/vectors/glosses.arrow: sentences with 384 numbers each, for tests and trials.

Usage: glosses.py FOLDER [COUNT]

FOLDER/wordnet holds Debian's wordnet-base, unpacked (install-peers corpus does that). The first COUNT (3,400)
of WordNet's glosses of 20 to 90 characters, shuffled, by embed.py, rounded to f16: an Arrow IPC file with
the columns id (utf8: "g" and the number), text (utf8), vector (fixed-size list of float16).
"""

import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from embed import DIMENSIONS, embed, glosses

OUT = Path(__file__).resolve().parents[2] / "testdata" / "vectors" / "glosses.arrow"


def main():
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 3_400
    sentences = sorted({s for s in glosses(folder / "wordnet") if 20 <= len(s) <= 90})
    random.Random(1).shuffle(sentences)
    sentences = sentences[:count]
    made = embed(sentences).astype(np.float16)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), DIMENSIONS)
    ids = pa.array([f"g{at}" for at in range(count)])
    table = pa.table({"id": ids, "text": pa.array(sentences), "vector": vectors})
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(OUT), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=1_000):
            writer.write_batch(batch)


if __name__ == "__main__":
    main()
