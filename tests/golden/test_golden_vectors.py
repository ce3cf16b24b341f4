"""The real modules on real photographs, against vectors computed by TensorFlow alone."""

import numpy as np
import pytest
from PIL import Image

from index.embedding_dataset import EmbeddingDataset
from pipelines.command_line import main
from tests.conftest import shared

VARIANTS = ("mobilenet_v2_100_224", "mobilenet_v1_025_128")
TF1 = "tf1_v1_025_128"


def reference(variant: str) -> dict[str, np.ndarray]:
    golden = shared("golden")
    names = (golden / f"{variant}.names.txt").read_text().split("\n")
    return dict(zip(filter(None, names), np.load(golden / f"{variant}.npy"), strict=True))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    modules, images = shared("modules"), shared("images")
    folder = tmp_path_factory.mktemp("golden") / "out"
    tf1 = modules / "tf1_format_mobilenet_v1_025_128/feature_vector"
    variants = ",".join([*VARIANTS, f"{TF1}={tf1}"])
    flags = ["--variants", variants, "--modules", str(modules), "--output", str(folder)]
    assert main(["embed", f"{images}/*.JPEG", *flags]) == 0
    return folder


def compared(out, variant: str, golden: str):
    """Our vectors, the reference's, and whether each picture is small enough to be decoded whole."""
    dataset = EmbeddingDataset.open(str(out), variant)
    expected = reference(golden)
    rows = dataset.pictures().to_pylist()
    assert len(rows) == len(expected)
    theirs = np.stack([expected[row["uri"].rsplit("/", 1)[-1]] for row in rows])
    whole = np.array([min(row["width"], row["height"]) < 896 for row in rows])
    return dataset.vectors(), theirs, whole


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return (ours * theirs).sum(axis=1) / lengths


@pytest.mark.parametrize(("variant", "golden"), [(v, v) for v in VARIANTS] + [(TF1, VARIANTS[1])])
def test_vectors_are_the_reference_vectors(out, variant, golden):
    ours, theirs, whole = compared(out, variant, golden)
    assert np.abs(ours - theirs)[whole].max() < 1e-4
    assert whole.sum() > 100
    assert cosines(ours, theirs).mean() > 0.9999
    assert cosines(ours, theirs).min() > 0.997


def test_both_formats_of_the_same_weights_agree(out):
    tf1, tf2 = (EmbeddingDataset.open(str(out), name).vectors() for name in (TF1, VARIANTS[1]))
    assert np.abs(tf1 - tf2).max() < 1e-4


def test_unrelated_photographs_are_no_duplicates_by_default(out):
    for variant in VARIANTS:
        assert main(["dedup", str(out), "--variant", variant]) == 0
        report = out / f"duplicates/variant={variant}/report.html"
        assert "No duplicates found" in report.read_text()


def test_a_photograph_finds_itself_and_its_smaller_copy_first(out, tmp_path, capsys):
    modules, images = shared("modules"), shared("images")
    photo = sorted(images.glob("*.JPEG"))[7]
    smaller = tmp_path / "smaller.jpg"
    with Image.open(photo) as image:
        image.resize((image.width // 2, image.height // 2)).save(smaller, quality=60)
    assert main(["index", str(out), "--variant", VARIANTS[0]]) == 0
    capsys.readouterr()
    for query, least in ((photo, 0.999999), (smaller, 0.8)):
        flags = ["--variant", VARIANTS[0], "--image", str(query), "--modules", str(modules)]
        assert main(["search", str(out), *flags, "-k", "2"]) == 0
        first = capsys.readouterr().out.splitlines()[1].split()
        assert first[2] == str(photo)
        assert float(first[1]) >= least
