"""A search setting by its names -> the parameters that each FAISS index type takes, for one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

TUNED_K = 10  # neighbors a setting was tuned for


def setting_names(index: Any) -> tuple[str, ...]:
    """What can be set of a search of this index: some of nprobe, efSearch, candidates."""
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexRefine):
        return (*setting_names(inner.base_index), "candidates")
    if isinstance(inner, faiss.IndexPreTransform):
        return setting_names(inner.index)
    if isinstance(inner, faiss.IndexIVF):
        return ("nprobe",)
    return ("efSearch",) if isinstance(inner, faiss.IndexHNSW) else ()


def faiss_parameters(
    index: Any, setting: Mapping[str, int], k: int, selector: Any | None = None, reach: float = 1
) -> Any | None:
    """The parameters of one search for k neighbors; nothing in the index is changed.

    Args:
        index: a FAISS index.
        setting: by the names of `setting_names`, as tuned for TUNED_K neighbors.
        k: neighbors asked for; above TUNED_K as many times more is looked at and scored.
        selector: a FAISS IDSelector of the places that may be found.
        reach: how many times more is looked at besides, where what is asked for lies further off.
    """
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexRefine):
        scored = candidates_scored(index, setting, k)
        return faiss.IndexRefineSearchParameters(
            k_factor=max(1.0, scored / k),
            base_index_params=faiss_parameters(inner.base_index, setting, k, selector, reach),
        )
    if isinstance(inner, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(
            index_params=faiss_parameters(inner.index, setting, k, selector, reach)
        )
    further = reach * max(1, k / TUNED_K)
    chosen = {} if selector is None else {"sel": selector}
    if isinstance(inner, faiss.IndexIVF):
        nprobe = min(inner.nlist, int(setting.get("nprobe", 1) * further))
        return faiss.SearchParametersIVF(nprobe=nprobe, **chosen)
    if isinstance(inner, faiss.IndexHNSW):
        effort = min(inner.ntotal, max(k, int(setting.get("efSearch", 16) * further)))
        return faiss.SearchParametersHNSW(efSearch=max(1, effort), **chosen)
    return faiss.SearchParameters(**chosen) if chosen else None


def candidates_scored(index: Any, setting: Mapping[str, int], k: int) -> int:
    """How many candidates of each query a search for k neighbors scores, at most all there are."""
    return min(int(index.ntotal), int(setting.get("candidates", k) * max(1, k / TUNED_K)))


def place_selector(places: NDArray[np.bool_]) -> Any:
    """A selector of those places of an index that are true: bool [places]."""
    return faiss.IDSelectorBitmap(np.packbits(places, bitorder="little"))


def can_select(index: Any) -> bool:
    """Whether a search of this index can be kept to some of its rows."""
    inner = faiss.downcast_index(index)
    while isinstance(inner, faiss.IndexRefine | faiss.IndexPreTransform):
        below = inner.base_index if isinstance(inner, faiss.IndexRefine) else inner.index
        inner = faiss.downcast_index(below)
    kinds = (faiss.IndexIVF, faiss.IndexHNSW, faiss.IndexFlat, faiss.IndexScalarQuantizer)
    return isinstance(inner, kinds)


def gives_vectors(index: Any) -> bool:
    """Whether an index that was read from a file gives its vectors back; not all of FAISS's do."""
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexRefine):
        return gives_vectors(inner.refine_index)
    if isinstance(inner, faiss.IndexPreTransform):
        return gives_vectors(inner.index)
    if isinstance(inner, faiss.IndexIVF):
        kinds: tuple[type, ...] = (
            faiss.IndexIVFFlat,
            faiss.IndexIVFPQ,
            faiss.IndexIVFScalarQuantizer,
        )
        return isinstance(inner, kinds) and not isinstance(inner, faiss.IndexIVFFlatDedup)
    kinds = (
        faiss.IndexFlat,
        faiss.IndexScalarQuantizer,
        faiss.IndexPQ,
        faiss.IndexHNSW,
        faiss.IndexNSG,
    )
    return isinstance(inner, kinds)
