import csv
import dataclasses
import json

import pytest

from index.errors import UnknownVariant, UsageError
from transforms.variants import VARIANTS, find_variant, parse_variants


def test_the_catalogue_holds_every_handle_of_the_pages_once():
    assert len(VARIANTS) == 52
    assert len({variant.handle for variant in VARIANTS.values()}) == 52
    assert all(name == variant.name for name, variant in VARIANTS.items())
    json.dumps([dataclasses.asdict(variant) for variant in VARIANTS.values()])


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("mobilenet_v2_035_96", 1280),
        ("mobilenet_v2_100_224", 1280),
        ("mobilenet_v2_130_224", 1664),
        ("mobilenet_v2_140_224", 1792),
        ("mobilenet_v1_025_128", 256),
        ("tf2_preview_mobilenet_v2", 1280),
    ],
)
def test_widths_follow_the_papers_rounding(name, width):
    assert VARIANTS[name].num_features == VARIANTS[name].output_width == width


def test_every_variant_is_complete():
    for variant in VARIANTS.values():
        height, width = variant.input_size
        assert height == width
        assert variant.output_width == (
            1001 if variant.output == "logits" else variant.num_features
        )
        assert variant.name.endswith("/classification") == (variant.output == "logits") or "@" in (
            variant.name
        )
        assert (variant.labels is not None) == (variant.output == "logits")
        assert variant.size_kind == ("default" if variant.family == "MobileNet V1" else "fixed")
        assert variant.format == ("saved_model_2" if "tf2-preview" in variant.handle else "hub")
        assert variant.version == variant.versions[-1]


def test_the_newest_version_has_the_plain_name():
    assert VARIANTS["mobilenet_v2_050_128"].version == 3
    assert VARIANTS["mobilenet_v2_050_128@2"].version == 2
    assert VARIANTS["mobilenet_v2_075_192/classification@2"].num_classes == 1001


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mobilenet_v2_100_224", "mobilenet_v2_100_224"),
        ("mobilenet_v2_100_224/feature_vector", "mobilenet_v2_100_224"),
        ("mobilenet_v2_100_224@3", "mobilenet_v2_100_224"),
        ("mobilenet_v2_050_128@2", "mobilenet_v2_050_128@2"),
        ("google/imagenet/mobilenet_v2_100_224/feature_vector/3", "mobilenet_v2_100_224"),
        (
            "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/classification/3/",
            "mobilenet_v2_100_224/classification",
        ),
        (VARIANTS["mobilenet_v1_025_128"].handle, "mobilenet_v1_025_128"),
        ("google/image/imagenet/mobilenet_v1_025_128/feature_vector/1", "mobilenet_v1_025_128"),
    ],
)
def test_a_variant_is_found_by_name_version_or_handle(text, name):
    assert find_variant(text).name == name


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mobilnet_v2_100_224", "did you mean 'mobilenet_v2_100_224'"),
        ("mobilenet_v2_100_225", "did you mean 'mobilenet_v2_100_224'"),
        ("mobilenet_v2_100_224@2", "not in the catalogue"),
        ("resnet", "lookalike variants"),
        ("./my/module", r"my_module=\./my/module"),
        ("https://tfhub.dev/google/imagenet/resnet/1", "my_module=https"),
    ],
)
def test_an_unknown_variant_is_refused_with_the_cure(text, hint):
    with pytest.raises(UnknownVariant, match=hint):
        find_variant(text)


def test_a_module_of_the_users_own_has_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [variant] = parse_variants(" mine=some/module ")
    assert variant.handle == str(tmp_path / "some/module")
    assert variant.input_size is None
    assert parse_variants("mine=https://x.test/m/1")[0].handle == "https://x.test/m/1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no variant"),
        (" , ", "names no variant"),
        ("a=/x,a=/y", "'a' twice"),
        ("mobilenet_v2_035_96,mobilenet_v2_035_96@3", "twice"),
        ("../up=/x", "not usable"),
        ("a b=/x", "not usable"),
        ("=/x", "not usable"),
        ("a=", "no module"),
        ("mobilenet_v2_035_96=/x", "name of a catalogue variant"),
    ],
)
def test_variants_that_cannot_be_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_variants(text)


def test_the_catalogue_agrees_with_the_pages():
    from tests.conftest import shared

    with (shared("design") / "catalog.csv").open(newline="") as lines:
        rows = {row["handle"]: row for row in csv.DictReader(lines)}
    assert {variant.handle for variant in VARIANTS.values()} == set(rows)
    for variant in VARIANTS.values():
        row = rows[variant.handle]
        assert variant.input_size[0] == int(row["size"])
        assert variant.depth_multiplier == float(row["depth_multiplier"])
        for ours, theirs in (
            (variant.num_features, row["num_features"]),
            (variant.num_classes, row["num_classes"]),
            (variant.size_kind, row["size_kind"]),
            (";".join(variant.signatures), row["signatures"].strip("()")),
        ):
            assert theirs in ("", str(ours)), variant.handle
