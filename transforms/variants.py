"""The catalogue: which module, at which image size."""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from index.errors import UnknownVariant, UsageError

Output = Literal["feature_vector", "logits"]
ModuleFormat = Literal["hub", "saved_model_2"]  # TF1-hub format, TF2 SavedModel

HUB: Final = "https://tfhub.dev/"
IMAGENET_LABELS: Final = (
    "https://storage.googleapis.com/download.tensorflow.org/data/ImageNetLabels.txt"
)
_CATALOG: Final = Path(__file__).with_name("catalog.csv")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/-]*")


@dataclass(frozen=True)
class Variant:
    """A module at an image size.

    The catalogue knows everything of its modules; of a user's own module only `name` and `handle`
    are known until it is loaded, and the rest is read from its signature then.

    Attributes:
        name: what the user calls it, and what its folder of embeddings is called.
        handle: a URL, a path, or a bare TensorFlow Hub name.
        family: "MobileNet V1" and so on; "user's own" outside the catalogue.
        output: what the module gives by default.
        depth_multiplier: of the network's width.
        input_size: height and width of the model input, in pixels; None until loaded.
        size_kind: whether the page says the size is fixed or a default.
        num_features: width of the feature vector; None until loaded.
        num_classes: width of the logits, background included; None for a feature vector.
        format: as published; a mirror may hold the same weights in the other format.
        signatures: as published.
        version: as published.
        versions: every version the page's changelog lists.
        requires: as the page says.
        labels: where the text of the classes is.
    """

    name: str
    handle: str
    family: str = "user's own"
    output: Output | None = None
    depth_multiplier: float | None = None
    input_size: tuple[int, int] | None = None
    size_kind: Literal["fixed", "default"] | None = None
    num_features: int | None = None
    num_classes: int | None = None
    format: ModuleFormat | None = None
    signatures: tuple[str, ...] = ()
    version: int | None = None
    versions: tuple[int, ...] = ()
    requires: str = ""
    labels: str | None = None

    @property
    def output_width(self) -> int | None:
        """Width of what the module gives by default; None until loaded."""
        return self.num_classes if self.output == "logits" else self.num_features


def published_path(handle: str) -> str:
    """A handle's publisher, name, kind and version, wherever it is hosted.

    >>> published_path("https://host/some/bucket/google/imagenet/m/feature_vector/3.tar.gz")
    'google/imagenet/m/feature_vector/3'
    """
    bare = handle.rstrip("/").removesuffix(".tar.gz")
    return bare[max(bare.find("google/"), 0) :]


def _short_name(handle: str, kind: str) -> str:
    """`mobilenet_v2_100_224`, and `/classification` behind it where that is the kind."""
    name = handle.removesuffix(".tar.gz").split("/")[-3]
    if "/tf2-preview/" in handle:
        name = f"tf2_preview_{name}"
    return name if kind == "feature_vector" else f"{name}/{kind}"


def _read_catalog() -> Mapping[str, Variant]:
    with _CATALOG.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    newest: dict[str, int] = {}
    for row in rows:
        name = _short_name(row["handle"], row["kind"])
        newest[name] = max(newest.get(name, 0), int(row["version"]))
    variants = {}
    for row in rows:
        name, version = _short_name(row["handle"], row["kind"]), int(row["version"])
        if version != newest[name]:
            name = f"{name}@{version}"
        logits = row["kind"] == "classification"
        size = int(row["input_size"])
        variants[name] = Variant(
            name=name,
            handle=row["handle"],
            family=row["family"],
            output="logits" if logits else "feature_vector",
            depth_multiplier=float(row["depth_multiplier"]),
            input_size=(size, size),
            size_kind="fixed" if row["size_kind"] == "fixed" else "default",
            num_features=int(row["num_features"]),
            num_classes=int(row["num_classes"]) if logits else None,
            format="hub" if row["format"] == "hub" else "saved_model_2",
            signatures=tuple(row["signatures"].split(";")),
            version=version,
            versions=tuple(int(number) for number in row["versions"].split(";")),
            requires=row["requires"],
            labels=IMAGENET_LABELS if logits else None,
        )
    return MappingProxyType(variants)


VARIANTS: Final[Mapping[str, Variant]] = _read_catalog()
_BY_PATH: Final = {published_path(variant.handle): variant for variant in VARIANTS.values()}


def find_variant(text: str) -> Variant:
    """The variant of the catalogue that a user means by a short name or a handle.

    >>> find_variant("mobilenet_v2_100_224").num_features
    1280
    >>> find_variant("mobilenet_v2_050_128@2").handle
    'https://tfhub.dev/google/imagenet/mobilenet_v2_050_128/feature_vector/2'

    Raises:
        UnknownVariant: with the nearest name.
    """
    name = text.strip().rstrip("/").removesuffix("/feature_vector")
    bare, _, version = name.partition("@")
    known = VARIANTS.get(name) or _BY_PATH.get(published_path(text.strip()))
    if known is None and version and (newest := VARIANTS.get(bare)):
        known = newest if version == str(newest.version) else None
    if known is not None:
        return known
    if "://" in text or text.startswith((".", "/", "~")):
        raise UnknownVariant(
            f"{text!r} is not in the catalogue; give a module of your own a name: my_module={text}"
        )
    near = difflib.get_close_matches(name, VARIANTS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownVariant(
        f"variant {text!r} is not in the catalogue{hint} "
        "(`lookalike variants` lists them; a module of your own is name=path-or-handle)"
    )


def stored_name(text: str | None) -> str | None:
    """What a stored variant is called, however the user writes it; None where nothing is written.

    >>> stored_name("mobilenet_v2_100_224@3"), stored_name("mine=/models/mine")
    ('mobilenet_v2_100_224', 'mine')
    """
    if text is None or "=" in text:
        return text and text.partition("=")[0]
    try:
        return find_variant(text).name
    except UnknownVariant:
        return text


def parse_variants(text: str) -> tuple[Variant, ...]:
    """`--variants`: short names, handles and name=path-or-handle, separated by commas.

    >>> [variant.name for variant in parse_variants("mobilenet_v2_035_96,mine=/models/mine")]
    ['mobilenet_v2_035_96', 'mine']

    Raises:
        UsageError: no variant, a name given twice, or a name that cannot be a folder's.
        UnknownVariant: a name that is not in the catalogue.
    """
    variants = tuple(_parse_variant(part) for part in text.split(",") if part.strip())
    if not variants:
        raise UsageError("--variants names no variant; `lookalike variants` lists them")
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--variants names {name!r} twice; give the second another name")
    return variants


def _parse_variant(text: str) -> Variant:
    name, is_own, handle = text.strip().partition("=")
    if not is_own:
        return find_variant(text)
    if not _NAME.fullmatch(name) or ".." in name:
        raise UsageError(
            f"variant name {name!r} is not usable; use letters, digits, '_', '-', '.', '@' and '/'"
        )
    if not handle:
        raise UsageError(f"variant {name!r} has no module: write {name}=path-or-handle")
    if name in VARIANTS:
        raise UsageError(f"{name!r} is the name of a catalogue variant; give your module another")
    return Variant(name=name, handle=_absolute(handle))


def _absolute(handle: str) -> str:
    """A local path made absolute, so that the handle means the same from any folder."""
    path = os.path.expanduser(handle)
    is_path = "://" not in path and (os.path.exists(path) or not path.startswith("google/"))
    return os.path.abspath(path) if is_path else handle
