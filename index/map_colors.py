"""Pictures -> colors on a map: by the folder they are in, or by the copies there are of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

# Told apart on white and on black, by most of those who see few colors, too.
PALETTE: Final = ("#3b7dd8", "#e07b2e", "#2f9e6b", "#c44f8c", "#8466d6", "#a88f14", "#1d98ad")
OTHERS: Final = "#8a94a3"


@dataclass(frozen=True)
class ColorClass:
    """What one color stands for."""

    label: str
    color: str
    count: int


@dataclass(frozen=True)
class Coloring:
    """One way to color pictures.

    Attributes:
        by: what it goes by.
        classes: its colors.
        members: the place in `classes` of each picture.
    """

    by: str
    classes: Sequence[ColorClass]
    members: Sequence[int]


def color_by_folder(uris: Sequence[str]) -> Coloring | None:
    """By the first folder that is not common to all; None where that tells nothing.

    >>> one = color_by_folder(["/p/cats/1.jpg", "/p/cats/2.jpg", "/p/dogs/1.jpg", "/p/dogs/old/2.jpg"])
    >>> [(kind.label, kind.count) for kind in one.classes], one.members
    ([('cats', 2), ('dogs', 2)], [0, 0, 1, 1])
    """
    folders = [uri.split("/")[:-1] for uri in uris]
    pairs = zip(min(folders), max(folders), strict=False)  # what these two share, all share
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    names = ["/".join(parts[shared : shared + 1]) or "(no folder)" for parts in folders]
    counts = Counter(names)
    if not 1 < len(counts) <= len(names) / 2:
        return None
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    # One color is left for the others, if more than one folder would need it.
    own = ranked if len(ranked) <= len(PALETTE) else ranked[: len(PALETTE) - 1]
    classes = [
        ColorClass(name, color, count) for (name, count), color in zip(own, PALETTE, strict=False)
    ]
    rest = ranked[len(own) :]
    if rest:
        others = sum(count for _, count in rest)
        classes.append(ColorClass(f"{len(rest):,} other folders", OTHERS, others))
    place = {name: number for number, (name, _) in enumerate(own)}
    return Coloring("folder", classes, [place.get(name, len(own)) for name in names])


def color_by_copies(uris: Sequence[str], is_kept: Mapping[str, bool]) -> Coloring | None:
    """By what a search for copies found; None where none of these pictures is in a group.

    Args:
        uris: of the pictures.
        is_kept: for each member of a group, whether it is the one to keep.
    """
    if not any(uri in is_kept for uri in uris):
        return None
    members = [0 if uri not in is_kept else 1 if is_kept[uri] else 2 for uri in uris]
    kinds = (
        ("no copy found", PALETTE[0]),
        ("kept of a group", PALETTE[2]),
        ("copy of a kept one", PALETTE[1]),
    )
    classes = [
        ColorClass(label, color, members.count(number))
        for number, (label, color) in enumerate(kinds)
    ]
    return Coloring("copies", classes, members)
