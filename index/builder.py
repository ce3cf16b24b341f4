"""A dataset -> an index folder: train on a sample, add batch by batch, measure, write."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.errors import OutputMissing, UsageError
from index.factory_string import choose_factory_string
from index.manifest import IndexManifest, StoredFile
from index.output_folder import OutputFolder
from index.recall import RecallQueries, measure_recall, sample_queries
from index.unit_vectors import unit_vectors

TRAINING_VECTORS: Final = 50_000
EFFORTS: Final = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class IndexOptions:
    """What an index is built for.

    Attributes:
        max_bytes: memory it may take.
        min_recall: the recall@10 its search settings are tuned to reach.
        factory_string: overrides the choice of index type.
    """

    max_bytes: int = 4 << 30
    min_recall: float = 0.95
    factory_string: str | None = None


def build_index(
    dataset: EmbeddingDataset, folder: OutputFolder, options: IndexOptions
) -> IndexManifest:
    """Write index.faiss, rows.parquet and, last, manifest.json into `folder`."""
    if len(dataset) == 0:
        raise OutputMissing(f"{dataset.folder.root} holds no vectors: there is nothing to index")
    dim = dataset.space.num_features
    factory_string = options.factory_string or choose_factory_string(
        len(dataset), dim, max_bytes=options.max_bytes, min_recall=options.min_recall
    )
    try:
        index = faiss.index_factory(dim, factory_string, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(_training_sample(dataset))
        for batch in dataset.batches():
            index.add(unit_vectors(batch.vectors))
    except RuntimeError as error:
        raise UsageError(
            f"FAISS cannot build {factory_string!r} from {len(dataset):,} vectors of width {dim}: "
            f"{str(error).strip().splitlines()[-1]}"
        ) from error
    queries = sample_queries(dataset)
    setting, recall = _tune(index, dataset, queries, options.min_recall)

    rows = _encode_rows(dataset)
    encoded = faiss.serialize_index(index).data
    manifest = IndexManifest(
        space=dataset.space,
        embeddings=dataset.record.digest,
        factory_string=factory_string,
        search_parameters=setting,
        count=len(dataset),
        recall_at_10=recall,
        recall_queries=0 if recall is None else len(queries.ids),
        index_file=StoredFile.of("index.faiss", encoded),
        rows_file=StoredFile.of("rows.parquet", rows, rows=len(dataset)),
    )
    folder.write("index.faiss", encoded)
    folder.write("rows.parquet", rows)
    manifest.write(folder)
    return manifest


def _training_sample(dataset: EmbeddingDataset) -> NDArray[np.float32]:
    """A seeded sample of unit vectors: float32 [at most TRAINING_VECTORS, dim]."""
    return sample_queries(dataset, TRAINING_VECTORS, seed=1).vectors


def _tune(
    index: Any, dataset: EmbeddingDataset, queries: RecallQueries, min_recall: float
) -> tuple[str, float | None]:
    """The cheapest search setting that reaches the recall, or the best there is; with its recall."""
    if len(dataset) < 2:
        return "", None
    settings = _search_settings(index)
    searches = [partial(_search_with, index, setting) for setting in settings]
    recalls = measure_recall(searches, dataset, queries, k=10)
    for setting, recall in zip(settings, recalls, strict=True):
        if recall >= min_recall:
            return setting, recall
    best = int(np.argmax(recalls))
    return settings[best], recalls[best]


def _search_settings(index: Any) -> list[str]:
    """The settings worth trying for an index type, cheapest first."""
    if isinstance(index, faiss.IndexHNSW):
        return [f"efSearch={effort}" for effort in EFFORTS]
    if isinstance(index, faiss.IndexIVF):
        reach = int(math.log2(index.nlist))
        return [f"nprobe={2**power}" for power in range(reach + 1)]
    return [""]


def _search_with(
    index: Any, setting: str, vectors: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    if setting:
        faiss.ParameterSpace().set_index_parameters(index, setting)
    _, ids = index.search(vectors, k)
    found: NDArray[np.int64] = ids
    return found


def _encode_rows(dataset: EmbeddingDataset) -> pa.Buffer:
    """rows.parquet: what each id of the index stands for."""
    pictures = dataset.pictures()
    ids = pa.array(np.arange(pictures.num_rows, dtype=np.int64))
    sink = pa.BufferOutputStream()
    table = pictures.add_column(0, "id", ids).replace_schema_metadata(
        {"lookalike.vector_space": dataset.space.model_dump_json()}
    )
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
