"""One attempt at a run: what it has finished, kept where the next attempt finds it.

OUT/.unfinished/0001-9f86d081/
    attempt.json                   what it computes: the settings of every variant
    plan.arrow                     what it was to do
    tasks/<chunk>/<sha256>.arrow   a few pictures and their vectors, as soon as they are computed
    embeddings/variant=<name>/     the Parquet parts of chunks
    chunks/<chunk>.json            the completion record of a chunk: the last thing written of it

Every attempt has a folder of its own, so that what workers of a dead one still write is in nobody's way.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import ArtifactDamaged, ArtifactError
from index.manifest import VariantSettings
from index.output_folder import OutputFolder
from index.publishing import UNFINISHED
from index.stored_file import StoredFile
from transforms.elements import Failure
from transforms.embedded_task import EmbeddedTask

SETTINGS: Final = "attempt.json"
CHUNKS: Final = "chunks"
TASKS: Final = "tasks"
NAME: Final = re.compile(r"(\d+)-[0-9a-f]{8}")


class _AttemptSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    variants: dict[str, VariantSettings]


class ChunkRecord(BaseModel):
    """What one chunk came to: the last thing written of it, so what it names is complete.

    Attributes:
        number: of the chunk.
        parts: its Parquet parts, by the variant's name.
        failures: of its pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    parts: dict[str, StoredFile]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Attempt:
    """The folder of one attempt, below OUT/.unfinished."""

    folder: OutputFolder

    @classmethod
    def begin(cls, output: OutputFolder, variants: Mapping[str, VariantSettings]) -> Attempt:
        """A new attempt to compute `variants`."""
        number = (
            max((int(one._name.partition("-")[0]) for one in cls.earlier(output)), default=0) + 1
        )
        folder = output.folder(UNFINISHED, f"{number:04}-{uuid.uuid4().hex[:8]}")
        settings = _AttemptSettings(variants=dict(variants))
        folder.write(SETTINGS, settings.model_dump_json(indent=2).encode())
        return cls(folder)

    @classmethod
    def earlier(cls, output: OutputFolder) -> list[Attempt]:
        """The attempts that have begun, the oldest first."""
        unfinished = output.folder(UNFINISHED)
        attempts = [
            cls(unfinished.folder(name)) for name in unfinished.names() if NAME.fullmatch(name)
        ]
        return [attempt for attempt in attempts if attempt.folder.exists(SETTINGS)]

    def settings(self) -> Mapping[str, VariantSettings] | None:
        """What the attempt computes; None where that cannot be read, and so nothing of it be used."""
        try:
            return _AttemptSettings.model_validate_json(self.folder.read(SETTINGS)).variants
        except (ArtifactError, ValidationError):
            return None

    def write_task(self, chunk: int, task: EmbeddedTask) -> None:
        """Keep what a task has computed, under a name that says what is in it."""
        data = task.encode()
        self.folder.folder(TASKS, f"{chunk:05}").write(f"{_digest(data)}.arrow", data)

    def tasks(self) -> Iterator[str]:
        """The names of the tasks that are kept, for `read_task`."""
        for chunk in self.folder.folder(TASKS).names():
            for name in self.folder.folder(TASKS, chunk).names():
                if not name.startswith("."):
                    yield f"{self._name}/{TASKS}/{chunk}/{name}"

    def read_task(self, name: str) -> EmbeddedTask:
        """A task that this attempt, or another at the same run, has kept.

        Raises:
            ArtifactDamaged: it is not what was written.
        """
        data = self._unfinished.read(name)
        if f"{_digest(data)}.arrow" != name.rpartition("/")[2]:
            raise ArtifactDamaged(f"{self._unfinished.path(name)} is not what was written there")
        return EmbeddedTask.decode(data)

    def write_record(self, record: ChunkRecord) -> None:
        """Say that a chunk is complete; its tasks are not needed any more, but by a later attempt."""
        chunk = f"{record.number:05}"
        self.folder.folder(CHUNKS).write(f"{chunk}.json", record.model_dump_json().encode())
        if max(self._unfinished.names()) == self._name:
            self.folder.folder(TASKS).delete(chunk)

    def records(self) -> list[ChunkRecord]:
        """The chunks that are complete, by their numbers; a damaged record is none."""
        records = []
        folder = self.folder.folder(CHUNKS)
        for name in folder.names():
            if not name.startswith("."):
                with contextlib.suppress(ArtifactError, ValidationError):
                    records.append(ChunkRecord.model_validate_json(folder.read(name)))
        return sorted(records, key=lambda record: record.number)

    @property
    def _unfinished(self) -> OutputFolder:
        return OutputFolder(self.folder.filesystem, self.folder.root.rpartition("/")[0])

    @property
    def _name(self) -> str:
        return self.folder.root.rpartition("/")[2]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
