"""The paths of the service, each with what it takes and gives."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipelines.service.page_files import PAGE_FILES
from pipelines.service.questions import (
    Answer,
    Filter,
    Groups,
    Id,
    MinScore,
    Neighbors,
    Pictures,
    VariantName,
    Wanted,
)
from pipelines.service.refusals import JsonAnswer
from pipelines.service.search_service import SearchService, picture_facts
from pipelines.service.uploads import SEARCH_BODY, read_question

KEPT: Final = "private, max-age=31536000, immutable"
ASKED_AGAIN: Final = "private, no-cache"
JPEG: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"image/jpeg": {}}}}
Offset = Annotated[int, Query(ge=0, le=2**62)]


def search_routes(service: SearchService) -> APIRouter:
    """What is like what."""
    router = APIRouter()

    @router.post("/search", response_model=Answer, openapi_extra={"requestBody": SEARCH_BODY})
    async def search(request: Request) -> Response:
        """The nearest pictures of an uploaded picture, of a picture of the set, or of a vector."""
        return JsonAnswer(await service.search(await read_question(request)))

    @router.get("/neighbors/{id}", response_model=Answer)
    async def neighbors(
        id: Id,
        variant: VariantName = None,
        k: Neighbors = 10,
        filter: Filter = None,
        min_score: MinScore = -1.0,
    ) -> Response:
        """The nearest pictures of a picture of the set, itself first."""
        wanted = Wanted(variant=variant, k=k, filter=filter, min_score=min_score)
        return JsonAnswer(await service.neighbors(id, wanted))

    return router


def picture_routes(service: SearchService) -> APIRouter:
    """What is in the set."""
    router = APIRouter()

    @router.get("/pictures", response_model=Pictures)
    async def pictures(
        variant: VariantName = None,
        filter: Filter = None,
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 60,
    ) -> Response:
        """The pictures of the set, some at a time."""
        return JsonAnswer(await service.pictures(variant, filter, offset, limit))

    @router.get("/pictures/{id}", response_model=Pictures)
    async def picture(id: Id, variant: VariantName = None) -> Response:
        """One picture of the set."""
        chosen = service.variant(variant)
        facts = picture_facts(chosen, id)
        return JsonAnswer({"variant": chosen.name, "count": 1, "pictures": [facts]})

    @router.get("/thumbnails/{id}", response_class=Response, responses=JPEG)
    async def thumbnail(
        request: Request,
        id: Id,
        variant: VariantName = None,
        side: Annotated[int, Query(ge=16, le=1600, description="pixels of the longer side")] = 256,
        version: Annotated[
            str | None,
            Query(max_length=64, description="the picture's; then it may be kept for ever"),
        ] = None,
    ) -> Response:
        """A picture of the set, made small."""
        chosen = service.variant(variant)
        facts = picture_facts(chosen, id)
        # Ids are those of one index: another one may give them to other pictures.
        headers = {
            "etag": f'"{facts["version"]}-{side}"',
            "cache-control": KEPT if version == facts["version"] else ASKED_AGAIN,
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        jpeg = await service.files.thumbnail(facts["uri"], facts["version"], side)
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @router.get("/groups", response_model=Groups)
    async def groups(
        variant: VariantName = None,
        kind: Annotated[
            Literal["duplicates", "leaks"],
            Query(description="copies within the set, or across two sides of it"),
        ] = "duplicates",
        offset: Offset = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
    ) -> Response:
        """Groups of copies that `lookalike dedup` found, some at a time."""
        return JsonAnswer(service.groups(variant, kind, offset, limit))

    return router


def state_routes(service: SearchService) -> APIRouter:
    """How the service is."""
    router = APIRouter()

    @router.get("/variants")
    async def variants() -> Response:
        """What is served, and what of it is not, and why."""
        return JsonAnswer(service.described())

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> Response:
        """Whether the service answers; says nothing of what it holds."""
        return JsonAnswer({"status": "ok", "variants": len(service.served.variants)})

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters, as Prometheus reads them."""
        counted = generate_latest(service.metrics.registry)
        return Response(counted, media_type=CONTENT_TYPE_LATEST)

    return router


def page_routes() -> APIRouter:
    """The page, for everybody: its files hold no data."""
    router = APIRouter(include_in_schema=False)

    def add(path: str, data: bytes, media_type: str) -> None:
        @router.head(path)
        @router.get(path)
        async def file() -> Response:
            return Response(data, media_type=media_type, headers={"cache-control": "no-cache"})

    for path, (data, media_type) in PAGE_FILES.items():
        add(path, data, media_type)
    return router
