"""A handle -> a checked local module folder: path, mirror, cache, archive or network."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from index.errors import ModuleMismatch, ModuleUnavailable
from index.vector_space import VectorSpace
from transforms.local_files import as_path, is_local
from transforms.pixels import RECIPE
from transforms.quiet_libraries import quiet_import
from transforms.variants import HUB, ModuleFormat, Variant, published_path

MIRROR_VARIABLE: Final = "LOOKALIKE_MODULES"
NETWORK_TIMEOUT_S: Final = 30
# What tensorflow-hub reads of a module; anything else in the folder does not change its vectors.
MODULE_FILES: Final = (
    "saved_model.pb",
    "saved_model.pbtxt",
    "tfhub_module.pb",
    "variables/*",
    "assets/**/*",
)
# What tells a module, or what is left of one, from a folder of modules.
_MARKS: Final = ("saved_model.pb", "saved_model.pbtxt", "tfhub_module.pb", "variables")


@dataclass(frozen=True)
class ModuleFolder:
    """A module on this machine, complete and identified.

    Attributes:
        variant: what it was asked for as.
        path: the folder that holds saved_model.pb.
        format: what the folder holds, which may differ from what was published.
        fingerprint: sha256 over the module's files, in hexadecimal.
        found: "path", "mirror", "cache" or "network".
    """

    variant: Variant
    path: str
    format: ModuleFormat
    fingerprint: str
    found: str

    def vector_space(self, loaded: Variant, signature: str) -> VectorSpace:
        """The space of this module's vectors, once loading it has completed its variant."""
        if loaded.input_size is None or loaded.output_width is None:
            raise ModuleMismatch(f"variant {loaded.name!r} has no known input size or output width")
        return VectorSpace(
            variant=loaded.name,
            handle=loaded.handle,
            fingerprint=self.fingerprint,
            signature=signature,
            recipe=RECIPE,
            input_size=loaded.input_size,
            num_features=loaded.output_width,
        )


@dataclass(frozen=True)
class ModuleStore:
    """Finds modules: by explicit path, in the mirror, in tensorflow-hub's cache, on the network.

    Attributes:
        mirror: a folder of modules, as `--modules` gives it; LOOKALIKE_MODULES where None.
    """

    mirror: str | None = None

    def locate(self, variant: Variant) -> ModuleFolder:
        """The folder of a variant's module; fetched where this machine does not hold it.

        Raises:
            ModuleUnavailable: naming the handle, what was tried, and the cure.
        """
        held = self.find(variant)
        if held is not None:
            return held
        return self._checked(variant, _download(variant, self._mirror()), "network")

    def find(self, variant: Variant) -> ModuleFolder | None:
        """The folder of a variant's module; None where this machine does not hold it.

        Raises:
            ModuleUnavailable: what is held is no module, or half of one.
        """
        if (path := _as_local_path(variant.handle)) is not None:
            return self._checked(variant, path, "path")
        if mirror := self._mirror():
            if not Path(mirror).expanduser().is_dir():
                raise ModuleUnavailable(
                    f"the module mirror {mirror!r} is not a folder; correct --modules "
                    f"(or {MIRROR_VARIABLE})"
                )
            place = next(_places_in_mirror(Path(mirror).expanduser(), variant), None)
            if place is not None:
                return self._checked(variant, place, "mirror")
        for url in (hub_url(variant.handle), hub_url(variant.handle) + "/"):
            cached = _hub_cache() / hashlib.sha1(url.encode()).hexdigest()
            if cached.exists():
                return self._checked(variant, cached, "cache")
        return None

    def _mirror(self) -> str | None:
        return self.mirror or os.environ.get(MIRROR_VARIABLE)

    def _checked(self, variant: Variant, place: Path, found: str) -> ModuleFolder:
        folder = _unpack(variant, place) if place.is_file() else place
        module_format = _check_complete(variant, folder, found)
        return ModuleFolder(
            variant=variant,
            path=str(folder),
            format=module_format,
            fingerprint=fingerprint(str(folder.resolve())),
            found=found,
        )


def hub_url(handle: str) -> str:
    """A handle as tensorflow-hub takes it: a bare `google/...` belongs to tfhub.dev."""
    bare = handle.rstrip("/")
    return bare if "://" in bare else HUB + bare


@lru_cache(maxsize=256)
def fingerprint(folder: str) -> str:
    """sha256 over the names and bytes of a module's files.

    Computed once: kept in the user's cache, by the folder, and the sizes and times of its files.
    """
    files = _module_files(Path(folder))
    state = [f"{folder}"] + [
        f"{one} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in files
    ]
    name = hashlib.sha256("\n".join(state).encode()).hexdigest()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known = (own_cache() / "fingerprints" / name).read_text()
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
        kept = own_cache() / "fingerprints" / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_name(f".{kept.name}.{os.getpid()}")
        scratch.write_text(digest.hexdigest())
        scratch.replace(kept)
    return digest.hexdigest()


def _module_files(folder: Path) -> list[Path]:
    found = {file for pattern in MODULE_FILES for file in folder.glob(pattern) if file.is_file()}
    return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _as_local_path(handle: str) -> Path | None:
    """The path a handle means, where it means one; a bare catalogue name does not."""
    place = as_path(handle)
    if not is_local(place):
        return None
    path = Path(place).expanduser()
    is_hub_name = handle.startswith("google/") and not path.exists()
    return None if is_hub_name else path


def _places_in_mirror(mirror: Path, variant: Variant) -> Iterator[Path]:
    """Where a mirror may hold a module, likeliest first, as a folder or an archive."""
    kind = "classification" if variant.output == "logits" else "feature_vector"
    name, _, version = variant.name.partition("@")
    name = name.removesuffix(f"/{kind}")
    folders = [f"{name}/{kind}/{version}"] if version else [f"{name}/{kind}"]
    if not version and kind == "feature_vector":
        folders.append(name)
    if variant.version is not None:
        folders.append(f"{name}/{kind}/{variant.version}")
    folders += [
        published_path(variant.handle),
        hashlib.sha1(hub_url(variant.handle).encode()).hexdigest(),
    ]
    for folder in folders:
        if any((mirror / folder / mark).exists() for mark in _MARKS):
            yield mirror / folder
        if (archive := mirror / f"{folder}.tar.gz").is_file():
            yield archive


def _hub_cache() -> Path:
    """Where tensorflow-hub keeps what it downloads."""
    default = Path(tempfile.gettempdir()) / "tfhub_modules"
    return Path(os.environ.get("TFHUB_CACHE_DIR") or default)


def own_cache() -> Path:
    """Where unpacked archives, fingerprints and converted modules are kept.

    Raises:
        OSError: there is no such place.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "lookalike"
    except RuntimeError as error:  # a user without a home, as in containers
        raise OSError("there is no home folder for a cache; set XDG_CACHE_HOME") from error


def _unpack(variant: Variant, archive: Path) -> Path:
    """The folder an archive was unpacked to, once a content."""
    with archive.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        target = own_cache() / "modules" / content
        if not target.is_dir():
            _extract(archive, target)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModuleUnavailable(
            f"module {variant.handle!r}: {archive} cannot be unpacked into the cache "
            f"({error}); fetch it again, or point at the unpacked folder"
        ) from error
    inside = list(target.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir()  # packed with the folder around it
    return inside[0] if is_wrapped else target


def _extract(archive: Path, target: Path) -> None:
    """Unpack beside the target and rename, so that nobody finds half a module."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=target.parent) as scratch:
        with tarfile.open(archive) as tar:
            tar.extractall(Path(scratch) / "module", filter="data")
        try:
            (Path(scratch) / "module").rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise


def _check_complete(variant: Variant, folder: Path, found: str) -> ModuleFormat:
    """The format of the module in `folder`; ModuleUnavailable where it is not a whole module."""
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
    is_hub_format = (folder / "tfhub_module.pb").is_file()
    if (folder / "variables").is_dir() and not (folder / "variables/variables.index").is_file():
        raise ModuleUnavailable(
            f"{label}: {folder}/variables holds no variables.index; the module is incomplete: "
            "remove the folder and fetch it again"
        )
    return "hub" if is_hub_format else "saved_model_2"


def _download(variant: Variant, mirror: str | None) -> Path:
    """Fetch a module through tensorflow-hub into its own cache."""
    with quiet_import():
        import tensorflow_hub as hub

    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
    try:
        return Path(hub.resolve(hub_url(variant.handle)))
    except Exception as error:  # URLError, HTTPError, OSError, RuntimeError, TarError
        tried = f"it is not in the mirror {mirror} nor" if mirror else "it is not"
        raise ModuleUnavailable(
            f"module {variant.handle!r} of variant {variant.name!r} could not be fetched "
            f"({type(error).__name__}: {error}); {tried} in tensorflow-hub's cache {_hub_cache()}. "
            "Without a network, give a folder of modules with --modules DIR "
            f"(or {MIRROR_VARIABLE}), or the module itself with --variants name=path"
        ) from error
    finally:
        socket.setdefaulttimeout(previous)
