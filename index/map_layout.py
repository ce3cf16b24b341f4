"""Vectors -> places on a plane: like ones near each other, by UMAP where it is installed, or by PCA."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
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


@contextlib.contextmanager
def umap_process(method: str, most: int) -> Iterator[subprocess.Popen[bytes] | None]:
    """UMAP, compiling itself for some twenty seconds, for `lay_out`; it ends with the block.

    Args:
        method: "umap", "pca", or "auto": UMAP where it is installed.
        most: vectors in the largest set; None is given where they are too few for UMAP, or it is not to
            be used.

    Raises:
        UsageError: UMAP is asked for and not installed.
    """
    check_method(method)
    if method == "pca" or most < FEWEST_FOR_UMAP or _umap_version() is None:
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-P", str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lay_out(
    process: subprocess.Popen[bytes] | None, several: Sequence[NDArray[np.float32]]
) -> list[MapLayout]:
    """A map of each of several sets of vectors, float32 [n, dim] of length one.

    Args:
        process: of `umap_process`; it serves once. Without it, and for small sets, there is PCA.
        several: the sets.
    """
    by_umap: dict[int, NDArray[np.float32]] = {}
    failed = ""
    if process is not None:
        try:
            by_umap = _umap(process, several)
        except (
            OSError,
            ValueError,
            KeyError,
            zipfile.BadZipFile,
            subprocess.SubprocessError,
        ) as error:
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


def _umap(
    process: subprocess.Popen[bytes], several: Sequence[NDArray[np.float32]]
) -> dict[int, NDArray[np.float32]]:
    """The places of the sets that are large enough, by their numbers."""
    large = {
        str(number): units for number, units in enumerate(several) if len(units) >= FEWEST_FOR_UMAP
    }
    sent = io.BytesIO()
    np.savez(sent, **large)  # type: ignore[arg-type]
    found, _ = process.communicate(sent.getvalue(), timeout=UMAP_TIMEOUT_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, _SCRIPT.name)
    with np.load(io.BytesIO(found)) as given:
        places = {int(number): given[number] for number in large}
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


def _by_pca(units: NDArray[np.float32], failed: str = "") -> MapLayout:
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
    spread: NDArray[np.float32] = np.mean([_scaled(places), even], axis=0)
    return spread
