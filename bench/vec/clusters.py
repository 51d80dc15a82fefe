"""Writes synth.npy: 201,000 x 384 numbers around 1,000 centres, the last 1,000 as queries.

Usage: clusters.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

COUNT, DIMENSIONS, CENTRES = 201_000, 384, 1_000


def main():
    random = np.random.default_rng(7)
    centres = random.standard_normal((CENTRES, DIMENSIONS)).astype(np.float32)
    weights = random.dirichlet(np.ones(CENTRES))
    spread = random.uniform(0.2, 1.2, DIMENSIONS).astype(np.float32)
    chosen = random.choice(CENTRES, COUNT, p=weights)
    made = centres[chosen]
    made += spread * random.standard_normal((COUNT, DIMENSIONS), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.save(Path(sys.argv[1]) / "synth.npy", made)


if __name__ == "__main__":
    main()
