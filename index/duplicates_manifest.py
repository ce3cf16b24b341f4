"""What a search for copies was asked and found: one JSON file beside the groups."""

from __future__ import annotations

from typing import Final, Literal

from index.keep_policy import BEST
from index.manifest import Manifest
from index.stored_file import Record, StoredFile
from index.vector_space import VectorSpace

PRECISION: Final = 0.99


class CopySettings(Record):
    """How copies are looked for.

    Attributes:
        precision: what share of the pairs that the score alone decides are to be copies; None where a
            threshold was given.
        threshold: that was given.
        looks: how many pairs of a picture are looked at, at most; 0 leaves all to the score.
        least_score: cosine below which no pair is worth a look.
        neighbors: how many pairs of a picture are kept.
        keep: the policy that chooses the picture to keep.
        prefer: patterns of pictures that are kept whatever the policy says, the first before the next.
        remove_transitive: whether copies of copies are proposed for removal too.
    """

    precision: float | None = PRECISION
    threshold: float | None = None
    looks: int = 3
    least_score: float = 0.55
    neighbors: int = 8
    keep: str = BEST
    prefer: tuple[str, ...] = ()
    remove_transitive: bool = False


class DuplicatesManifest(Manifest):
    """OUT/duplicates/variant=<name>/manifest.json, or below OUT/leaks: one search for copies.

    Attributes:
        settings: how they were looked for.
        space: of the vectors that were compared.
        embeddings: the digests of the embeddings that were compared.
        between: the two patterns, or outputs, across which copies were looked for; empty for one set.
        threshold: the score from which the score alone decides; None for no score.
        strangers: the median of all scores, the score that TAIL's lesser share of strangers has, and how
            fast they become fewer; None where that could not be learnt.
        join: how pairs were found, "exact" or "index".
        pictures: how many were compared.
        pairs: how many were alike enough to be kept.
        looked_at: how many of them were looked at, by what that showed.
        groups: how many groups of two or more were found.
        members: of groups beside the kept ones, by kind.
        removed: how many are proposed for removal.
        held_back: how many others are not, by the reason.
        groups_file: the groups.
        to_remove_file: what is proposed for removal, a URI a line.
        kept_file: all others.
        report_files: the pages.
    """

    kind: Literal["duplicates"] = "duplicates"
    settings: CopySettings
    space: VectorSpace
    embeddings: tuple[str, ...]
    between: tuple[str, ...] = ()
    threshold: float | None
    strangers: tuple[float, float, float] | None
    join: Literal["exact", "index"]
    pictures: int
    pairs: int
    looked_at: dict[str, int]
    groups: int
    members: dict[str, int]
    removed: int
    held_back: dict[str, int]
    groups_file: StoredFile
    to_remove_file: StoredFile
    kept_file: StoredFile
    report_files: tuple[StoredFile, ...]
