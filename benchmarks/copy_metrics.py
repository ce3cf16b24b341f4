"""Groups of pictures whose copies are known -> how right they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.copy_set import CopySetPicture


@dataclass(frozen=True)
class FoundGroups:
    """What an arm found.

    Attributes:
        groups: names of pictures that it takes for copies of each other.
        removed: names of those it would remove, with the one that it keeps for each.
        seconds: to groups, from embeddings or from files, whatever it starts from.
    """

    groups: Sequence[Sequence[str]]
    removed: Mapping[str, str]
    seconds: float


@dataclass(frozen=True)
class CopyFigures:
    """How right they are.

    Attributes:
        precision: of the pairs within groups, the share that are copies.
        recall: of the pairs of copies, the share within one group.
        group_precision: the share of groups that hold copies only.
        removed: how many would be removed.
        removed_wrongly: how many of them are no copies of what is kept for them.
        with_original: by transformation, the share of its copies in a group with their photograph.
        seconds: that it took.
    """

    precision: float
    recall: float
    group_precision: float
    removed: int
    removed_wrongly: int
    seconds: float
    with_original: Mapping[str, float] = field(default_factory=dict)


def judge(found: FoundGroups, pictures: Sequence[CopySetPicture]) -> CopyFigures:
    """Compare groups with the truth."""
    photograph = {picture.name: picture.photograph for picture in pictures}
    right = together = pure = 0
    group_of: dict[str, int] = {}
    for number, names in enumerate(found.groups):
        group_of.update(dict.fromkeys(names, number))
        sizes = Counter(photograph[name] for name in names).values()
        right += sum(map(_pairs, sizes))
        together += _pairs(len(names))
        pure += len(sizes) == 1
    every = sum(map(_pairs, Counter(photograph.values()).values()))
    wrong = sum(photograph[name] != photograph[kept] for name, kept in found.removed.items())
    original = {one.photograph: one.name for one in pictures if one.transformation is None}
    hits: dict[str, list[bool]] = defaultdict(list)
    for picture in pictures:
        if picture.transformation is not None:
            group = group_of.get(picture.name)
            is_with = group is not None and group == group_of.get(original[picture.photograph])
            hits[picture.transformation].append(is_with)
    return CopyFigures(
        precision=right / together if together else 1.0,
        recall=right / every if every else 1.0,
        group_precision=pure / len(found.groups) if found.groups else 1.0,
        removed=len(found.removed),
        removed_wrongly=wrong,
        seconds=found.seconds,
        with_original={name: sum(found) / len(found) for name, found in sorted(hits.items())},
    )


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
