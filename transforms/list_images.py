"""Patterns, folders, lists and single files -> file references, through Beam's filesystems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Final

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from index.errors import NoPictures
from transforms.elements import Failure, FileReference

LIST_SUFFIXES: Final = (".txt", ".list")
_GLOB: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Listing:
    """What the inputs of a job name: files to read, and names that no reader could open."""

    files: tuple[FileReference, ...]
    failures: tuple[Failure, ...]


def list_images(inputs: Sequence[str], *, apart_from: Sequence[str] = ()) -> Listing:
    """List every file that the inputs name.

    An input is a file; a folder (every file below it, hidden ones apart); a glob, in which `**`
    stands for any number of folders, none included; or a .txt or .list file of any of these, one a
    line. Local paths become absolute.

    Args:
        inputs: as the user gave them.
        apart_from: files and folders that are not listed, such as the job's own artefacts.

    Raises:
        NoPictures: an input that matches nothing, or nothing at all.
    """
    files: dict[str, FileReference] = {}
    for name in inputs:
        found = dict(_list_input(name))
        if not found:
            raise NoPictures(
                f"{name!r} matches no file; check the path (quote a pattern, so that the shell does "
                "not expand it: 'photos/**/*.jpg')"
            )
        files.update(found)
    below = tuple(f"{place}/" for place in apart_from)
    files = {
        uri: file
        for uri, file in files.items()
        if uri not in apart_from and not uri.startswith(below)
    }
    if not files:
        raise NoPictures(f"there is no file to read in {', '.join(map(repr, inputs))}")
    unusable = [uri for uri in files if not _is_text(uri)]
    failures = tuple(
        Failure(
            uri=uri.encode("utf-8", "backslashreplace").decode(),
            stage="list",
            error="UndecodableName",
            message="the file's name is not UTF-8; rename it",
        )
        for uri in unusable
    )
    return Listing(tuple(files[uri] for uri in files if _is_text(uri)), failures)


def _list_input(name: str) -> Iterator[tuple[str, FileReference]]:
    location = _absolute(name)
    if _is_list(location):
        for line in _lines(location):
            yield from _list_line(line)
    else:
        yield from _match(location)


def _list_line(line: str) -> Iterator[tuple[str, FileReference]]:
    """A line of a list: a pattern or folder is expanded; a file is taken as it is, there or not."""
    location = _absolute(line)
    if _GLOB.search(location) or _is_folder(location):
        yield from _match(location)
    else:
        yield location, _local_reference(location) or FileReference(location)


def _match(location: str) -> Iterator[tuple[str, FileReference]]:
    """The files that one path, folder or pattern names."""
    if (file := _local_reference(location)) is not None:
        yield location, file
        return
    if _is_folder(location):
        below = location.rstrip("/") + "/"
        # Beam's patterns cannot quote: any character stands for one that would mean something.
        found: Iterable[FileMetadata] = (
            file
            for file in _matches([_GLOB.sub("?", below) + "**"])
            if file.path.startswith(below) and "/." not in file.path[len(below) - 1 :]
        )
    elif "://" in location and not _GLOB.search(location):
        found = _matches([location]) or _matches([location.rstrip("/") + "/**"])
    else:
        found = _matches(_without_empty_folders(location))
    for file in found:
        yield (
            file.path,
            FileReference(file.path, file.size_in_bytes, file.last_updated_in_seconds or None),
        )


def _matches(patterns: list[str]) -> list[FileMetadata]:
    try:
        results = FileSystems.match(patterns)
    except (BeamIOError, ValueError) as error:
        raise NoPictures(f"{patterns[0]!r} cannot be listed: {error}") from error
    return [file for result in results for file in result.metadata_list]


def _without_empty_folders(pattern: str) -> list[str]:
    """The pattern with each `/**/` also as `/`: to Beam, `**` stands for at least one folder.

    >>> _without_empty_folders("/a/**/*.jpg")
    ['/a/**/*.jpg', '/a/*.jpg']
    """
    pieces = pattern.split("/**/")
    joints = product(("/**/", "/"), repeat=len(pieces) - 1)
    return [
        pieces[0] + "".join(joint + piece for joint, piece in zip(choice, pieces[1:], strict=True))
        for choice in joints
    ]


def _absolute(name: str) -> str:
    if "://" in name:
        return name.removeprefix("file://") if name.startswith("file:///") else name
    return os.path.abspath(os.path.expanduser(name))


def _is_folder(location: str) -> bool:
    return "://" not in location and Path(location).is_dir()


def _local_reference(location: str) -> FileReference | None:
    """A local file that is there under the very name, glob characters and all."""
    if "://" in location or Path(location).is_dir():
        return None
    try:
        status = os.stat(location)
    except OSError:
        return None
    return FileReference(location, status.st_size, status.st_mtime)


def _is_list(location: str) -> bool:
    is_named_so = PurePosixPath(location).suffix in LIST_SUFFIXES
    return is_named_so and not _GLOB.search(location) and not _is_folder(location)


def _lines(location: str) -> list[str]:
    try:
        with FileSystems.open(location, compression_type="uncompressed") as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, BeamIOError) as error:
        raise NoPictures(f"the list {location!r} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise NoPictures(f"the list {location!r} is not UTF-8 text: {error}") from error
    return [line for line in text.splitlines() if line.strip()]


def _is_text(uri: str) -> bool:
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
