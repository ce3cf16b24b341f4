"""A served output -> the HTTP service: its routes, and how each is answered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from index.errors import InvalidInput, UsageError
from index.exact_scores import Query as VectorQuery
from index.manifest import installed_versions
from index.unit_vectors import check_vectors
from pipelines.service.batcher import TooBusy
from pipelines.service.guard import BodyRefused, JsonAnswer, error_answer
from pipelines.service.metrics import ServiceMetrics
from pipelines.service.page_files import PAGE_FILES
from pipelines.service.picture_files import PictureFiles, PictureGone
from pipelines.service.questions import (
    Answer,
    ErrorAnswer,
    Filter,
    Groups,
    Id,
    MinScore,
    Neighbors,
    Pictures,
    Question,
    VariantName,
    Wanted,
    complaint,
)
from pipelines.service.searcher import Searcher
from pipelines.service.served_output import ServedOutput
from pipelines.service.served_variant import ServedVariant
from pipelines.service.uploads import SEARCH_BODY, Upload, read_question
from transforms.unreadable_picture import UnreadablePicture

REFRESH_S: Final = 1.0
STATUS_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
THUMBNAIL_AGE_S: Final = 24 * 3600


class Refused(Exception):
    """A request that cannot be answered, and why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def search_service(
    served: ServedOutput, searcher: Searcher, files: PictureFiles, metrics: ServiceMetrics
) -> FastAPI:
    """The application; `served` is brought up to date while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        refreshing = asyncio.create_task(_keep_fresh(served, metrics))
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            searcher.close()
            files.close()

    app = FastAPI(
        title="lookalike",
        summary="Similar pictures, by a picture, by a vector, or by one of the set.",
        version=installed_versions()["lookalike"],
        lifespan=lifespan,
        docs_url=None,  # its page is loaded from the internet
        redoc_url=None,
        responses={"4XX": {"model": ErrorAnswer}, 503: {"model": ErrorAnswer}},
    )
    _add_error_answers(app)
    _add_page(app)

    def variant_named(name: str | None) -> ServedVariant:
        variants = served.variants
        if not variants:
            problems = "".join(f"; {why}" for why in served.problems.values())
            raise Refused(
                503,
                "no_index",
                f"{served.output.root} holds no index to search yet; build one with: lookalike index "
                f"{served.output.root}{problems}",
            )
        if name is None and len(variants) == 1:
            return next(iter(variants.values()))
        if name is None:
            raise Refused(400, "no_such_variant", f"name a variant, one of: {', '.join(variants)}")
        if name not in variants:
            message = f"no variant {name!r} is served, only: {', '.join(variants)}"
            raise Refused(404, "no_such_variant", message)
        return variants[name]

    async def answer(variant: ServedVariant, query: VectorQuery, wanted: Wanted) -> Response:
        try:
            found = await searcher.search(variant, query, wanted.k, wanted.filter)
        except UsageError as error:
            raise Refused(400, "bad_filter", str(error)) from error
        return JsonAnswer(
            {
                "variant": variant.name,
                "index": variant.index.manifest.created.isoformat(),
                "query": query.own_id,
                "neighbors": [one for one in found if one["score"] >= wanted.min_score],
            }
        )

    @app.post("/search", response_model=Answer, openapi_extra={"requestBody": SEARCH_BODY})
    async def search(request: Request) -> Response:
        """The nearest pictures of an uploaded picture, of a picture of the set, or of a vector."""
        question = await read_question(request)
        variant = variant_named(question.variant)
        if isinstance(question, Upload):
            if variant.embedder is None:
                why = served.problems.get(variant.name, "its module is not at hand")
                raise Refused(503, "no_module", f"{variant.name}: {why}")
            query = await searcher.picture_query(variant, variant.embedder, question.image)
        else:
            query = _stored_query(variant, question)
        return await answer(variant, query, question)

    @app.get("/neighbors/{id}", response_model=Answer)
    async def neighbors(
        id: Id,
        variant: VariantName = None,
        k: Neighbors = 10,
        filter: Filter = None,
        min_score: MinScore = -1.0,
    ) -> Response:
        """The nearest pictures of a picture of the set, itself first."""
        wanted = Wanted(variant=variant, k=k, filter=filter, min_score=min_score)
        served_variant = variant_named(variant)
        return await answer(served_variant, _stored_query(served_variant, id), wanted)

    @app.get("/pictures", response_model=Pictures)
    async def pictures(
        variant: VariantName = None,
        filter: Filter = None,
        offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 60,
    ) -> Response:
        """The pictures of the set, some at a time."""
        chosen = variant_named(variant)
        try:
            mask = await searcher.matching(chosen, filter)
        except UsageError as error:
            raise Refused(400, "bad_filter", str(error)) from error
        ids = chosen.index.ids if mask is None else chosen.index.ids[mask]
        some = chosen.pictures(ids[offset : offset + limit])
        return JsonAnswer({"variant": chosen.name, "count": len(ids), "pictures": some})

    @app.get("/pictures/{id}", response_model=Pictures)
    async def picture(id: Id, variant: VariantName = None) -> Response:
        """One picture of the set."""
        chosen = variant_named(variant)
        return JsonAnswer({"variant": chosen.name, "count": 1, "pictures": [_facts(chosen, id)]})

    @app.get(
        "/thumbnails/{id}",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    async def thumbnail(
        request: Request,
        id: Id,
        variant: VariantName = None,
        side: Annotated[int, Query(ge=16, le=1600, description="pixels of the longer side")] = 256,
    ) -> Response:
        """A picture of the set, made small."""
        chosen = variant_named(variant)
        facts = _facts(chosen, id)
        version = chosen.content_hash(id)
        headers = {
            "etag": f'"{version[:32]}-{side}"',
            "cache-control": f"private, max-age={THUMBNAIL_AGE_S}",
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        try:
            jpeg = await files.thumbnail(facts["uri"], version, side)
        except PictureGone as error:
            raise Refused(404, "picture_gone", str(error)) from error
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @app.get("/groups", response_model=Groups)
    async def groups(
        variant: VariantName = None,
        kind: Annotated[
            Literal["duplicates", "leaks"],
            Query(description="copies within the set, or across two sides of it"),
        ] = "duplicates",
        offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
    ) -> Response:
        """Groups of copies that `lookalike dedup` found, some at a time."""
        chosen = variant_named(variant)
        found = chosen.groups[kind]
        some = [] if found is None else found.some(offset, limit)
        ids = iter(chosen.ids_of([member["uri"] for group in some for member in group]))
        return JsonAnswer(
            {
                "variant": chosen.name,
                "searched": found is not None,
                "facts": {} if found is None else dict(found.facts),
                "count": 0 if found is None else len(found),
                "groups": [[{"id": next(ids), **member} for member in group] for group in some],
            }
        )

    @app.get("/variants")
    async def variants() -> Response:
        """What is served, and what of it is not, and why."""
        return JsonAnswer(
            {
                "output": Path(served.output.root).name,
                "variants": [_described(one, served) for one in served.variants.values()],
                "problems": dict(served.problems),
            }
        )

    @app.get("/healthz")
    async def healthz() -> Response:
        """Whether the service answers; says nothing of what it holds."""
        return JsonAnswer({"status": "ok", "variants": len(served.variants)})

    @app.get("/metrics", response_class=Response)
    async def counted() -> Response:
        """Counters, as Prometheus reads them."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _stored_query(variant: ServedVariant, asked: Question | int) -> VectorQuery:
    """The query that an id, a URI of the set, or a vector stands for."""
    if isinstance(asked, Question) and asked.vector is not None:
        try:
            vector = check_vectors(
                np.array([asked.vector], np.float64), variant.index.space.num_features
            )
        except InvalidInput as error:
            raise Refused(400, "bad_vector", str(error)) from error
        if not vector.any():
            raise Refused(400, "bad_vector", "a vector of zeros is like no other")
        return VectorQuery("vector", vector[0])
    id = asked if isinstance(asked, int) else asked.id
    if isinstance(asked, Question) and asked.uri is not None:
        id = variant.ids_of([asked.uri])[0]
        if id is None:
            raise Refused(
                404, "no_such_picture", f"{asked.uri!r} is not a picture of {variant.name}"
            )
    assert id is not None
    _facts(variant, id)
    return variant.stored_query(id)


def _facts(variant: ServedVariant, id: int) -> dict[str, Any]:
    try:
        return variant.picture(id)
    except InvalidInput as error:
        raise Refused(404, "no_such_picture", str(error)) from error


def _described(variant: ServedVariant, served: ServedOutput) -> dict[str, Any]:
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
        "groups": {kind: None if one is None else len(one) for kind, one in variant.groups.items()},
        "problem": served.problems.get(variant.name),
    }


def note_variants(served: ServedOutput, metrics: ServiceMetrics) -> None:
    """Count what is served."""
    for name, variant in served.variants.items():
        metrics.pictures.labels(name).set(len(variant.index))


async def _keep_fresh(served: ServedOutput, metrics: ServiceMetrics) -> None:
    """Open what is replaced, for as long as the service runs."""
    while True:
        note_variants(served, metrics)
        await asyncio.sleep(REFRESH_S)
        try:
            told = await asyncio.to_thread(served.refresh)
        except Exception as error:  # whatever it is, what stands is served on
            told = [f"{type(error).__name__}: {error}"]
        for line in told:
            print(f"lookalike serve: {line}", file=sys.stderr, flush=True)


def _add_page(app: FastAPI) -> None:
    """The page, for everybody: its files hold no data."""

    def add(path: str, data: bytes, media_type: str) -> None:
        @app.get(path, include_in_schema=False)
        async def file() -> Response:
            return Response(data, media_type=media_type, headers={"cache-control": "no-cache"})

    for path, (data, media_type) in PAGE_FILES.items():
        add(path, data, media_type)


def _add_error_answers(app: FastAPI) -> None:
    """How everything that can go wrong is said: as JSON, with a status that fits."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return error_answer(error.status, error.code, str(error))

    @app.exception_handler(BodyRefused)
    async def body_refused(request: Request, error: BodyRefused) -> Response:
        return error_answer(error.status, error.code, str(error))

    @app.exception_handler(UnreadablePicture)
    async def unreadable(request: Request, error: UnreadablePicture) -> Response:
        message = f"the picture cannot be used: {error} ({error.reason})"
        return error_answer(400, "unreadable_picture", message)

    @app.exception_handler(TooBusy)
    async def too_busy(request: Request, error: TooBusy) -> Response:
        return error_answer(503, "too_busy", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_answer(422, "bad_request", complaint(list(error.errors())))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return error_answer(500, "internal", "the service failed; its log says how")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = STATUS_CODES.get(error.status_code, "bad_request")
        answer = error_answer(error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer
