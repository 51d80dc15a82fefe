"""Writes synth.npy: 201,000 x 384 numbers around 1,000 centres, the last 1,000 as queries.

Usage: clusters.py FOLDER [COUNT NAME]

COUNT vectors and queries together, 201,000 unless told, go to NAME.npy.
"""

import sys
from pathlib import Path

import numpy as np

DIMENSIONS, CENTRES = 384, 1_000


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 201_000
    name = sys.argv[3] if len(sys.argv) > 3 else "synth"
    random = np.random.default_rng(7)
    centres = random.standard_normal((CENTRES, DIMENSIONS)).astype(np.float32)
    weights = random.dirichlet(np.ones(CENTRES))
    spread = random.uniform(0.2, 1.2, DIMENSIONS).astype(np.float32)
    chosen = random.choice(CENTRES, count, p=weights)
    made = centres[chosen]
    made += spread * random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.save(Path(sys.argv[1]) / f"{name}.npy", made)


if __name__ == "__main__":
    main()
