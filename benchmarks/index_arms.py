"""The indexes that are compared, each in a process of its own: build, set, search."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.line_process import LineProcess, peak_bytes

K: Final = 10
EFFORTS: Final = (
    10,
    16,
    24,
    32,
    40,
    48,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    256,
    320,
    384,
    512,
    768,
    1024,
)


class IndexArm(Protocol):
    """An index of vectors of length one, compared by inner product."""

    def build(self, vectors: NDArray[np.float32], scratch: Path, min_recall: float) -> None:
        """Fill it with float32 [rows, dim]."""

    def settings(self) -> Sequence[Any]:
        """What it can be searched with, the fastest first."""

    def search(self, queries: NDArray[np.float32], setting: Any) -> NDArray[np.int64]:
        """The K nearest rows of float32 [queries, dim]: int64 [queries, K]."""

    def bytes(self) -> int:
        """What it holds."""


class Ours:
    """lookalike's own choice, from Parquet embeddings to a published index, as the job does it."""

    def build(self, vectors: NDArray[np.float32], scratch: Path, min_recall: float) -> None:
        from index.builder import IndexOptions, build_index
        from index.embedding_dataset import EmbeddingDataset
        from index.output_folder import OutputFolder
        from index.vector_index import VectorIndex

        folder = OutputFolder.at(scratch).folder("index", f"recall={min_recall}")
        dataset = EmbeddingDataset.open(str(scratch))
        build_index(dataset, folder, IndexOptions(min_recall=min_recall))
        self._index = VectorIndex.open(folder)

    def settings(self) -> Sequence[dict[str, int]]:
        tried = self._index.manifest.tried
        fastest = sorted(tried, key=lambda one: -one.queries_a_second)
        return [one.parameters for one in fastest]

    def search(self, queries: NDArray[np.float32], setting: dict[str, int]) -> NDArray[np.int64]:
        if setting != self._index.manifest.search_parameters:
            manifest = self._index.manifest.model_copy(update={"search_parameters": setting})
            self._index = dataclasses.replace(self._index, manifest=manifest)
        return self._index.search(queries, K).ids

    def bytes(self) -> int:
        return sum(file.size for file in self._index.manifest.searched_files)


class FaissFlat:
    """Exact search by FAISS."""

    def build(self, vectors: NDArray[np.float32], scratch: Path, min_recall: float) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def settings(self) -> Sequence[None]:
        return [None]

    def search(self, queries: NDArray[np.float32], setting: None) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._index.search(queries, K)[1]
        return ids

    def bytes(self) -> int:
        return int(self._index.ntotal) * int(self._index.d) * 4


class Hnswlib:
    """hnswlib with its usual 16 links and a construction effort of 200."""

    def build(self, vectors: NDArray[np.float32], scratch: Path, min_recall: float) -> None:
        import hnswlib

        self._threads = len(os.sched_getaffinity(0))
        self._index = hnswlib.Index("ip", vectors.shape[1])
        self._index.init_index(len(vectors), ef_construction=200, M=16)
        self._index.add_items(vectors, num_threads=self._threads)
        self._file = scratch / "hnswlib.index"

    def settings(self) -> Sequence[int]:
        return EFFORTS

    def search(self, queries: NDArray[np.float32], setting: int) -> NDArray[np.int64]:
        self._index.set_ef(setting)
        ids = self._index.knn_query(queries, k=K, num_threads=self._threads)[0]
        return np.asarray(ids).astype(np.int64)

    def bytes(self) -> int:
        self._index.save_index(str(self._file))
        return self._file.stat().st_size


class Usearch:
    """usearch with its defaults, its vectors in bfloat16 or int8."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype

    def build(self, vectors: NDArray[np.float32], scratch: Path, min_recall: float) -> None:
        from usearch.index import Index

        metric = "cos" if self._dtype == "i8" else "ip"
        self._threads = len(os.sched_getaffinity(0))
        self._index = Index(ndim=vectors.shape[1], metric=metric, dtype=self._dtype)
        self._index.add(np.arange(len(vectors)), vectors, threads=self._threads)

    def settings(self) -> Sequence[int]:
        return EFFORTS

    def search(self, queries: NDArray[np.float32], setting: int) -> NDArray[np.int64]:
        self._index.expansion_search = setting
        keys = self._index.search(queries, K, threads=self._threads).keys
        return np.asarray(keys).astype(np.int64).reshape(len(queries), K)

    def bytes(self) -> int:
        return int(self._index.serialized_length)


ARMS: Final[dict[str, Callable[[], IndexArm]]] = {
    "lookalike": Ours,
    "FAISS Flat": FaissFlat,
    "hnswlib": Hnswlib,
    "usearch bf16": lambda: Usearch("bf16"),
    "usearch i8": lambda: Usearch("i8"),
}
NEEDED: Final = {"hnswlib": "hnswlib", "usearch bf16": "usearch", "usearch i8": "usearch"}


class IndexProcess(LineProcess):
    """An arm in its own process; vectors are read from files that all arms share."""

    def __init__(self, name: str, scratch: Path, min_recall: float) -> None:
        super().__init__(name, "benchmarks.index_arms", name, str(scratch), str(min_recall))
        self.built = self.hear()

    def ask(self, what: str, **values: Any) -> Any:
        """Have one thing done, and give what came of it."""
        self.say({"what": what, **values})
        return self.hear()


def recall(found: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """The share of true neighbors that were found."""
    return float((found[:, :, None] == true[:, None, :]).any(axis=1).mean())


def _answer(arm: IndexArm, request: dict[str, Any], scratch: Path) -> Any:
    queries = np.load(scratch / "queries.npy")
    true = np.load(scratch / "true.npy")
    half = len(queries) // 2  # a setting is chosen with one half, and measured with the other
    if request["what"] == "reach":
        for setting in arm.settings():
            if recall(arm.search(queries[:half], setting), true[:half]) >= request["recall"]:
                measured = recall(arm.search(queries[half:], setting), true[half:])
                return {"setting": setting, "recall": measured}
        return None
    began = time.perf_counter()
    if request["what"] == "batch":
        arm.search(queries[half:], request["setting"])
        return (len(queries) - half) / (time.perf_counter() - began)
    some = queries[half : half + request["singles"]]
    for query in some:
        arm.search(query[None], request["setting"])
    return len(some) / (time.perf_counter() - began)


def main(name: str, scratch: Path, min_recall: float) -> None:
    """The arm's side: builds, then answers a request a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is no answer
    # Ours reads the same vectors from Parquet itself.
    vectors = np.empty((0, 0), np.float32) if name == "lookalike" else np.load(scratch / "base.npy")
    arm = ARMS[name]()
    began = time.perf_counter()
    arm.build(vectors, scratch, min_recall)
    built = {"seconds": time.perf_counter() - began, "bytes": arm.bytes(), "peak": peak_bytes()}
    print(json.dumps(built), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(arm, json.loads(line), scratch)), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
