"""A handle -> a checked local module folder: path, mirror, cache, archive or network."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from index.errors import ArtifactError, ModuleMismatch, ModuleUnavailable, OutputBusy, first_line
from index.vector_space import VectorSpace
from transforms.local_files import as_path, is_local
from transforms.module_archive import unpack, unwrapped
from transforms.module_download import (
    PARTIAL,
    fetch_module,
    hub_key,
    hub_url,
    is_published_as_archive,
)
from transforms.module_files import MARKS, check_complete, file_sha256, fingerprint_of, module_files
from transforms.pixels import RECIPE
from transforms.quiet_libraries import quiet_import
from transforms.variants import ModuleFormat, Variant, published_path

MIRROR_VARIABLE: Final = "LOOKALIKE_MODULES"
BUSY_WAIT_S: Final = 0.5  # between two looks at what another process fetches


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
        while (held := self.find(variant)) is None:
            try:
                return self.checked(variant, _into_hub_cache(variant), "network")
            except OutputBusy:  # another process fetches the same module
                time.sleep(BUSY_WAIT_S)
            except ArtifactError as error:
                raise ModuleUnavailable(
                    f"module {variant.handle!r} of variant {variant.name!r} cannot be kept: "
                    f"{error} with TFHUB_CACHE_DIR"
                ) from error
            except ModuleUnavailable as error:
                raise ModuleUnavailable(f"{error}; {self.cure_without_network()}") from error
        return held

    def find(self, variant: Variant) -> ModuleFolder | None:
        """The folder of a variant's module; None where this machine does not hold it.

        Raises:
            ModuleUnavailable: what is held is no module, or half of one.
        """
        for place, found in self.places(variant):
            return self.checked(variant, place, found)
        return None

    def places(self, variant: Variant) -> Iterator[tuple[Path, str]]:
        """Where this machine holds a variant's module, or what is left of it, and how it was found.

        Raises:
            ModuleUnavailable: the mirror is no folder.
        """
        if (path := _as_local_path(variant.handle)) is not None:
            yield path, "path"
            return
        if (mirror := self.folder()) is not None:
            for place in places_in_mirror(mirror, variant):
                yield place, "mirror"
        for url in (hub_url(variant.handle), hub_url(variant.handle) + "/"):
            cached = hub_cache() / hashlib.sha1(url.encode()).hexdigest()
            if cached.exists():
                yield cached, "cache"

    def folder(self) -> Path | None:
        """The mirror; None where none is named.

        Raises:
            ModuleUnavailable: what is named is no folder.
        """
        named = self.mirror or os.environ.get(MIRROR_VARIABLE)
        if not named:
            return None
        if not (folder := Path(named).expanduser()).is_dir():
            raise ModuleUnavailable(
                f"the module mirror {named!r} is not a folder; correct --modules (or {MIRROR_VARIABLE})"
            )
        return folder

    def cure_without_network(self) -> str:
        """For whoever needs a module that is not held and could not be fetched."""
        mirror = self.folder()
        tried = f"in the mirror {mirror} nor" if mirror else "in"
        return (
            f"it is not {tried} tensorflow-hub's cache {hub_cache()}. Without a network, give a folder "
            "of modules with --modules DIR "
            f"(or {MIRROR_VARIABLE}; `lookalike modules export` makes one where there is a network), "
            "or the module itself with --variants name=path"
        )

    def checked(self, variant: Variant, place: Path, found: str) -> ModuleFolder:
        """The module at a place.

        Raises:
            ModuleUnavailable: it is no module, or half of one.
        """
        folder = _unpack(variant, place) if place.is_file() else place
        module_format = check_complete(variant, folder, found)
        return ModuleFolder(
            variant=variant,
            path=str(folder),
            format=module_format,
            fingerprint=fingerprint(str(folder.resolve())),
            found=found,
        )


@lru_cache(maxsize=256)
def fingerprint(folder: str) -> str:
    """sha256 over the names and bytes of a module's files.

    Computed once: kept in the user's cache, by the folder, and the sizes and times of its files.
    """
    files = module_files(Path(folder))
    state = [f"{folder}"] + [
        f"{one} {one.stat().st_size} {one.stat().st_mtime_ns}" for one in files
    ]
    name = hashlib.sha256("\n".join(state).encode()).hexdigest()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known = (own_cache() / "fingerprints" / name).read_text()
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    computed = fingerprint_of(
        (one.relative_to(folder).as_posix(), one.stat().st_size, file_sha256(one)) for one in files
    )
    with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
        kept = own_cache() / "fingerprints" / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_name(f".{kept.name}.{os.getpid()}")
        scratch.write_text(computed)
        scratch.replace(kept)
    return computed


def _as_local_path(handle: str) -> Path | None:
    """The path a handle means, where it means one; a bare catalogue name does not."""
    place = as_path(handle)
    if not is_local(place):
        return None
    path = Path(place).expanduser()
    is_hub_name = handle.startswith("google/") and not path.exists()
    return None if is_hub_name else path


def mirror_layouts(variant: Variant) -> list[str]:
    """The names by which a mirror may hold a variant's module, likeliest first."""
    kind = "classification" if variant.output == "logits" else "feature_vector"
    name, _, version = variant.name.partition("@")
    name = name.removesuffix(f"/{kind}")
    folders = [f"{name}/{kind}/{version}"] if version else [f"{name}/{kind}"]
    if not version and kind == "feature_vector":
        folders.append(name)
    if variant.version is not None:
        folders.append(f"{name}/{kind}/{variant.version}")
    return [*folders, published_path(variant.handle), hub_key(variant.handle)]


def places_in_mirror(mirror: Path, variant: Variant) -> Iterator[Path]:
    """Where a mirror holds a module, or what is left of it, as a folder or an archive."""
    for name in mirror_layouts(variant):
        if any((mirror / name / mark).exists() for mark in MARKS):
            yield mirror / name
        if (archive := mirror / f"{name}.tar.gz").is_file():
            yield archive


def hub_cache() -> Path:
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
    content = file_sha256(archive).hex()
    try:
        target = own_cache() / "modules" / content
        if not target.is_dir():
            unpack(archive, target)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModuleUnavailable(
            f"module {variant.handle!r}: {archive} cannot be unpacked into the cache "
            f"({error}); fetch it again, or point at the unpacked folder"
        ) from error
    return unwrapped(target)


def _into_hub_cache(variant: Variant) -> Path:
    """Fetch a module to where tensorflow-hub would have put it, and finds it too."""
    if not is_published_as_archive(variant.handle):
        return _resolve(variant)
    key = hub_key(variant.handle)
    target = hub_cache() / key
    fetch_module(variant, target, hub_cache() / PARTIAL / key)
    with contextlib.suppress(OSError):  # tensorflow-hub notes for people what the folder is
        target.with_name(f"{target.name}.descriptor.txt").write_text(
            f"Module: {hub_url(variant.handle)}\nDownload Time: {datetime.now()}\n"
        )
    return target


def _resolve(variant: Variant) -> Path:
    """A module in an object store: tensorflow-hub reads those that TensorFlow does."""
    with quiet_import():
        import tensorflow_hub as hub
    try:
        return Path(hub.resolve(variant.handle))
    except Exception as error:  # OSError, RuntimeError, ValueError, TarError, TensorFlow's OpError
        raise ModuleUnavailable(
            f"module {variant.handle!r} of variant {variant.name!r} could not be fetched "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
