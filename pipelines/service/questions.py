"""What may be asked, and what is answered: the JSON of the service, checked."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MOST_NEIGHBORS: Final = 1000
MOST_VECTOR: Final = 65_536
Id = Annotated[int, Field(ge=0, le=2**63 - 1, description="of a picture of the set")]
VariantName = Annotated[
    str | None,
    Field(max_length=300, description="whose vectors; may be left out where there is one"),
]
Filter = Annotated[
    str | None,
    Field(
        max_length=2000,
        description="an SQL condition; it names id, uri, content_hash, bytes, modified, width, "
        "height and format",
        examples=["width >= 800 and uri like '%/cats/%'"],
    ),
]
Neighbors = Annotated[int, Field(ge=1, le=MOST_NEIGHBORS, description="how many are wanted")]
MinScore = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False, description="leave out others")]


class Wanted(BaseModel):
    """What is wanted of a search, beside what it is for."""

    model_config = ConfigDict(extra="forbid")

    variant: VariantName = None
    k: Neighbors = 10
    filter: Filter = None
    min_score: MinScore = -1.0


class Question(Wanted):
    """A search in JSON: by `id` or `uri` of a picture of the set, or by a `vector`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"id": 0, "k": 10},
                {"uri": "/photos/cat.jpg", "k": 5, "filter": "width >= 800"},
            ]
        },
    )

    id: Id | None = None
    uri: str | None = Field(default=None, max_length=10_000)
    vector: list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        default=None, max_length=MOST_VECTOR
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("id", "uri", "vector") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give one of id, uri and vector; {' and '.join(given) or 'none'} given"
            )
        return self


class Picture(BaseModel):
    """A picture of the set."""

    id: int
    uri: str
    width: int = Field(description="in pixels, as displayed")
    height: int
    format: str
    bytes: int = Field(description="of its file")
    version: str = Field(description="of its content; with it, a thumbnail may be kept for ever")


class Neighbor(Picture):
    """A picture that was found."""

    rank: int = Field(description="from 1")
    score: float = Field(description="cosine to the query, at most 1")


class Answer(BaseModel):
    """What a search found, best first."""

    variant: str
    index: str = Field(description="when the index was made; ids are its")
    query: int | None = Field(
        description="the picture of the set that was asked for, where it is one"
    )
    neighbors: list[Neighbor]


class Pictures(BaseModel):
    """Some pictures of the set, in the order of the index."""

    variant: str
    count: int = Field(description="of all that match")
    pictures: list[Picture]


class Groups(BaseModel):
    """Some groups of copies; the first picture of each is the one to keep."""

    variant: str
    searched: bool = Field(description="whether anybody has looked for copies")
    facts: dict[str, str]
    count: int
    groups: list[list[dict[str, Any]]]


class Trouble(BaseModel):
    """What is wrong with a request."""

    code: Literal[
        "bad_request",
        "bad_filter",
        "bad_vector",
        "unreadable_picture",
        "no_such_picture",
        "no_such_variant",
        "no_index",
        "no_module",
        "picture_gone",
        "unauthorized",
        "wrong_host",
        "not_found",
        "method_not_allowed",
        "too_large",
        "too_slow",
        "unsupported_media_type",
        "too_busy",
        "internal",
    ]
    message: str


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: Trouble


def complaint(errors: ValidationError | list[Any]) -> str:
    """What pydantic found, in one line that does not repeat the input.

    >>> try:
    ...     Wanted(k=0)
    ... except ValidationError as error:
    ...     complaint(error)
    'k: Input should be greater than or equal to 1'
    """
    found = errors.errors() if isinstance(errors, ValidationError) else errors
    lines = []
    for one in found[:5]:
        where = ".".join(str(part) for part in one["loc"] if part not in ("body", "query", "path"))
        message = str(one["msg"]).removeprefix("Value error, ")
        lines.append(f"{where[:100]}: {message}" if where else message)
    return "; ".join(lines)
