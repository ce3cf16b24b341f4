"""What was made, from what, with which versions: one JSON file beside every artefact."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.errors import ArtifactDamaged, OutputMissing
from index.output_folder import MANIFEST, OutputFolder
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


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Record):
    """A file as it was written.

    Attributes:
        name: relative to the folder of the manifest that lists it.
        size: in bytes.
        sha256: its checksum, in hexadecimal.
        rows: how many rows or lines it holds, where that has a meaning.
    """

    name: str
    size: int
    sha256: str
    rows: int | None = None

    @classmethod
    def of(cls, name: str, data: bytes | memoryview, *, rows: int | None = None) -> StoredFile:
        """The record of `data`, about to be written as `name`."""
        digest = hashlib.sha256(data).hexdigest()
        return cls(name=name, size=len(data), sha256=digest, rows=rows)

    @classmethod
    def named_by_content(
        cls, stem: str, suffix: str, data: bytes | memoryview, *, rows: int | None = None
    ) -> StoredFile:
        """The record of `data`, about to be written under a name that no other content has."""
        named = cls.of("", data, rows=rows)
        return named.model_copy(update={"name": f"{stem}-{named.sha256[:12]}{suffix}"})

    def read_from(self, folder: OutputFolder) -> bytes:
        """The file's bytes, refused unless they are the ones that were written."""
        try:
            data = folder.read(self.name)
        except OutputMissing:
            raise ArtifactDamaged(
                f"{folder.path(self.name)} is listed in its manifest, but is gone"
            ) from None
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise ArtifactDamaged(
                f"{folder.path(self.name)} has sha256 {found[:16]}… ({len(data)} bytes), its manifest "
                f"says {self.sha256[:16]}… ({self.size} bytes); restore the file, or make it again"
            )
        return data


class Manifest(_Record):
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


class VariantSettings(_Record):
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


class EmbeddingsManifest(Manifest):
    """OUT/manifest.json: the finished embeddings of some pictures.

    Attributes:
        inputs: the patterns as they were given.
        pictures: how many files were listed.
        failures: how many of them could not be used.
        failure_files: the dead-letter files, below failures/.
        variants: the embeddings, by the variant's name.
    """

    kind: Literal["embeddings"] = "embeddings"
    inputs: tuple[str, ...]
    pictures: int
    failures: int
    failure_files: tuple[StoredFile, ...]
    variants: dict[str, VariantRecord]


class IndexManifest(Manifest):
    """OUT/index/variant=<name>/manifest.json: one index.

    Attributes:
        space: of the vectors it holds.
        embeddings: the digest of the embeddings it was built from.
        metric: how scores are computed.
        factory_string: the FAISS index type.
        search_parameters: FAISS's search-time settings, such as "efSearch=64"; "" for none.
        count: how many vectors it holds.
        recall_at_10: measured against exact search; 1.0 for an exact index, None below 2 vectors.
        recall_queries: how many of its own vectors the recall was measured with.
        index_file: the FAISS index.
        rows_file: the rows that ids stand for.
    """

    kind: Literal["index"] = "index"
    space: VectorSpace
    embeddings: str
    metric: Literal["cosine"] = "cosine"
    factory_string: str
    search_parameters: str
    count: int
    recall_at_10: float | None
    recall_queries: int
    index_file: StoredFile
    rows_file: StoredFile


class DuplicatesManifest(Manifest):
    """OUT/duplicates/variant=<name>/manifest.json: one search for duplicates.

    Attributes:
        space: of the vectors that were compared.
        embeddings: the digest of the embeddings that were compared.
        threshold: the least cosine between a near duplicate and the picture kept for it.
        keep: the policy that chose the picture to keep.
        pictures: how many were compared.
        groups: how many groups of two or more were found.
        exact_duplicates: members with the very bytes of the kept picture.
        near_duplicates: members that are close to it.
        groups_file: the groups.
        report_file: the page.
    """

    kind: Literal["duplicates"] = "duplicates"
    space: VectorSpace
    embeddings: str
    threshold: float
    keep: str
    pictures: int
    groups: int
    exact_duplicates: int
    near_duplicates: int
    groups_file: StoredFile
    report_file: StoredFile
