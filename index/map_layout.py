"""Vectors -> places on a plane: like ones near each other, by UMAP where it is installed, or by PCA."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from index.errors import UsageError

UMAP: Final = "umap-learn"
UMAP_TIMEOUT_S: Final = 300
FEWEST_FOR_UMAP: Final = 20
MANY: Final = 200
BOUNDS: Final = (
    0.5,
    99.5,
)  # percentiles that a map of many spans; what is farther off is at its edge
_SCRIPT: Final = Path(__file__).with_name("umap_process.py")


@dataclass(frozen=True)
class MapLayout:
    """Where vectors are on a map.

    Attributes:
        places: float32 [n, 2], from 0 to 1 each way.
        told: what made them, and what distances on the map mean.
    """

    places: NDArray[np.float32]
    told: str


def check_method(method: str) -> None:
    """Raise UsageError where UMAP is asked for and not installed."""
    if method == "umap" and _umap_version() is None:
        raise UsageError(
            f"--map umap needs {UMAP}, which is not installed: pip install {UMAP}, or leave out --map "
            "to have PCA"
        )


def lay_out(several: Sequence[NDArray[np.float32]], method: str = "auto") -> list[MapLayout]:
    """A map of each of several sets of vectors.

    Args:
        several: float32 [n, dim] each, of length one; n is at least one.
        method: "umap", "pca", or "auto": UMAP where it is installed and there are enough vectors.

    Raises:
        UsageError: UMAP is asked for and not installed.
    """
    check_method(method)
    installed = _umap_version() is not None
    by_umap: dict[int, NDArray[np.float32]] = {}
    failed = ""
    if installed and method != "pca":
        large = {
            number: units for number, units in enumerate(several) if len(units) >= FEWEST_FOR_UMAP
        }
        try:
            by_umap = _umap(large) if large else {}
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            failed = f" UMAP is installed, but did not work ({type(error).__name__})."
    return [
        _laid_out_by_umap(by_umap[number]) if number in by_umap else _by_pca(units, failed)
        for number, units in enumerate(several)
    ]


def _umap_version() -> str | None:
    try:
        return metadata.version(UMAP)
    except metadata.PackageNotFoundError:
        return None


def _umap(several: dict[int, NDArray[np.float32]]) -> dict[int, NDArray[np.float32]]:
    sent = io.BytesIO()
    np.savez(sent, **{str(number): units for number, units in several.items()})  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-P", str(_SCRIPT)],
        input=sent.getvalue(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=UMAP_TIMEOUT_S,
        check=True,
    )
    with np.load(io.BytesIO(done.stdout)) as found:
        places = {number: found[str(number)] for number in several}
    for number, place in places.items():
        if place.shape != (len(several[number]), 2) or not np.isfinite(place).all():
            raise ValueError(f"places of shape {place.shape}")
    return places


def _laid_out_by_umap(places: NDArray[np.float32]) -> MapLayout:
    told = (
        f"Laid out by UMAP {_umap_version()}: pictures that are near each other here are alike; how "
        "far apart groups are means little."
    )
    return MapLayout(_spread(places), told)


def _by_pca(units: NDArray[np.float32], failed: str) -> MapLayout:
    if len(units) < 2:
        return MapLayout(np.full((len(units), 2), 0.5, np.float32), "One picture is in the middle.")
    centered = units - units.mean(axis=0)
    left, sizes, right = scipy.linalg.svd(centered, full_matrices=False, check_finite=False)
    axes = min(2, len(sizes))
    places = np.zeros((len(units), 2), np.float32)
    places[:, :axes] = left[:, :axes] * sizes[:axes]
    # An axis has no direction of its own: the greatest part of each is made positive.
    greatest = np.abs(right[:axes]).argmax(axis=1)
    places[:, :axes] *= np.where(right[np.arange(axes), greatest] < 0, -1, 1)
    variance = float((sizes**2).sum())
    if variance < 1e-9:
        return MapLayout(np.full_like(places, 0.5), "All of these vectors are equal.")
    share = float((sizes[:axes] ** 2).sum()) / variance
    told = (
        f"Laid out by PCA: the two axes hold {share:.0%} of the variance, so pictures that are far "
        f"apart here differ, and some that are near differ in what is not shown.{failed}"
    )
    return MapLayout(_scaled(places), told)


def _scaled(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each axis from 0 to 1."""
    low, high = places.min(axis=0), places.max(axis=0)
    if len(places) > MANY:
        low, high = np.percentile(places, BOUNDS, axis=0)
    span = np.where(high > low, high - low, 1)
    scaled = np.where(high > low, (places - low) / span, 0.5)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1).astype(np.float32)
    return clipped


def _spread(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same, drawn together where it is empty: half of a place is its rank along each axis."""
    ranks = places.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    even = (ranks / max(len(places) - 1, 1)).astype(np.float32)
    return (_scaled(places) + even) / 2
