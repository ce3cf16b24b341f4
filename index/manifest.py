"""What was made, from what, with which versions: one JSON file beside every artefact."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError

from index.errors import ArtifactDamaged
from index.output_folder import MANIFEST, OutputFolder
from index.stored_file import MappedFile, Record, StoredFile
from index.vector_space import VectorSpace

VectorType = Literal["float32", "float16"]  # of stored vectors

_SEAL = re.compile(rb'\{ "sha256": "([0-9a-f]{64})",')

PACKAGES = (
    "lookalike",
    "apache-beam",
    "tensorflow",
    "tensorflow-hub",
    "ai-edge-litert",
    "openvino",
    "faiss-cpu",
    "pyarrow",
)


@cache
def installed_versions() -> dict[str, str]:
    """The versions of the packages that decide what an artefact holds."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


class Manifest(Record):
    """What every manifest says."""

    schema_version: Literal[1] = 1
    created: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    versions: dict[str, str] = Field(default_factory=installed_versions)

    @classmethod
    def read(cls, folder: OutputFolder) -> Self:
        """The manifest of `folder`; OutputMissing where none is, ArtifactDamaged where it is broken."""
        try:
            return cls.model_validate_json(unsealed(folder, MANIFEST))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ArtifactDamaged(
                f"{folder.path(MANIFEST)} is not a manifest this version reads: "
                f"{where}: {first['msg']}"
            ) from error

    def write(self, folder: OutputFolder) -> None:
        """Publish the manifest: the last write of every artefact."""
        folder.write(MANIFEST, sealed(self))


def sealed(record: BaseModel) -> bytes:
    """A record as JSON whose first line holds the sha256 of all that follows."""
    rest = record.model_dump_json(indent=2).removeprefix("{\n").encode()
    return f'{{ "sha256": "{hashlib.sha256(rest).hexdigest()}",\n'.encode() + rest


def unsealed(folder: OutputFolder, name: str) -> bytes:
    """The JSON that was sealed.

    Raises:
        OutputMissing: there is no such file.
        ArtifactDamaged: it is not what was written.
    """
    head, _, rest = folder.read(name).partition(b"\n")
    said, found = _SEAL.fullmatch(head), hashlib.sha256(rest).hexdigest()
    if said is None:
        raise ArtifactDamaged(f"{folder.path(name)} does not begin with its checksum, as ours do")
    if said[1].decode() != found:
        raise ArtifactDamaged(
            f"{folder.path(name)} has sha256 {found[:16]}… where it says {said[1].decode()[:16]}…; "
            "restore the file, or make it again"
        )
    return b"{" + rest


class VariantSettings(Record):
    """What decides the vectors of one variant.

    Attributes:
        space: what the vectors mean.
        engine: what computes them.
        precision: of the engine's arithmetic.
        vector_type: as they are stored.
    """

    space: VectorSpace
    engine: str
    precision: str = "float32"
    vector_type: VectorType = "float32"

    def difference(self, other: VariantSettings) -> tuple[str, object, object] | None:
        """The first fact that keeps rows of these settings and of others apart, with both values."""
        for fact in ("engine", "precision", "vector_type"):
            here, there = getattr(self, fact), getattr(other, fact)
            if here != there:
                return fact, here, there
        return self.space.difference(other.space)


class VariantRecord(VariantSettings):
    """The embeddings of one variant.

    Attributes:
        worst_cosine: the least cosine between vectors of this engine and of TensorFlow, found when
            the engine was prepared; None for TensorFlow itself.
        rows: how many there are.
        parts: the files that hold them.
    """

    worst_cosine: float | None = None
    rows: int
    parts: tuple[StoredFile, ...]

    @property
    def digest(self) -> str:
        """sha256 over the checksums of the parts: which embeddings these are."""
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()


class RunRecord(Record):
    """What one run of embed computed, and how long that took.

    Attributes:
        pictures: how many it read, those among them that could not be used included; what stood
            already, or was kept of a run that was stopped, is not counted.
        seconds: of its pipeline: the start of its workers is in that, listing and converting modules is
            not.
        variants: the names of those that it computed.
    """

    pictures: int
    seconds: float
    variants: tuple[str, ...]


class EmbeddingsManifest(Manifest):
    """OUT/manifest.json: the finished embeddings of some pictures.

    Attributes:
        inputs: the patterns as they were given.
        pictures: how many files were listed.
        failures: how many of them could not be used.
        failure_files: the dead-letter files, below failures/.
        variants: the embeddings, by the variant's name.
        last_run: the last run that read pictures; None where an earlier version wrote this, which did
            not tell.
    """

    kind: Literal["embeddings"] = "embeddings"
    inputs: tuple[str, ...]
    pictures: int
    failures: int
    failure_files: tuple[StoredFile, ...]
    variants: dict[str, VariantRecord]
    last_run: RunRecord | None = None


class MeasuredSearch(Record):
    """What one search setting came to on the machine that built the index.

    Attributes:
        parameters: of the search, such as {"nprobe": 64, "candidates": 160}; empty where there are none.
        recall_at_1: against exact search.
        recall_at_10: the same for ten neighbors.
        recall_error: the standard error of recall_at_10 over the queries.
        queries_a_second: in one batch.
    """

    parameters: dict[str, int]
    recall_at_1: float
    recall_at_10: float
    recall_error: float
    queries_a_second: float


class IndexManifest(Manifest):
    """OUT/index/variant=<name>/manifest.json: one index.

    Attributes:
        settings: of the vectors it holds: their space, engine, precision and type.
        embeddings: the digest of the embeddings it covers.
        parts: the checksums of their parts, in order; rows name a part by its place here.
        metric: how scores are computed.
        factory_string: the FAISS index type.
        reason: why it was chosen.
        asked_for: whether the user chose it.
        min_recall: the recall@10 it was tuned for.
        search_parameters: the setting that reached it, and that searches use.
        measured: what that setting came to; None where there are fewer than two vectors.
        tried: all settings that were measured.
        queries: how many of its own vectors they were measured with.
        count: how many vectors it holds.
        trained_count: how many it held when it was trained.
        measured_count: how many it held when it was measured.
        changed_since: how many rows came or went after that.
        tombstones: how many it holds that no row names.
        next_id: the id that the next new picture gets.
        updates: how often it was brought up to date; until then row, place and id are one number.
        build_seconds: what building, or the last update, took.
        index_file: the stored vectors, a FAISS index that can be searched by itself.
        candidates_file: the FAISS index that proposes candidates; None where every vector is scored.
        lists_file: its inverted lists, where they are searched on the disk.
        rows_file: the rows that ids stand for.
        report_file: the page.
    """

    kind: Literal["index"] = "index"
    settings: VariantSettings
    embeddings: str
    parts: tuple[str, ...]
    metric: Literal["cosine"] = "cosine"
    factory_string: str
    reason: str
    asked_for: bool
    min_recall: float
    search_parameters: dict[str, int]
    measured: MeasuredSearch | None
    tried: tuple[MeasuredSearch, ...]
    queries: int
    count: int
    trained_count: int
    measured_count: int
    changed_since: int = 0
    tombstones: int = 0
    next_id: int
    updates: int = 0
    build_seconds: float
    index_file: MappedFile
    candidates_file: MappedFile | None
    lists_file: MappedFile | None
    rows_file: MappedFile
    report_file: MappedFile

    @property
    def space(self) -> VectorSpace:
        """What the vectors mean."""
        return self.settings.space

    @property
    def searched_files(self) -> tuple[MappedFile, ...]:
        """The files that hold the vectors."""
        every = (self.index_file, self.candidates_file, self.lists_file)
        return tuple(file for file in every if file is not None)

    @property
    def bytes_a_vector(self) -> float:
        """What a vector takes, of all that searching reads."""
        return sum(file.size for file in self.searched_files) / self.count
