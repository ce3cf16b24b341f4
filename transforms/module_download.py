"""A variant's handle -> its module in a folder, fetched as the archive that is published."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from index.errors import ModuleUnavailable, UsageError, first_line
from index.output_folder import OutputFolder
from index.output_lock import only_writer
from index.progress import UNSHOWN, Step
from transforms.http_download import Patience, can_continue, download, forget
from transforms.module_archive import SUFFIXES, unpack, unwrapped
from transforms.module_files import check_complete
from transforms.variants import HUB, Variant

PARTIAL: Final = ".partial"  # in a mirror or cache: rooms of modules that are not whole yet
COMPRESSED: Final = ("tf-hub-format", "compressed")


def hub_url(handle: str) -> str:
    """A handle as tensorflow-hub takes it: a bare `google/...` belongs to tfhub.dev."""
    bare = handle.rstrip("/")
    return bare if "://" in bare else HUB + bare


def hub_key(handle: str) -> str:
    """What the folder of a handle is called in tensorflow-hub's cache."""
    return hashlib.sha1(hub_url(handle).encode()).hexdigest()


def archive_url(handle: str) -> str:
    """Where the archive of a handle is published.

    >>> archive_url("google/m/1")
    'https://tfhub.dev/google/m/1?tf-hub-format=compressed'
    >>> archive_url("https://host/m.tar.gz")
    'https://host/m.tar.gz'

    Raises:
        UsageError: the handle is no URL.
    """
    try:
        parts = urlsplit(hub_url(handle))
    except ValueError as error:
        raise UsageError(f"module {handle!r} is no URL ({error}); correct the handle") from error
    if parts.path.endswith(SUFFIXES):
        return urlunsplit(parts)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), COMPRESSED])))


def is_published_as_archive(handle: str) -> bool:
    """Whether `fetch_module` can fetch a handle; tensorflow-hub resolves others, as in object stores."""
    return hub_url(handle).startswith(("http://", "https://"))


def fetch_module(
    variant: Variant,
    target: Path,
    room: Path,
    *,
    step: Step = UNSHOWN,
    patience: Patience | None = None,
    without_network: str = "",
) -> None:
    """Fetch a variant's module, and rename it to `target` once it is whole.

    What has arrived when an attempt ends early stays in `room`, and the next one carries on from there.

    Args:
        variant: of a handle that is http, https, or bare.
        target: the folder to make.
        room: a folder for the unfinished, on the same disk; one a handle.
        step: counts the bytes of the archive, and learns how many there are.
        patience: how long to go on.
        without_network: what else to do, for whoever has none.

    Raises:
        ModuleUnavailable: it could not be fetched, or is no module; names the handle.
        UsageError: its handle is no URL.
        OutputBusy: another run is fetching it into the same place.
    """
    url = archive_url(variant.handle)
    part = room / "archive.part"
    with only_writer(OutputFolder.at(room), create=True):
        if target.is_dir():  # whoever was writing before us has brought it
            return
        try:
            download(url, part, step=step, patience=patience)
        except OSError as error:
            raise _unfetched(variant, part, url, error, without_network) from error
        _unpack_into(variant, part, target)
        forget(part)


def _unfetched(
    variant: Variant, part: Path, url: str, error: OSError, without_network: str
) -> ModuleUnavailable:
    module = f"module {variant.handle!r} of variant {variant.name!r}"
    carries_on = "the same command carries on from what has arrived"
    kept = f"; {carries_on}" if can_continue(url, part) else ""
    if error.errno is None:  # of the network
        cure = f"; without a network, {without_network}" if without_network else ""
        return ModuleUnavailable(f"{module} could not be fetched ({first_line(error)}){kept}{cure}")
    return ModuleUnavailable(
        f"{module} cannot be kept in {part.parent} ({first_line(error)}); make room there{kept}"
    )


def _unpack_into(variant: Variant, part: Path, target: Path) -> None:
    unpacked = part.with_name("module")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        unpack(part, unpacked)
        check_complete(variant, folder := unwrapped(unpacked), "network")
        folder.rename(target)
    except (tarfile.TarError, EOFError, ModuleUnavailable) as error:
        forget(part)  # the next attempt is to fetch it again
        raise ModuleUnavailable(
            f"module {variant.handle!r}: what {archive_url(variant.handle)} sent is no archive of a "
            f"module, or a damaged one ({first_line(error)}); it is not kept: correct the handle, or "
            "run the same command again to fetch it anew"
        ) from error
    except OSError as error:
        raise ModuleUnavailable(
            f"module {variant.handle!r} was fetched, but cannot be put at {target} "
            f"({first_line(error)}); make room there, and the same command carries on"
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
