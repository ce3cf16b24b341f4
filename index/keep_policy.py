"""Which picture of a group to keep: an order of all pictures, those most worth keeping first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.errors import UsageError

BEST: Final = "best"
SHARPEST: Final = "sharpest"
# A picture that shows less than the best of its group by so much is not as good; nor one of which so
# much less of its frame shows anything.
AS_MUCH: Final = 2.0
AS_FULL: Final = 0.9
_ASCENDING: Final = ":ascending"
SortKeys = tuple[tuple[str, str], ...]
KEEP_POLICIES: Final[Mapping[str, SortKeys]] = MappingProxyType(
    {
        BEST: (("worse", "ascending"),),
        "largest": (),
        "oldest": (("modified", "ascending"),),
        "biggest": (("bytes", "descending"),),
        SHARPEST: (("sharpness", "descending"),),
        "first": (("uri", "ascending"),),
    }
)
_TIES: Final = (("pixels", "descending"), ("bytes", "descending"), ("uri", "ascending"))


@dataclass(frozen=True)
class PictureTraits:
    """What can be seen of a picture by itself.

    Attributes:
        sharpness: variance of the Laplacian at a common size: more is sharper.
        filled: the share of its area within its borders, 1 where it has none.
    """

    sharpness: float
    filled: float


def keeping_order(
    pictures: pa.Table,
    keep: str,
    *,
    preferred: NDArray[np.int8] | None = None,
    seen: Mapping[str, NDArray[np.float32]] | None = None,
) -> NDArray[np.int64]:
    """The rows of `pictures`, those most worth keeping first: int64 [pictures].

    Args:
        pictures: one row a picture: `uri`, `bytes`, `modified`, `width`, `height`, any other columns.
        keep: a policy; or the name of a column, whose greatest value is kept, or with `:ascending`
            its least.
        preferred: int8 [pictures]: lower ones are kept whatever the policy says.
        seen: float32 [pictures], by the name of what only looking shows: "sharpness", "worse"; NaN where
            not known. Without it, the policies that go by it go by the number of pixels.

    Raises:
        UsageError: there is no such policy and no such column.
    """
    facts: dict[str, pa.Array] = {"pixels": pixels_of(pictures)}
    if preferred is not None:
        facts["preferred"] = pa.array(preferred)
    for name, values in (seen or {}).items():
        facts[name] = pa.array(values, from_pandas=True)  # NaN as null, which comes last
    keys = [("preferred", "ascending")] if preferred is not None else []
    keys += [
        key for key in _keys_of(keep, pictures.column_names) if key[0] in facts or not _is_seen(key)
    ]
    named = {name for name, _ in keys}
    keys += [tie for tie in _TIES if tie[0] not in named]
    for name, values in facts.items():
        pictures = pictures.append_column(name, values)
    order: NDArray[np.uint64] = pc.sort_indices(pictures, sort_keys=keys).to_numpy()
    return order.astype(np.int64)


def how_much_worse(
    sets: NDArray[np.int64],
    pixels: NDArray[np.float64],
    filled: NDArray[np.float64],
    has_twin: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """How far pictures are from the best of their set: float32 [pictures], 0 the best.

    The best shows the most (its pixels within its borders). Of those that show about as much, one whose
    frame is filled is better than one with borders around it, as a letterbox or the screen of a phone;
    then one that has a twin in the set, unlike a copy that something was written on.

    Args:
        sets: int64 [pictures], which set each belongs to.
        pixels: float64 [pictures].
        filled: float64 [pictures], the share within borders; NaN where not known.
        has_twin: bool [pictures], whether another one shows all the same in the same frame.
    """
    shown = np.nan_to_num(pixels * filled, nan=-1.0)
    count = int(sets.max()) + 1 if len(sets) else 0
    most = np.full(count, -1.0)
    np.maximum.at(most, sets, shown)
    shows_enough = shown * AS_MUCH >= most[sets]
    fullest = np.zeros(count)
    np.maximum.at(fullest, sets[shows_enough], np.nan_to_num(filled[shows_enough]))
    is_full = shows_enough & (np.nan_to_num(filled) >= AS_FULL * fullest[sets])
    worse = np.where(is_full, np.where(has_twin, 0, 1), np.where(shows_enough, 2, 3))
    return worse.astype(np.float32)


def pixels_of(pictures: pa.Table) -> pa.ChunkedArray:
    """Width times height: int64."""
    width, height = (pc.cast(pictures.column(name), pa.int64()) for name in ("width", "height"))
    return pc.multiply(width, height)


def check_policy(keep: str, columns: list[str]) -> None:
    """Raise UsageError where a policy is none."""
    _keys_of(keep, columns)


def _is_seen(key: tuple[str, str]) -> bool:
    return key[0] in ("worse", "sharpness")


def _keys_of(keep: str, columns: list[str]) -> SortKeys:
    if keep in KEEP_POLICIES:
        return KEEP_POLICIES[keep]
    name = keep.removesuffix(_ASCENDING)
    if name in columns:
        return ((name, "ascending" if keep.endswith(_ASCENDING) else "descending"),)
    raise UsageError(
        f"--keep is {keep!r}; it must be one of {', '.join(KEEP_POLICIES)}, or a column "
        f"({', '.join(columns)}), with {_ASCENDING} for its least value"
    )
