"""What is asked of an output -> what is answered; whatever cannot be is refused with its reason."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from index.errors import InvalidInput, UsageError
from index.exact_scores import Query
from index.unit_vectors import check_vectors
from pipelines.service.metrics import ServiceMetrics
from pipelines.service.picture_files import PictureFiles
from pipelines.service.questions import Question, Wanted
from pipelines.service.refusals import Refused
from pipelines.service.searcher import Searcher
from pipelines.service.served_output import ServedOutput
from pipelines.service.served_variant import Mask, ServedVariant
from pipelines.service.uploads import Upload

REFRESH_S: Final = 1.0
Answered = dict[str, Any]


@dataclass(frozen=True)
class SearchService:
    """Answers questions about one output.

    Attributes:
        served: its variants, brought up to date while the service runs.
        searcher: embeds and searches.
        files: its pictures.
        metrics: that count.
    """

    served: ServedOutput
    searcher: Searcher
    files: PictureFiles
    metrics: ServiceMetrics

    def variant(self, name: str | None) -> ServedVariant:
        """The variant of a name, or the only one."""
        variants = self.served.variants
        if not variants:
            problems = "".join(f"; {why}" for why in self.served.problems.values())
            root = self.served.output.root
            raise Refused(
                503,
                "no_index",
                f"{root} holds no index to search yet; build one with: lookalike index {root}{problems}",
            )
        if name is None and len(variants) == 1:
            return next(iter(variants.values()))
        if name is None:
            raise Refused(400, "no_such_variant", f"name a variant, one of: {', '.join(variants)}")
        if name not in variants:
            message = f"no variant {name!r} is served, only: {', '.join(variants)}"
            raise Refused(404, "no_such_variant", message)
        return variants[name]

    async def search(self, question: Question | Upload) -> Answered:
        """The neighbors of whatever is asked for."""
        variant = self.variant(question.variant)
        if isinstance(question, Upload):
            if variant.embedder is None:
                why = self.served.problems.get(variant.name, "its module is not at hand")
                raise Refused(503, "no_module", f"{variant.name}: {why}")
            query = await self.searcher.picture_query(variant, variant.embedder, question.image)
        elif question.vector is not None:
            query = _vector_query(variant, question.vector)
        else:
            id = question.id
            if question.uri is not None:
                id = variant.named([question.uri])[question.uri]["id"]
            if id is None:
                message = f"{question.uri!r} is not a picture of {variant.name}"
                raise Refused(404, "no_such_picture", message)
            try:
                query = variant.stored_query(id)
            except InvalidInput as error:
                raise Refused(404, "no_such_picture", str(error)) from error
        with_filter = await self.matching(variant, question.filter)
        found = await self.searcher.search(variant, query, question.k, with_filter)
        return {
            "variant": variant.name,
            "index": variant.index.manifest.created.isoformat(),
            "query": query.own_id,
            "neighbors": [one for one in found if one["score"] >= question.min_score],
        }

    async def neighbors(self, id: int, wanted: Wanted) -> Answered:
        """The neighbors of a picture of the set."""
        return await self.search(Question(id=id, **wanted.model_dump()))

    async def matching(self, variant: ServedVariant, filter: str | None) -> Mask | None:
        """The rows that a filter is true of; None for all."""
        try:
            return await self.searcher.matching(variant, filter)
        except UsageError as error:
            raise Refused(400, "bad_filter", str(error)) from error

    async def pictures(
        self, name: str | None, filter: str | None, offset: int, limit: int
    ) -> Answered:
        """Some pictures of the set."""
        variant = self.variant(name)
        mask = await self.matching(variant, filter)
        ids = variant.index.ids if mask is None else variant.index.ids[mask]
        some = variant.pictures(ids[offset : offset + limit])
        return {"variant": variant.name, "count": len(ids), "pictures": some}

    def groups(
        self, name: str | None, kind: Literal["duplicates", "leaks"], offset: int, limit: int
    ) -> Answered:
        """Some groups of copies."""
        variant = self.variant(name)
        found = variant.groups[kind]
        some = [] if found is None else found.some(offset, limit)
        named = variant.named([member["uri"] for group in some for member in group])
        return {
            "variant": variant.name,
            "searched": found is not None,
            "facts": {} if found is None else dict(found.facts),
            "count": 0 if found is None else len(found),
            "groups": [[{**named[member["uri"]], **member} for member in group] for group in some],
        }

    def described(self) -> Answered:
        """What is served, and what of it is not, and why."""
        return {
            "output": Path(self.served.output.root).name,
            "variants": [self._variant_facts(one) for one in self.served.variants.values()],
            "problems": dict(self.served.problems),
        }

    async def keep_fresh(self) -> None:
        """Open what is replaced, for as long as this is awaited."""
        seen: Mapping[str, ServedVariant] = {}
        while True:
            for name, variant in self.served.variants.items():
                if variant is not seen.get(name):
                    self.metrics.pictures.labels(name).set(len(variant.index))
                    self.metrics.opened.labels(name).inc()
            seen = self.served.variants
            await asyncio.sleep(REFRESH_S)
            try:
                told = await asyncio.to_thread(self.served.refresh)
            except Exception as error:  # whatever it is, what stands is served on
                told = [f"{type(error).__name__}: {error}"]
            for line in told:
                print(f"lookalike serve: {line}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End its threads."""
        self.searcher.close()
        self.files.close()

    def _variant_facts(self, variant: ServedVariant) -> Answered:
        manifest = variant.index.manifest
        measured = manifest.measured
        return {
            "name": variant.name,
            "pictures": len(variant.index),
            "width": variant.index.space.num_features,
            "index": manifest.factory_string,
            "created": manifest.created.isoformat(),
            "recall_at_10": None if measured is None else measured.recall_at_10,
            "takes_pictures": variant.embedder is not None,
            "engine": None if variant.embedder is None else variant.embedder.engine.name,
            "behind": variant.behind,
            "groups": {
                kind: None if one is None else len(one) for kind, one in variant.groups.items()
            },
            "problem": self.served.problems.get(variant.name),
        }


def picture_facts(variant: ServedVariant, id: int) -> Answered:
    """The facts of a picture of the set."""
    try:
        return variant.picture(id)
    except InvalidInput as error:
        raise Refused(404, "no_such_picture", str(error)) from error


def _vector_query(variant: ServedVariant, values: list[float]) -> Query:
    try:
        vectors = check_vectors(np.array([values]), variant.index.space.num_features)
    except InvalidInput as error:
        raise Refused(400, "bad_vector", str(error)) from error
    if not vectors.any():
        raise Refused(400, "bad_vector", "a vector of zeros is like no other")
    return Query("vector", vectors[0])
