"""A search service -> the application that answers for it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from index.manifest import installed_versions
from pipelines.service.questions import ErrorAnswer
from pipelines.service.refusals import add_refusals
from pipelines.service.routes import page_routes, picture_routes, search_routes, state_routes
from pipelines.service.search_service import SearchService


def build_application(service: SearchService) -> FastAPI:
    """The application; what it serves is brought up to date while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        refreshing = asyncio.create_task(service.keep_fresh())
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            service.close()

    app = FastAPI(
        title="lookalike",
        summary="Similar pictures, by a picture, by a vector, or by one of the set.",
        version=installed_versions()["lookalike"],
        lifespan=lifespan,
        docs_url=None,  # its page is loaded from the internet
        redoc_url=None,
        responses={"4XX": {"model": ErrorAnswer}, "5XX": {"model": ErrorAnswer}},
        dependencies=[Depends(HTTPBearer(auto_error=False, description="where a token is set"))],
    )
    add_refusals(app)
    for router in (search_routes, picture_routes, state_routes):
        app.include_router(router(service))
    app.include_router(page_routes())
    return app
