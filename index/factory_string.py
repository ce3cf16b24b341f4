"""Count, width, memory and recall target -> a FAISS factory string, and why."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from index.errors import UsageError

EXACT_BYTES: Final = (
    16 << 20
)  # an exact query reads all vectors: this much takes about a millisecond
PROJECTED_WIDTH: Final = 256
TRAINING_PER_LIST: Final = 39  # what FAISS asks for
EIGHT_BIT_RECALL: Final = 0.98  # above it, eight bits a number are too coarse to order neighbors
LIST_ID_BYTES: Final = 8
BATCH_ROWS: Final = 4096  # encoded at a time
ROW_BYTES: Final = 16  # what else is in memory of a row: its id and its place
MIB: Final = 1 << 20

_LAYOUT = re.compile(
    r"PCAR(?P<width>\d+),IVF(?P<lists>\d+),PQ(?P<codes>\d+)x4(?P<fast>fs)?,"
    r"Refine\((?P<stored>SQ8|SQfp16)\)"
)
Stored = Literal["Flat", "SQ8", "SQfp16"]
NUMBER_BYTES: Final[dict[Stored, int]] = {"Flat": 4, "SQ8": 1, "SQfp16": 2}


@dataclass(frozen=True)
class Candidates:
    """A first pass that proposes rows: inverted lists of 4-bit product codes.

    Attributes:
        width: of the rotated principal components that are encoded.
        lists: how many inverted lists.
        codes: how many 4-bit codes a vector.
        in_memory: whether the lists are held in memory, or searched where they are on the disk.
    """

    width: int
    lists: int
    codes: int
    in_memory: bool


@dataclass(frozen=True)
class IndexLayout:
    """An index type of ours: the vectors as they are stored, and what proposes candidates, if anything.

    Attributes:
        stored: how a vector is stored to be scored: float32, float16, or 8 bits a number.
        candidates: the first pass; None where every stored vector is scored.
    """

    stored: Stored
    candidates: Candidates | None = None

    @classmethod
    def parse(cls, factory_string: str) -> IndexLayout | None:
        """The layout that a factory string means; None where it means another index type of FAISS.

        >>> IndexLayout.parse("PCAR256,IVF1024,PQ128x4fs,Refine(SQ8)").candidates.lists
        1024
        >>> IndexLayout.parse("HNSW32") is None
        True
        """
        if factory_string in NUMBER_BYTES:
            return cls(stored=factory_string)
        found = _LAYOUT.fullmatch(factory_string)
        if found is None:
            return None
        width, lists, codes = (int(found[name]) for name in ("width", "lists", "codes"))
        if not (width and lists and codes) or width % codes:
            return None
        candidates = Candidates(width, lists, codes, in_memory=found["fast"] is not None)
        return cls(stored=found["stored"], candidates=candidates)  # type: ignore[arg-type]

    @property
    def learns(self) -> bool:
        """Whether its codes are learnt from a sample."""
        return self.stored != "Flat"

    @property
    def factory_string(self) -> str:
        """As FAISS writes it."""
        first = self.candidates
        if first is None:
            return self.stored
        fast = "fs" if first.in_memory else ""
        return f"PCAR{first.width},IVF{first.lists},PQ{first.codes}x4{fast},Refine({self.stored})"


@dataclass(frozen=True)
class IndexChoice:
    """An index type, and why it was chosen, in one line.

    Attributes:
        factory_string: the type, as FAISS writes it.
        reason: why this one.
        asked_for: whether the user chose it: then nothing else is built in its place.
    """

    factory_string: str
    reason: str
    asked_for: bool = False


def choose_factory_string(
    count: int,
    dim: int,
    *,
    max_bytes: int,
    min_recall: float,
    metric: Literal["cosine"] = "cosine",
) -> IndexChoice:
    """The FAISS index type for `count` vectors of width `dim`.

    Exact search where it takes little time or is asked for. Otherwise product codes of the principal
    components propose candidates, and the vectors at 8 bits a number decide among them: at a given
    recall that is faster, smaller and sooner built than graphs (docs/decisions/0011). The stored vectors
    are mapped from the disk; what must be in memory is the candidates' codes, unless they do not fit.

    Args:
        count: how many vectors.
        dim: their width.
        max_bytes: memory that searching and building may take.
        min_recall: the recall@10 that is asked for; 1.0 asks for exact search.
        metric: vectors of length one, compared by inner product.

    Raises:
        UsageError: `max_bytes` does not hold what any index needs.

    >>> choose_factory_string(1_000, 1280, max_bytes=4 << 30, min_recall=0.95).factory_string
    'Flat'
    >>> choose_factory_string(1_000_000, 1280, max_bytes=4 << 30, min_recall=0.95).factory_string
    'PCAR256,IVF1024,PQ128x4fs,Refine(SQ8)'
    """
    if not 0 < min_recall <= 1:
        raise UsageError(f"--min-recall is {min_recall}; it must be above 0 and at most 1")
    require_memory(count, dim, max_bytes)
    exact_bytes = count * dim * NUMBER_BYTES["Flat"]
    if min_recall == 1:
        return IndexChoice("Flat", "a recall of 1 is exact search")
    if exact_bytes <= EXACT_BYTES:
        return IndexChoice(
            "Flat", f"{count:,} vectors of width {dim} are searched exactly in about a millisecond"
        )
    stored: Stored = "SQ8" if min_recall <= EIGHT_BIT_RECALL else "SQfp16"
    width = min(PROJECTED_WIDTH, dim - dim % 2)
    if width < 2:
        return IndexChoice("Flat", f"vectors of width {dim} have no codes shorter than themselves")
    codes = width // 2
    memory = candidate_memory(count, codes)
    layout = IndexLayout(stored, Candidates(width, _lists(count), codes, memory <= max_bytes))
    where = (
        f"{memory / MIB:,.0f} MiB of codes in memory propose candidates"
        if memory <= max_bytes
        else f"{memory / MIB:,.0f} MiB of codes are above --max-memory and stay on the disk"
    )
    bits = 8 * NUMBER_BYTES[stored]
    return IndexChoice(
        layout.factory_string, f"{where}; {bits}-bit vectors, mapped from the disk, decide"
    )


def harder_choice(
    factory_string: str, count: int, dim: int, *, max_bytes: int
) -> IndexChoice | None:
    """What to build where an index of this type cannot reach its recall; None for lack of a better.

    First twice the components, and vectors at 16 bits; then exact search.

    >>> first = "PCAR256,IVF256,PQ128x4fs,Refine(SQ8)"
    >>> harder_choice(first, 100_000, 1280, max_bytes=4 << 30).factory_string
    'PCAR512,IVF256,PQ256x4fs,Refine(SQfp16)'
    """
    layout = IndexLayout.parse(factory_string)
    if layout is None or layout.stored == "Flat":
        return None
    exact = IndexChoice("Flat", "no approximate type reaches the recall")
    first = layout.candidates
    if first is None or first.width > PROJECTED_WIDTH:
        return exact
    width = min(2 * first.width, dim - dim % 2)
    in_memory = candidate_memory(count, width // 2) <= max_bytes
    finer = IndexLayout("SQfp16", Candidates(width, first.lists, width // 2, in_memory))
    if finer == layout:
        return exact
    return IndexChoice(finer.factory_string, "coarser codes do not reach the recall")


def index_bytes(factory_string: str, count: int, dim: int) -> int:
    """About how large an index of one of the types above is, on the disk.

    >>> index_bytes("Flat", 1000, 1280)
    5120000
    >>> index_bytes("PCAR256,IVF1024,PQ128x4fs,Refine(SQ8)", 1_000_000, 1280)
    1352000000
    """
    layout = IndexLayout.parse(factory_string)
    if layout is None:
        raise UsageError(f"{factory_string!r} is no index type that is chosen here")
    first = candidate_bytes(count, layout.candidates.codes) if layout.candidates else 0
    return first + count * dim * NUMBER_BYTES[layout.stored]


def candidate_memory(count: int, codes: int) -> int:
    """The memory that candidates take: as they are written, and as they are laid out to be searched."""
    return 2 * candidate_bytes(count, codes)


def candidate_bytes(count: int, codes: int) -> int:
    """What `count` rows of `codes` 4-bit codes take in inverted lists.

    >>> candidate_bytes(1_000_000, 128)
    72000000
    """
    return count * ((codes + 1) // 2 + LIST_ID_BYTES)


def require_memory(count: int, dim: int, max_bytes: int) -> None:
    """Raise UsageError, with both figures, where the memory holds no index of so many vectors.

    What any takes is what is known of each row, and a batch.
    """
    least = count * ROW_BYTES + 3 * min(count, BATCH_ROWS) * dim * NUMBER_BYTES["Flat"]
    if least > max_bytes:
        raise UsageError(
            f"{count:,} vectors of width {dim} take at least {least / MIB:,.1f} MiB of memory to index, "
            f"--max-memory allows {max_bytes / MIB:,.1f} MiB"
        )


def _lists(count: int) -> int:
    """About the square root of the count, a power of two, never more than training can fill."""
    wanted = 1 << round(math.log2(max(1.0, math.sqrt(count))))
    return max(1, min(wanted, count // TRAINING_PER_LIST))
