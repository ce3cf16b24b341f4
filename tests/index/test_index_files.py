"""The files of an index against what FAISS itself would write."""

import faiss
import numpy as np
import pytest

from index.factory_string import IndexLayout
from index.index_files import (
    IndexFiles,
    blank_quantizer,
    candidate_codes_of,
    codes_of,
    write_candidates,
    write_candidates_on_disk,
    write_stored_vectors,
)
from index.output_folder import OutputFolder
from index.quantizer import Quantizer
from index.search_parameters import faiss_parameters
from index.unit_vectors import unit_vectors
from tests.conftest import random_vectors

VECTORS = unit_vectors(random_vectors(2000, 32))


def trained(factory) -> Quantizer:
    return Quantizer.from_bytes(*Quantizer.train(IndexLayout.parse(factory), VECTORS).to_bytes())


@pytest.mark.parametrize("stored", ["Flat", "SQ8", "SQfp16"])
def test_stored_vectors_are_written_as_faiss_writes_them(tmp_path, stored):
    folder, quantizer = OutputFolder.at(tmp_path), trained(stored)
    pieces = [quantizer.encode(VECTORS[start : start + 700]).stored for start in (0, 700, 1400)]
    written = write_stored_vectors(folder, quantizer.stored, pieces, 2000)
    filled = faiss.clone_index(quantizer.stored)
    filled.add(VECTORS)
    assert (tmp_path / written.name).read_bytes() == faiss.serialize_index(filled).tobytes()
    again = codes_of(folder, quantizer.stored, 2000)
    assert np.array_equal(again, np.concatenate(pieces))


def test_codes_come_back_in_the_order_of_rows(tmp_path):
    quantizer = trained("PCAR16,IVF6,PQ8x4fs,Refine(SQ8)")
    codes = quantizer.encode(VECTORS).candidates
    write_candidates(OutputFolder.at(tmp_path), quantizer.candidates, [codes[:500], codes[500:]])
    written = faiss.read_index(str(tmp_path / "candidates.faiss"))
    assert np.array_equal(candidate_codes_of(written), codes)
    again = blank_quantizer(quantizer.stored, written).encode(VECTORS)
    assert np.array_equal(again.candidates, codes)


def test_lists_merged_on_the_disk_are_those_in_memory(tmp_path, capfd):
    place, work = OutputFolder.at(tmp_path), tmp_path / "work"
    work.mkdir()
    quantizer = trained("PCAR16,IVF6,PQ8x4,Refine(SQ8)")
    codes = quantizer.encode(VECTORS).candidates
    pieces = [codes[:500], codes[500:501], codes[501:]]
    write_candidates_on_disk(place, quantizer.candidates, pieces, place.folder("work"))
    assert capfd.readouterr().out == ""
    write_stored_vectors(place, quantizer.stored, [quantizer.encode(VECTORS).stored], 2000)
    layout = IndexLayout.parse("PCAR16,IVF6,PQ8x4,Refine(SQ8)")
    merged = IndexFiles.open(place, layout)
    assert np.array_equal(candidate_codes_of(merged.candidates), codes)
    setting = faiss_parameters(merged.searched, {"nprobe": 6, "candidates": 2000}, 10)
    scores, ids = merged.searched.search(VECTORS[:50], 10, params=setting)
    alone = merged.stored.search(VECTORS[:50], 10)
    assert np.array_equal(ids, alone[1])
    assert np.allclose(scores, alone[0])


def test_the_projection_keeps_inner_products_in_their_order():
    low = np.random.default_rng(0).normal(size=(2000, 8)) @ np.random.default_rng(1).normal(
        size=(8, 32)
    )
    vectors = unit_vectors((low + 2).astype(np.float32))
    quantizer = Quantizer.train(IndexLayout.parse("PCAR16,IVF1,PQ8x4fs,Refine(SQ8)"), vectors)
    projected = quantizer.candidates.chain.at(0).apply(vectors[:200])
    true = vectors[:1] @ vectors[:200].T
    found = projected[:1] @ projected.T
    assert np.corrcoef(true[0], found[0])[0, 1] > 0.999
