"""JOB query images -> neighbors.

lookalike search out --variant mobilenet_v2_100_224 --image query.jpg -k 10
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.errors import InvalidInput, LookalikeError, SpaceMismatch, UsageError
from index.unit_vectors import check_vectors, unit_vectors
from pipelines.job import JobReport, flag, positive

if TYPE_CHECKING:
    from index.embedding_dataset import EmbeddingDataset
    from index.output_folder import OutputFolder
    from index.vector_index import VectorIndex
    from index.vector_space import VectorSpace
    from transforms.variants import Variant

TIE: Final = 1e-5  # scores nearer than this are those of equal pictures
CANDIDATES: Final = 40  # at least so many of an approximate index are scored exactly
CANDIDATES_PER_NEIGHBOR: Final = 4


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        name: what the user called it.
        vector: float32 [dim].
        own_id: the row of the index that is this very picture; None where it holds none.
    """

    name: str
    vector: NDArray[np.float32]
    own_id: int | None = None


@dataclass(frozen=True)
class Hit:
    """A neighbor of a query: its rank from 1, its cosine, and its picture."""

    query: str
    rank: int
    score: float
    uri: str


@dataclass(frozen=True)
class SearchImages:
    """Search an index: by picture, by a picture of the set, or by vector."""

    output: str = flag("a folder with an index", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose index; may be left out where there is one", default=None, metavar="NAME"
    )
    image: tuple[str, ...] = flag("picture files", default=(), many=True, metavar="FILE")
    uri: tuple[str, ...] = flag("pictures of the set", default=(), many=True, metavar="URI")
    vector: str | None = flag(
        "a .npy file, [dim] or [queries, dim], of the same variant", default=None, metavar="FILE"
    )
    k: int = flag("neighbors a query", default=10, short="-k", parse=positive, metavar="N")
    modules: str | None = flag(
        "a folder that mirrors modules; $LOOKALIKE_MODULES if not given",
        default=None,
        metavar="DIR",
    )
    json: bool = flag("for machines: one JSON object a line", default=False)
    report: str | None = flag("also write an HTML page here", default=None, metavar="FILE")

    def run(self) -> JobReport:
        """Print the neighbors of every query, best first."""
        if not (self.image or self.uri or self.vector):
            raise UsageError("nothing to search for: give --image, --uri or --vector")
        from index.embedding_dataset import EmbeddingDataset
        from index.output_folder import OutputFolder
        from index.vector_index import VectorIndex
        from pipelines.start_beam import start_beam
        from transforms.variants import stored_name

        if self.image or self.report:
            start_beam()  # its filesystems read pictures
        output = OutputFolder.at(self.output)
        name = stored_name(self.variant) or _only_index(output)
        index = VectorIndex.of_variant(output, name)
        dataset = EmbeddingDataset.open(output, name)
        index.space.require_same(dataset.space)
        if index.manifest.embeddings != dataset.record.digest:
            raise SpaceMismatch(
                f"the index of {name!r} was built from embeddings {index.manifest.embeddings[:16]}…, "
                f"{output.root} holds {dataset.record.digest[:16]}…; build it again: "
                f"lookalike index {output.root} --variant {name} --overwrite"
            )
        queries = [
            *self._by_image(index, self.variant or name),
            *self._by_uri(index, dataset),
            *self._by_vector(index),
        ]
        hits = find_neighbors(index, dataset, queries, self.k)
        if self.json:
            for hit in hits:
                print(json.dumps(vars(hit), ensure_ascii=False))
        else:
            _print_table(hits)
        if self.report:
            _write_page(self.report, index, hits)
            print(f"report: {os.path.abspath(self.report)}", file=sys.stderr)
        return JobReport()

    def _by_image(self, index: VectorIndex, variant: str) -> Iterator[Query]:
        if not self.image:
            return
        from transforms.image_embedder import ImageEmbedder
        from transforms.read_bytes import read_bytes

        embedder = ImageEmbedder.open(_variant(variant, index.space), modules=self.modules)
        index.space.require_same(embedder.space)
        for name in self.image:
            try:
                data = read_bytes(name)
            except OSError as error:
                raise InvalidInput(f"query picture {name!r}: {error}") from error
            try:
                vector = embedder.embed([data])[0]
            except InvalidInput as error:
                raise InvalidInput(f"{name!r} cannot be used: {error.__cause__}") from error
            yield Query(name, vector, _row_of_content(index, data, os.path.abspath(name)))

    def _by_uri(self, index: VectorIndex, dataset: EmbeddingDataset) -> Iterator[Query]:
        for name in self.uri:
            own = index.find(name)
            own = index.find(os.path.abspath(name)) if own is None else own
            if own is None:
                raise InvalidInput(
                    f"{name!r} is not a picture of this index; its URIs are as in rows.parquet, "
                    "or search with --image"
                )
            row = index.rows.slice(own, 1)
            place = row.column("part").to_numpy(), row.column("row").to_numpy()
            yield Query(name, dataset.vectors_at(*place)[0], own)

    def _by_vector(self, index: VectorIndex) -> Iterator[Query]:
        if not self.vector:
            return
        try:
            vectors = np.load(self.vector, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInput(f"{self.vector!r} is not a .npy file of numbers: {error}") from error
        if not isinstance(vectors, np.ndarray):
            raise InvalidInput(f"{self.vector!r} holds several arrays; save one as .npy")
        checked = check_vectors(np.atleast_2d(vectors), index.space.num_features)
        if not checked.any(axis=1).all():
            raise InvalidInput(f"{self.vector!r} holds a vector of zeros, which is like no other")
        for number, vector in enumerate(checked):
            yield Query(f"{self.vector}[{number}]", vector)


def find_neighbors(
    index: VectorIndex, dataset: EmbeddingDataset, queries: Sequence[Query], k: int
) -> list[Hit]:
    """The k nearest pictures of each query, their scores computed from the stored vectors.

    An approximate index gives candidates: more than k, whose exact scores then decide. Where several
    pictures score alike, the query's own comes first. Each stored vector is read once.
    """
    wide = k if index.is_exact else max(CANDIDATES, k * CANDIDATES_PER_NEIGHBOR)
    vectors = np.stack([query.vector for query in queries])
    found = index.search(vectors, wide).ids
    candidates = [
        np.union1d(ids[ids >= 0], [] if query.own_id is None else [query.own_id]).astype(np.int64)
        for query, ids in zip(queries, found, strict=True)
    ]
    every = np.unique(np.concatenate(candidates))
    rows = index.rows.take(pa.array(every))
    uris = rows.column("uri")
    stored = unit_vectors(
        dataset.vectors_at(rows.column("part").to_numpy(), rows.column("row").to_numpy())
    )
    hits = []
    for query, unit, ids in zip(queries, unit_vectors(vectors), candidates, strict=True):
        places = np.searchsorted(every, ids)
        scores = np.minimum(stored[places] @ unit, 1)
        for rank, one in enumerate(_best_first(scores, ids, query.own_id)[:k], start=1):
            uri = uris[int(places[one])].as_py()
            hits.append(Hit(query.name, rank, round(float(scores[one]), 6), uri))
    return hits


def _best_first(
    scores: NDArray[np.float32], ids: NDArray[np.int64], own_id: int | None
) -> list[int]:
    """The order of the scores, the best first; of those that tie with it, the query's own before all."""
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    if own_id is not None:
        own = int(np.searchsorted(ids, own_id))
        if scores[order[0]] - scores[own] <= TIE:
            order.remove(own)
            order.insert(0, own)
    return order


def _only_index(output: OutputFolder) -> str:
    from urllib.parse import unquote

    from index.embedding_dataset import only_variant
    from index.output_folder import INDEX

    names = [name for name in output.folder(INDEX).names() if name.startswith("variant=")]
    variants = [unquote(name.removeprefix("variant=")) for name in names]
    return only_variant(variants, where=f"{output.root}/{INDEX}")


def _variant(text: str, stored: VectorSpace) -> Variant:
    """The variant to prepare a query with: as the user gives it, else as the index has it."""
    from transforms.variants import VARIANTS, Variant, parse_variants

    if "=" in text or stored.variant in VARIANTS:
        return parse_variants(text)[0]
    return Variant(name=stored.variant, handle=stored.handle)


def _row_of_content(index: VectorIndex, data: bytes, location: str) -> int | None:
    """The row whose picture has these bytes, preferring the one at this location."""
    import pyarrow.compute as pc

    content = hashlib.sha256(data).hexdigest()
    same = pc.indices_nonzero(pc.equal(index.rows.column("content_hash"), content)).to_pylist()
    at_location = index.find(location)
    if at_location in same:
        return at_location
    return same[0] if same else None


def _print_table(hits: list[Hit]) -> None:
    query = None
    for hit in hits:
        if hit.query != query:
            print(f"{hit.query}" if query is None else f"\n{hit.query}")
            query = hit.query
        print(f"{hit.rank:>4}  {hit.score:.4f}  {hit.uri}")


def _write_page(path: str, index: VectorIndex, hits: list[Hit]) -> None:
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
