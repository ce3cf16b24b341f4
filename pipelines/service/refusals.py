"""What goes wrong with a request -> how the service says it: JSON, with a status that fits."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from index.errors import InvalidInput
from pipelines.service.batcher import TooBusy
from pipelines.service.picture_files import PictureGone
from pipelines.service.questions import complaint
from transforms.unreadable_picture import UnreadablePicture

STATUS_CODES: Final = {404: "not_found", 405: "method_not_allowed"}


class Refused(Exception):
    """A request that is not answered, with the status, a word for programs, and why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class JsonAnswer(Response):
    """JSON in ASCII, so that no text can break it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def error_answer(status: int, code: str, message: str) -> JsonAnswer:
    """An error as the service says it."""
    answer = JsonAnswer({"error": {"code": code, "message": message}}, status)
    if status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    if status == 503:
        answer.headers["retry-after"] = "1"
    if status in (408, 413):  # what is left of the request is not waited for
        answer.headers["connection"] = "close"
    return answer


def add_refusals(app: FastAPI) -> None:
    """Have an application say in this way whatever its routes raise."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return error_answer(error.status, error.code, str(error))

    @app.exception_handler(UnreadablePicture)
    async def unreadable(request: Request, error: UnreadablePicture) -> Response:
        message = f"the picture cannot be used: {error} ({error.reason})"
        return error_answer(400, "unreadable_picture", message)

    @app.exception_handler(InvalidInput)
    async def bad_input(request: Request, error: InvalidInput) -> Response:
        return error_answer(400, "bad_request", str(error))

    @app.exception_handler(PictureGone)
    async def gone(request: Request, error: PictureGone) -> Response:
        return error_answer(404, "picture_gone", str(error))

    @app.exception_handler(TooBusy)
    async def too_busy(request: Request, error: TooBusy) -> Response:
        return error_answer(503, "too_busy", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_answer(422, "bad_request", complaint(list(error.errors())))

    @app.exception_handler(ClientDisconnect)
    async def gone_away(request: Request, error: ClientDisconnect) -> Response:
        return error_answer(400, "bad_request", "the request broke off")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return error_answer(500, "internal", "the service failed; its log says how")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = STATUS_CODES.get(error.status_code, "bad_request")
        answer = error_answer(error.status_code, code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer
