"""The body of a search request -> what is asked: a form with a picture, or JSON."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from pipelines.service.questions import Question, Wanted, complaint
from pipelines.service.refusals import Refused

IMAGE: Final = "image"
FORM: Final = "multipart/form-data"
JSON: Final = "application/json"
MOST_JSON: Final = 2 << 20
MOST_FIELDS: Final = 16
FIELD_BYTES: Final = 16 << 10

_FORM_SCHEMA: Final = {
    **Wanted.model_json_schema(),
    "required": [IMAGE],
}
_FORM_SCHEMA["properties"] = {
    IMAGE: {"type": "string", "format": "binary", "description": "the bytes of a picture file"},
    **_FORM_SCHEMA["properties"],
}
SEARCH_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        FORM: {
            "schema": _FORM_SCHEMA,
            "examples": {"a picture": {"value": {"image": "(the bytes of cat.jpg)", "k": 5}}},
        },
        JSON: {
            "schema": Question.model_json_schema(),
            "examples": {
                "by id": {"value": {"id": 0, "k": 10}},
                "by URI": {"value": {"uri": "/photos/cat.jpg", "k": 5, "filter": "width >= 800"}},
                "by vector": {"value": {"vector": [0.25, 0.0, 1.5], "min_score": 0.5}},
            },
        },
    },
}


class Upload(Wanted):
    """A search by a picture."""

    image: bytes = Field(repr=False)


async def read_question(request: Request) -> Question | Upload:
    """What a request asks for.

    Raises:
        Refused: it is neither form nor JSON, or not as it must be.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == FORM:
            return await _read_form(request)
        if media_type == JSON:
            return Question.model_validate_json(await _read_json(request))
    except ValidationError as error:
        raise Refused(422, "bad_request", complaint(error)) from error
    raise Refused(
        415, "unsupported_media_type", f"the body must be {FORM} with a file {IMAGE!r}, or {JSON}"
    )


async def _read_form(request: Request) -> Upload:
    try:
        form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES)
    except HTTPException as error:
        raise Refused(400, "bad_request", f"the form cannot be read: {error.detail}") from error
    except (MultiPartException, ValueError, LookupError) as error:
        raise Refused(400, "bad_request", f"the form cannot be read: {error}") from error
    try:
        image = form.get(IMAGE)
        if not isinstance(image, UploadFile):
            raise Refused(422, "bad_request", f"the form has no file {IMAGE!r}")
        names = [name for name, _ in form.multi_items()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Refused(422, "bad_request", f"the form has {twice[:100]!r} twice")
        fields = {name: value for name, value in form.items() if name != IMAGE and value != ""}
        return Upload.model_validate({**fields, IMAGE: await image.read()})
    finally:
        await form.close()


async def _read_json(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        pieces.append(piece)
        size += len(piece)
        if size > MOST_JSON:
            raise Refused(413, "too_large", f"JSON of more than {MOST_JSON:,} bytes is not read")
    return b"".join(pieces)
