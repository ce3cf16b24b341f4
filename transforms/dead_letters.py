"""Failures as files: one JSON line a picture that could not be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import TypeAdapter, ValidationError

from index.errors import ArtifactDamaged, first_line
from index.output_folder import FAILURES, OutputFolder
from index.publishing import PART
from index.stored_file import StoredFile
from transforms.elements import Failure

_FAILURE: Final = TypeAdapter(Failure)


def write_dead_letters(folder: OutputFolder, failures: Iterable[Failure]) -> tuple[StoredFile, ...]:
    """Write failures/part-*.jsonl below `folder`, in the order of the URIs; nothing for none."""
    ordered = sorted(failures, key=lambda failure: (failure.uri, failure.variant or ""))
    if not ordered:
        return ()
    data = b"".join(_FAILURE.dump_json(failure) + b"\n" for failure in ordered)
    file = StoredFile.named_by_content(f"{PART}00000", ".jsonl", data, rows=len(ordered))
    folder.folder(FAILURES).write(file.name, data)
    return (file,)


def read_dead_letters(folder: OutputFolder, files: Sequence[StoredFile]) -> list[Failure]:
    """The failures in files below `folder`.

    Raises:
        ArtifactDamaged: a file is not what was written, or holds something else.
    """
    failures = []
    for file in files:
        lines = file.read_from(folder.folder(FAILURES)).splitlines()
        try:
            failures += [_FAILURE.validate_json(line) for line in lines]
        except ValidationError as error:
            place = folder.folder(FAILURES).path(file.name)
            raise ArtifactDamaged(f"{place} holds no failures: {first_line(error)}") from None
    return failures
