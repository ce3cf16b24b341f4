"""Patterns, folders, lists and single files -> file references, in Beam's pattern language."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from index.errors import NoPictures, UsageError
from transforms.elements import Failure, FileReference, Listing
from transforms.local_files import (
    UNREADABLE_FOLDER,
    FileIdentity,
    as_path,
    identities,
    is_local,
    local_file,
    local_files_below,
)
from transforms.path_patterns import compile_pattern, expand_stars
from transforms.read_bytes import read_bytes

LIST_SUFFIXES: Final = (".txt", ".list")
_GLOB: Final = re.compile(r"[*?\[]")


def list_images(inputs: Sequence[str], *, apart_from: Sequence[str] = ()) -> Listing:
    """List every file that the inputs name.

    An input is a file; a folder (every file below it, hidden ones apart); a glob, in which `**`
    stands for any number of folders, none included; or a .txt or .list file of any of these, one a
    line. Local paths become absolute, and links are followed.

    Args:
        inputs: as the user gave them.
        apart_from: files and folders that are not listed, such as the job's own artefacts.

    Raises:
        NoPictures: an input that matches nothing, or nothing at all.
    """
    own = identities(apart_from)
    entries: dict[str, FileReference | Failure] = {}
    for name in inputs:
        if not name.strip():
            raise UsageError("an input is empty; name a file, a folder, a pattern or a list")
        found = {entry.uri: entry for entry in _list_input(name, own)}
        if not found:
            raise NoPictures(
                f"{name!r} matches no file; check the path (quote a pattern, so that the shell does "
                "not expand it: 'photos/**/*.jpg')"
            )
        entries.update(found)
    below = tuple(f"{place}/" for place in apart_from)
    listed = [
        entry
        for uri, entry in entries.items()
        if uri not in apart_from and not uri.startswith(below)
    ]
    if not listed:
        raise NoPictures(f"there is no file to read in {', '.join(map(repr, inputs))}")
    return Listing(
        files=tuple(entry for entry in listed if isinstance(entry, FileReference)),
        failures=tuple(entry for entry in listed if isinstance(entry, Failure)),
    )


def _list_input(name: str, own: frozenset[FileIdentity]) -> Iterator[FileReference | Failure]:
    location = _absolute(name)
    if not _is_list(location):
        yield from _match(location, own)
        return
    for line in _lines(location):
        place = _absolute(line)
        if _GLOB.search(place) or (is_local(place) and os.path.lexists(place)):
            yield from _match(place, own)
        else:  # taken as it is: one that is gone fails when it is read
            yield FileReference(place)


def _match(location: str, own: frozenset[FileIdentity]) -> Iterator[FileReference | Failure]:
    """The files that one path, folder or pattern names, without our own."""
    if not is_local(location):
        yield from _match_remote(location)
    elif os.path.lexists(location) and not Path(location).is_dir():
        yield local_file(location)
    elif Path(location).is_dir():
        below = local_files_below(location, hidden=False, apart_from=own)
        yield from (entry for _, entry in below)
    elif _GLOB.search(location):
        yield from _match_local_pattern(location, own)


def _match_local_pattern(
    pattern: str, own: frozenset[FileIdentity]
) -> Iterator[FileReference | Failure]:
    """The files that a pattern matches, and the folders on the way that cannot be read."""
    folder = _GLOB.split(pattern, maxsplit=1)[0].rpartition("/")[0] or "/"
    if not Path(folder).is_dir():
        return
    below = pattern[len(folder.rstrip("/")) + 1 :]
    max_depth = None if "**" in below else below.count("/")
    expressions = compile_pattern(pattern)
    for path, entry in local_files_below(folder, hidden=True, max_depth=max_depth, apart_from=own):
        is_folder = isinstance(entry, Failure) and entry.error == UNREADABLE_FOLDER
        if is_folder or any(expression.match(path) for expression in expressions):
            yield entry


def _match_remote(location: str) -> Iterator[FileReference]:
    patterns = expand_stars(location)
    found = _remote_files(patterns)
    if not found and not _GLOB.search(location):
        found = _remote_files([location.rstrip("/") + "/**"])
    for file in found:
        modified_s = file.last_updated_in_seconds or None
        yield FileReference(file.path, file.size_in_bytes, modified_s)


def _remote_files(patterns: list[str]) -> list[FileMetadata]:
    try:
        results = FileSystems.match(patterns)
    except (BeamIOError, ValueError, ImportError) as error:
        raise NoPictures(
            f"{patterns[0]!r} cannot be listed: {error} (gs:// needs `pip install "
            "'apache-beam[gcp]'`, s3:// 'apache-beam[aws]', both credentials; nothing else is read)"
        ) from error
    return [file for result in results for file in result.metadata_list]


def _absolute(name: str) -> str:
    place = as_path(name)
    if not is_local(place):
        return place
    return re.sub("^//(?!/)", "/", os.path.abspath(os.path.expanduser(place)))


def _is_list(location: str) -> bool:
    is_named_so = PurePosixPath(location).suffix in LIST_SUFFIXES
    return is_named_so and not _GLOB.search(location) and not Path(location).is_dir()


def _lines(location: str) -> list[str]:
    try:
        text = read_bytes(location).decode("utf-8-sig")
    except OSError as error:
        raise NoPictures(f"the list {location!r} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise NoPictures(f"the list {location!r} is not UTF-8 text: {error}") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()]
