"""A folder -> the files of the module in it, and whether it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from index.errors import ModuleUnavailable
from transforms.variants import ModuleFormat, Variant

# What tensorflow-hub reads of a module; anything else in the folder does not change its vectors.
MODULE_FILES: Final = (
    "saved_model.pb",
    "saved_model.pbtxt",
    "tfhub_module.pb",
    "variables/*",
    "assets/**/*",
)
# What tells a module, or what is left of one, from a folder of modules.
MARKS: Final = ("saved_model.pb", "saved_model.pbtxt", "tfhub_module.pb", "variables")


def module_files(folder: Path) -> list[Path]:
    """The files that decide a module's vectors, sorted by their names in it."""
    return _sorted(folder, {file for pattern in MODULE_FILES for file in folder.glob(pattern)})


def fingerprint_of(files: Iterable[tuple[str, int, bytes]]) -> str:
    """sha256 over a module's files: of each its name in it, its size and the sha256 of its bytes."""
    digest = hashlib.sha256()
    for name, size, content in files:
        digest.update(f"{name}\0{size}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def file_sha256(file: Path) -> bytes:
    """The sha256 of a file's bytes; not all of it in memory."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def portable_files(folder: Path) -> list[Path]:
    """The files that a copy of a module needs: those that decide its vectors, licences, labels, notes.

    Other modules, such as older versions, may stand in folders of this one: they are left out.
    """
    beside = {file for file in folder.glob("*") if not file.name.startswith(".")}
    extra = set(folder.glob("assets.extra/**/*"))
    return _sorted(folder, {*module_files(folder), *beside, *extra})


def is_utf8(name: str) -> bool:
    """Whether a file's name can be written into a list; on a disk it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_complete(variant: Variant, folder: Path, found: str) -> ModuleFormat:
    """The format of the module in `folder`.

    Args:
        variant: what it was asked for as, for the message.
        folder: to look into.
        found: as of ModuleFolder.

    Raises:
        ModuleUnavailable: it is not a whole module.
    """
    label = f"module {variant.handle!r}"
    if not folder.exists():
        raise ModuleUnavailable(
            f"{label} of variant {variant.name!r} does not exist; a path must lead to a folder "
            "with saved_model.pb in it, or to a .tar.gz of one"
        )
    if not any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        inside = sorted(file.parent for file in folder.glob("*/saved_model.pb"))
        if inside:
            cure = f"did you mean {inside[0]}?"
        elif found == "cache":
            cure = f"it is half deleted: remove {folder}, so that it is fetched again"
        else:
            cure = "restore the folder, or point at the one that holds saved_model.pb"
        raise ModuleUnavailable(f"{label}: {folder} holds no saved_model.pb; {cure}")
    if (folder / "variables").is_dir() and not (folder / "variables/variables.index").is_file():
        raise ModuleUnavailable(
            f"{label}: {folder}/variables holds no variables.index; the module is incomplete: "
            "remove the folder and fetch it again"
        )
    if not is_utf8(place := str(folder.resolve())):
        raise ModuleUnavailable(f"{label}: the path {place!r} is not UTF-8; rename the folder")
    for file in portable_files(folder):
        if not is_utf8(name := file.relative_to(folder).as_posix()):
            raise ModuleUnavailable(
                f"{label}: {folder} holds a file whose name is not UTF-8, {name!r}; rename or remove it"
            )
    return "hub" if (folder / "tfhub_module.pb").is_file() else "saved_model_2"


def _sorted(folder: Path, found: set[Path]) -> list[Path]:
    files = (file for file in found if file.is_file())
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix())
