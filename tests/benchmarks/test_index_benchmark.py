"""A tiny size of the index benchmark: every arm that is installed runs, and says what it should."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import index
from benchmarks.index_arms import recall
from index.embedding_dataset import vector_column
from index.errors import InvalidInput
from tests.conftest import random_vectors


@pytest.mark.slow
def test_every_arm_runs_on_any_parquet_of_vectors(tmp_path, capsys):
    column = vector_column(random_vectors(900, 32))
    pq.write_table(pa.table({"v": column}), tmp_path / "vectors.parquet")
    flags = ["--column", "v", "--counts", "300", "600", "--recalls", "0.8", "0.95", "--rounds", "1"]
    report = tmp_path / "report.json"
    index.main(
        [str(tmp_path / "vectors.parquet"), *flags, "--queries", "100", "--json", str(report)]
    )
    counts = json.loads(report.read_text())["counts"]
    assert list(counts) == ["300", "600"]
    for tables in counts.values():
        for target, arms in tables.items():
            assert {"lookalike", "FAISS Flat"} <= set(arms)
            for one in arms.values():
                assert one["recall"] >= float(target) - 0.05
                assert min(one["batch"], one["single"], one["build_seconds"]) > 0
            assert arms["FAISS Flat"]["bytes_a_vector"] == 32 * 4
            assert arms["FAISS Flat"]["recall"] == 1
    assert "600 vectors of width 32, recall@10 of at least 0.95" in capsys.readouterr().out


def test_what_is_no_parquet_of_vectors_is_refused(tmp_path):
    pq.write_table(pa.table({"v": [[1.0], [2.0, 3.0]] * 100}), tmp_path / "a.parquet")
    with pytest.raises(InvalidInput, match="no Parquet"):
        index.read_vectors(tmp_path / "a.parquet", "x", 10)
    with pytest.raises(InvalidInput, match="no 100 vectors"):
        index.read_vectors(tmp_path / "a.parquet", "v", 150)
    for values, message in (
        ([1.0] * 150, "no lists of floats"),
        ([[1.0, float("nan")]] * 150, "zero, or hold NaN"),
        ([[0.0, 0.0]] * 150, "zero, or hold NaN"),
    ):
        pq.write_table(pa.table({"v": values}), tmp_path / "b.parquet")
        with pytest.raises(InvalidInput, match=message):
            index.read_vectors(tmp_path / "b.parquet", "v", 150)
    pq.write_table(pa.table({"v": [[1.0, 2.0], None] * 150}), tmp_path / "c.parquet")
    assert index.read_vectors(tmp_path / "c.parquet", "v", 300).shape == (150, 2)


def test_recall_is_the_share_of_true_neighbors_that_were_found():
    assert recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]])) == 0.75
