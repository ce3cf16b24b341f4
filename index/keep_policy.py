"""Which picture of a group to keep: an order of all pictures, those most worth keeping first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.errors import UsageError

SHARPEST: Final = "sharpest"
_ASCENDING: Final = ":ascending"
SortKeys = tuple[tuple[str, str], ...]
KEEP_POLICIES: Final[Mapping[str, SortKeys]] = MappingProxyType(
    {
        "largest": (("pixels", "descending"),),
        "oldest": (("modified", "ascending"),),
        "biggest": (("bytes", "descending"),),
        SHARPEST: (("sharpness", "descending"),),
        "first": (("uri", "ascending"),),
    }
)
_TIES: Final = (("pixels", "descending"), ("bytes", "descending"), ("uri", "ascending"))


def keeping_order(
    pictures: pa.Table,
    keep: str,
    *,
    preferred: NDArray[np.int8] | None = None,
    sharpness: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """The rows of `pictures`, those most worth keeping first: int64 [pictures].

    Args:
        pictures: one row a picture: `uri`, `bytes`, `modified`, `width`, `height`, any other columns.
        keep: a policy; or the name of a column, whose greatest value is kept, or with `:ascending`
            its least.
        preferred: int8 [pictures]: lower ones are kept whatever the policy says.
        sharpness: float32 [pictures], for that policy; NaN where not known.

    Raises:
        UsageError: there is no such policy and no such column.
    """
    width, height = (pc.cast(pictures.column(name), pa.int64()) for name in ("width", "height"))
    facts = {"pixels": pc.multiply(width, height)}
    if preferred is not None:
        facts["preferred"] = pa.array(preferred)
    if sharpness is not None:
        facts["sharpness"] = pa.array(sharpness, from_pandas=True)  # NaN as null, which comes last
    keys = (
        *((("preferred", "ascending"),) if preferred is not None else ()),
        *_keys_of(keep, [name for name in pictures.column_names if name not in facts]),
    )
    named = {name for name, _ in keys}
    keys = (*keys, *(tie for tie in _TIES if tie[0] not in named))
    if keep == SHARPEST and sharpness is None:
        keys = tuple(key for key in keys if key[0] != "sharpness")
    for name, values in facts.items():
        pictures = pictures.append_column(name, values)
    order: NDArray[np.uint64] = pc.sort_indices(pictures, sort_keys=list(keys)).to_numpy()
    return order.astype(np.int64)


def check_policy(keep: str, columns: list[str]) -> None:
    """Raise UsageError where a policy is none."""
    _keys_of(keep, columns)


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
