"""Measures vector libraries on one thread, one query a call; prints JSON lines.

Usage: peers.py FILE.npy [NAME...]

The last 1,000 rows are queries. Rates are per second of this process's CPU time; recall is of the
ten nearest against exact search. Settings rise until one reaches 0.97;
the fastest of three passes counts.
"""

import json
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import numpy as np  # noqa: E402

QUERIES = 1000


def timed(work):
    begin = time.process_time()
    result = work()
    return result, time.process_time() - begin


def report(name, **values):
    print(json.dumps({"peer": name, **values}), flush=True)


def sweep(name, truth, settings, search, **values):
    for setting in settings:
        (found, seconds), *again = [timed(lambda: search(setting)) for _ in range(3)]
        seconds = min(seconds, *(other for _, other in again))
        common = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
        recall = common / truth.size
        report(name, setting=setting, recall=recall, qps=len(truth) / seconds, **values)
        if recall >= 0.97:
            break


def faiss_flat(base, queries, truth):
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(base.shape[1])
    flat.add(base)
    _, seconds = timed(lambda: [flat.search(q[None], 10) for q in queries[:200]])
    report("faiss flat, one query", vectors_per_s=len(base) * 200 / seconds)
    (_, found), seconds = timed(lambda: flat.search(queries, 10))
    assert (found == truth).mean() > 0.999, "another order than exact search"
    report("faiss flat, batch", vectors_per_s=len(base) * len(queries) / seconds)


def faiss_codes(base, queries, truth):
    import faiss

    faiss.omp_set_num_threads(1)
    for name in ("PQ96x4fs", "RaBitQ", "RaBitQfs"):
        index = faiss.index_factory(base.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        index.train(base[:20000])
        _, add = timed(lambda: index.add(base))
        found, seconds = timed(lambda: np.vstack([index.search(q[None], 10)[1] for q in queries]))
        common = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
        report(f"faiss {name}", add_per_s=len(base) / add, recall=common / truth.size,
               qps=len(queries) / seconds, vectors_per_s=len(base) * len(queries) / seconds)
    pq = faiss.IndexPQ(base.shape[1], 48, 8, faiss.METRIC_INNER_PRODUCT)
    pq.train(base[:10000])
    _, add = timed(lambda: pq.add(base))
    report("faiss PQ48x8", add_per_s=len(base) / add)


def usearch(base, queries, truth):
    from usearch.index import Index

    for dtype in ("bf16", "i8"):
        index = Index(ndim=base.shape[1], metric="cos", dtype=dtype, connectivity=16,
                      expansion_add=128)
        keys = np.arange(len(base))
        _, add = timed(lambda: index.add(keys, base, threads=1))

        def search(ef, index=index):
            index.expansion_search = ef
            return [index.search(q, 10, threads=1).keys for q in queries]

        sweep(f"usearch {dtype}", truth, (12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128), search,
              add_per_s=len(base) / add)


def hnswlib(base, queries, truth):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=base.shape[1])
    index.init_index(max_elements=len(base), M=16, ef_construction=128)
    index.set_num_threads(1)
    _, add = timed(lambda: index.add_items(base, num_threads=1))

    def search(ef):
        index.set_ef(ef)
        return [index.knn_query(q, k=10, num_threads=1)[0][0] for q in queries]

    sweep("hnswlib f32", truth, (12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128), search, add_per_s=len(base) / add)


def symqg(base, queries, truth):
    import rabitqlib

    index = rabitqlib.SymqgIndex(base.shape[1], 32, "l2")
    _, build = timed(lambda: index.build(base, 200, 1))
    sweep("rabitqlib SymphonyQG 32", truth, (20, 24, 26, 28, 30, 34, 40, 60, 80, 100),
          lambda ef: [index.search(q[None], 10, ef)[0][0] for q in queries],
          add_per_s=len(base) / build)


ALL = {"faiss_flat": faiss_flat, "faiss_codes": faiss_codes, "usearch": usearch,
       "hnswlib": hnswlib, "symqg": symqg}


def main():
    data = np.ascontiguousarray(np.load(sys.argv[1]), dtype=np.float32)
    base, queries = data[:-QUERIES], data[-QUERIES:]
    truth = np.argsort(-(queries @ base.T), axis=1)[:, :10]
    for name in sys.argv[2:] or ALL:
        ALL[name](base, queries, truth)


if __name__ == "__main__":
    main()
