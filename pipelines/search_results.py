"""What a search found -> a table, JSON lines, Parquet, or a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.errors import LookalikeError
from index.exact_scores import Query, QueryNeighbors
from pipelines.whole_file import write_whole

if TYPE_CHECKING:
    from index.vector_index import VectorIndex


@dataclass(frozen=True)
class Hit:
    """A neighbor of a query: its rank from 1, its cosine, and its picture."""

    query: str
    rank: int
    score: float
    uri: str
    id: int


def hits_of(queries: list[Query], neighbors: list[QueryNeighbors], index: VectorIndex) -> list[Hit]:
    """Every neighbor of every query, in their order."""
    ids = np.concatenate([found.ids for found in neighbors])
    uris = iter(index.pictures(ids).column("uri").to_pylist())
    hits = []
    for query, found in zip(queries, neighbors, strict=True):
        pairs = zip(found.scores.tolist(), found.ids.tolist(), strict=True)
        for rank, (score, id) in enumerate(pairs, start=1):
            hits.append(Hit(query.name, rank, round(score, 6), next(uris), id))
    return hits


def print_table(hits: list[Hit]) -> None:
    """For people: the neighbors under each query."""
    query = None
    for hit in hits:
        if hit.query != query:
            print(f"{hit.query}" if query is None else f"\n{hit.query}")
            query = hit.query
        print(f"{hit.rank:>4}  {hit.score:.4f}  {hit.uri}")


def print_json(hits: list[Hit]) -> None:
    """For machines: an object a line."""
    for hit in hits:
        print(json.dumps(vars(hit), ensure_ascii=False))


def write_parquet(path: str, hits: list[Hit]) -> None:
    """For tables: `query`, `rank`, `score`, `uri`, `id`."""
    columns = {
        "query": pa.array([hit.query for hit in hits], pa.string()),
        "rank": pa.array([hit.rank for hit in hits], pa.int32()),
        "score": pa.array([hit.score for hit in hits], pa.float32()),
        "uri": pa.array([hit.uri for hit in hits], pa.string()),
        "id": pa.array([hit.id for hit in hits], pa.int64()),
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    write_whole(path, sink.getvalue())


def write_page(path: str, index: VectorIndex, hits: list[Hit]) -> None:
    """A page with the pictures."""
    from index.html_report import PictureCard, PictureRow, Section, render_report
    from pipelines.load_thumbnails import load_thumbnail

    rows = []
    for name in dict.fromkeys(hit.query for hit in hits):
        query = PictureCard(name, load_thumbnail(name), "query", "query")
        neighbors = [
            PictureCard(hit.uri, load_thumbnail(hit.uri), f"{hit.rank}. {hit.score:.4f}")
            for hit in hits
            if hit.query == name
        ]
        rows.append(PictureRow("", [query, *neighbors]))
    note = "The framed picture is the query; under each neighbor stands its cosine to it."
    facts = {
        "variant": index.space.variant,
        "pictures": f"{len(index):,}",
        "index": index.manifest.factory_string,
    }
    page = render_report("Similar pictures", facts, [Section("Neighbors", note, rows)])
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise LookalikeError(f"the report cannot be written: {error}") from error
