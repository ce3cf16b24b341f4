"""Codes of many rows -> the FAISS files of an index, never more than a shard of them in memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from index.factory_string import IndexLayout
from index.output_folder import OutputFolder
from index.quantizer import Quantizer
from index.search_parameters import gives_vectors
from index.stored_file import Buffer, MappedFile, bytes_of

INDEX_FILE: Final = "index.faiss"
CANDIDATES_FILE: Final = "candidates.faiss"
LISTS_FILE: Final = "candidates.lists"
PIECE_BYTES: Final = 16 << 20


def write_stored_vectors(
    folder: OutputFolder, stored: Any, pieces: Iterable[NDArray[np.uint8]], count: int
) -> MappedFile:
    """index.faiss from its codes: what FAISS would write of the filled index, without holding it.

    Args:
        folder: of the index.
        stored: the trained flat index without vectors.
        pieces: uint8 [rows, bytes], `count` rows in all.
        count: of rows.
    """
    head = bytearray(faiss.serialize_index(stored).tobytes())
    unit = 4 if isinstance(stored, faiss.IndexFlat) else 1  # of what FAISS counts codes in
    head[8:16] = struct.pack("<q", count)
    head[-8:] = struct.pack("<Q", count * stored.sa_code_size() // unit)

    def file() -> Iterator[Buffer]:
        yield bytes(head)
        for piece in pieces:
            yield bytes_of(np.ascontiguousarray(piece))

    return MappedFile.write(folder, INDEX_FILE, file())


def write_candidates(
    folder: OutputFolder, trained: Any, pieces: Iterable[NDArray[np.uint8]]
) -> MappedFile:
    """candidates.faiss from its codes, row after row; the lists are held in memory meanwhile."""
    whole = _blank(trained)
    _fill(whole, pieces)
    faiss.write_index(whole, folder.path(CANDIDATES_FILE))
    return MappedFile.of_standing(folder, CANDIDATES_FILE)


def write_candidates_on_disk(
    folder: OutputFolder, trained: Any, pieces: Iterable[NDArray[np.uint8]], work: OutputFolder
) -> tuple[MappedFile, MappedFile]:
    """The same where the lists do not fit: one index a piece, their lists merged on the disk.

    Returns:
        candidates.faiss, and the file of its lists.
    """
    shards = []
    start = 0
    for number, piece in enumerate(pieces):
        shard = _blank(trained)
        _fill(shard, [piece], start)
        start += len(piece)
        name = work.path(f"{number:05}.lists")
        faiss.write_index(_lists_of(shard), name)
        shards.append(faiss.read_index(name, faiss.IO_FLAG_MMAP))
    whole = _blank(trained)
    lists = _lists_of(whole)
    merged = faiss.OnDiskInvertedLists(lists.nlist, lists.code_size, folder.path(LISTS_FILE))
    pointers = faiss.InvertedListsPtrVector()
    for shard in shards:
        pointers.push_back(shard.invlists)
    with _silent_stdout():
        lists.ntotal = merged.merge_from_multiple(pointers.data(), pointers.size())
    whole.ntotal = lists.ntotal
    lists.replace_invlists(merged, True)
    merged.this.disown()
    merged.filename = LISTS_FILE
    data = memoryview(faiss.serialize_index(whole))
    written = MappedFile.write(folder, CANDIDATES_FILE, [data])
    return written, MappedFile.of_standing(folder, LISTS_FILE)


@dataclass(frozen=True)
class IndexFiles:
    """The FAISS indexes of a folder, mapped from the disk.

    Attributes:
        stored: the vectors as they are scored.
        candidates: what proposes rows to score; None where all are.
        searched: the two as one, to be searched.
    """

    stored: Any
    candidates: Any | None
    searched: Any
    _kept: tuple[Any, ...] = ()

    @classmethod
    def open(cls, folder: OutputFolder, layout: IndexLayout | None) -> IndexFiles:
        """Open checked files; a layout of None means an index of another type, in one file."""
        stored = faiss.read_index(folder.path(INDEX_FILE), faiss.IO_FLAG_MMAP_IFC)
        if layout is None:
            inverted = faiss.try_extract_index_ivf(stored)
            if inverted is not None and gives_vectors(stored):
                inverted.make_direct_map()  # to give vectors back
        if layout is None or layout.candidates is None:
            return cls(stored, None, stored)
        kept: tuple[Any, ...] = ()
        if layout.candidates.in_memory:
            written = faiss.read_index(folder.path(CANDIDATES_FILE))
            lists = faiss.IndexIVFPQFastScan(_lists_of(written))
            _lists_of(written).reset()  # they are laid out anew; what they were found by is shared
            candidates = faiss.IndexPreTransform(written.chain.at(0), lists)
            kept = (written, lists)  # FAISS has only pointers to them
        else:
            candidates = _read_with_lists(folder)
        return cls(stored, candidates, faiss.IndexRefine(candidates, stored), kept)


def read_candidates(folder: OutputFolder, layout: IndexLayout) -> Any | None:
    """The candidates as they were written, to take their codes; None where there are none in memory."""
    if layout.candidates is None or not layout.candidates.in_memory:
        return None
    return faiss.read_index(folder.path(CANDIDATES_FILE))


def _read_with_lists(folder: OutputFolder) -> Any:
    """Candidates whose lists stay on the disk, where the folder is now."""
    data = folder.read(CANDIDATES_FILE)
    here = data.replace(_as_written(LISTS_FILE), _as_written(folder.path(LISTS_FILE)), 1)
    return faiss.deserialize_index(np.frombuffer(here, np.uint8), faiss.IO_FLAG_READ_ONLY)


def _as_written(name: str) -> bytes:
    """A file's name as FAISS writes it."""
    return struct.pack("<Q", len(name.encode())) + name.encode()


def codes_of(folder: OutputFolder, stored: Any, count: int) -> NDArray[np.uint8]:
    """The codes in index.faiss, mapped from the disk: uint8 [count, bytes]."""
    size = stored.sa_code_size()
    path = folder.path(INDEX_FILE)
    every = np.memmap(path, np.uint8, "r")
    return every[len(every) - count * size :].reshape(count, size)


def candidate_codes_of(candidates: Any) -> NDArray[np.uint8]:
    """The codes of candidates in the order of rows, as the quantizer gives them: uint8 [rows, bytes]."""
    lists = _lists_of(candidates)
    inverted = lists.invlists
    codes = np.empty((lists.ntotal, candidates.sa_code_size()), np.uint8)
    number_bytes = codes.shape[1] - lists.code_size
    for number in range(lists.nlist):
        size = inverted.list_size(number)
        if size:
            rows = faiss.rev_swig_ptr(inverted.get_ids(number), size)
            packed = faiss.rev_swig_ptr(inverted.get_codes(number), size * lists.code_size)
            codes[rows, number_bytes:] = packed.reshape(size, lists.code_size)
            little = number.to_bytes(number_bytes, "little")
            codes[rows, :number_bytes] = np.frombuffer(little, np.uint8)
    return codes


def blank_quantizer(stored: Any, candidates: Any | None) -> Quantizer:
    """The quantizer that an opened index was built with; its vectors are mapped, and not copied."""
    if isinstance(stored, faiss.IndexFlat):
        empty: Any = faiss.IndexFlatIP(stored.d)
    else:
        empty = faiss.IndexScalarQuantizer(stored.d, stored.sq.qtype, stored.metric_type)
        empty.sq = stored.sq
        empty.is_trained = True
    return Quantizer(empty, candidates and _blank(candidates))


def pieces_of(codes: NDArray[np.uint8], rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Some rows of mapped codes, in pieces of at most PIECE_BYTES."""
    step = max(1, PIECE_BYTES // max(1, codes.shape[1]))
    for start in range(0, len(rows), step):
        yield codes[rows[start : start + step]]


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keep what FAISS prints of its merging out of our output, which may be read by a machine."""
    flush = ctypes.CDLL(None).fflush
    flush(None)
    ours = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        flush(None)
        os.dup2(ours, 1)
        os.close(ours)
        os.close(null)


def _blank(index: Any) -> Any:
    copy = faiss.clone_index(index)
    copy.reset()
    return copy


def _lists_of(candidates: Any) -> Any:
    return faiss.downcast_index(candidates.index)


def _fill(index: Any, pieces: Iterable[NDArray[np.uint8]], start: int = 0) -> None:
    lists = _lists_of(index)
    for piece in pieces:
        rows = np.arange(start, start + len(piece), dtype=np.int64)
        lists.add_sa_codes(np.ascontiguousarray(piece), rows)
        start += len(piece)
    index.ntotal = lists.ntotal
