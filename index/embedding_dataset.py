"""The Parquet schema of embeddings; tables written from arrays, and read back in batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.errors import ArtifactDamaged, OutputMissing, first_line
from index.manifest import EmbeddingsManifest, VariantRecord, VectorType
from index.output_folder import EMBEDDINGS, OutputFolder, variant_partition
from index.stored_file import StoredFile
from index.vector_space import VectorSpace

PICTURE_FIELDS: Final = (
    pa.field("uri", pa.string(), nullable=False),
    # sha256 of the file's bytes, in hexadecimal
    pa.field("content_hash", pa.string(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("modified", pa.timestamp("us", tz="UTC")),
    # in pixels, as displayed: EXIF orientation applied
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("format", pa.string(), nullable=False),
)
PICTURE_SCHEMA: Final = pa.schema(PICTURE_FIELDS)
SPACE_KEY: Final = b"lookalike.vector_space"
ROW_GROUP_BYTES: Final = 16 << 20  # of vectors, before compression
BATCH_ROWS: Final = 4096  # decoded at a time


def embedding_schema(space: VectorSpace, vector_type: VectorType = "float32") -> pa.Schema:
    """The columns of a part: the picture's, and `embedding` fixed_size_list<vector_type>[dim]."""
    element = pa.field("element", pa.from_numpy_dtype(vector_type), nullable=False)
    embedding = pa.field("embedding", pa.list_(element, space.num_features), nullable=False)
    return pa.schema([*PICTURE_FIELDS, embedding], metadata={SPACE_KEY: space.model_dump_json()})


def encode_part(
    pictures: pa.Table,
    vectors: NDArray[np.floating],
    space: VectorSpace,
    vector_type: VectorType = "float32",
) -> pa.Buffer:
    """The bytes of one Parquet part, its row groups of at most ROW_GROUP_BYTES of vectors.

    Args:
        pictures: PICTURE_SCHEMA, one row a picture.
        vectors: float [pictures, dim], in the same order.
        space: what the vectors mean; written into the file.
        vector_type: to store them as.
    """
    schema = embedding_schema(space, vector_type)
    embedding = vector_column(vectors.astype(vector_type, copy=False))
    columns = [column.combine_chunks() for column in pictures.columns]
    table = pa.Table.from_arrays([*columns, embedding], schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=["format"],
        use_byte_stream_split=["embedding.list.element"],
        row_group_size=max(1, ROW_GROUP_BYTES // (space.num_features * vectors.itemsize)),
    )
    return sink.getvalue()


def store_part(
    folder: OutputFolder, variant: str, stem: str, data: pa.Buffer, *, rows: int
) -> StoredFile:
    """Write an encoded part below `folder`, named by its content."""
    part = StoredFile.named_by_content(stem, ".parquet", data, rows=rows)
    folder.folder(EMBEDDINGS, variant_partition(variant)).write(part.name, data)
    return part


def read_part(
    folder: OutputFolder,
    part: StoredFile,
    space: VectorSpace,
    vector_type: VectorType,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of one Parquet part, or some columns of them.

    Raises:
        ArtifactDamaged: it is not the file that was written, which is found out before it is parsed, or
            it holds something else than `part` and `space` say.
    """
    data = part.read_from(folder)
    return pa.concat_tables(
        _tables_of(pa.BufferReader(data), folder, part, space, vector_type, columns)
    )


def part_tables(
    folder: OutputFolder,
    part: StoredFile,
    space: VectorSpace,
    vector_type: VectorType,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """The same rows, BATCH_ROWS at a time; whoever calls has checked the file."""
    with folder.open(part.name) as source:
        yield from _tables_of(source, folder, part, space, vector_type, columns)


def _tables_of(
    source: pa.NativeFile,
    folder: OutputFolder,
    part: StoredFile,
    space: VectorSpace,
    vector_type: VectorType,
    columns: Sequence[str] | None,
) -> Iterator[pa.Table]:
    expected = embedding_schema(space, vector_type)
    try:
        file = pq.ParquetFile(source)
        if file.metadata.num_rows == part.rows and file.schema_arrow.equals(expected):
            names = expected.names if columns is None else columns
            yield pa.schema(
                [expected.field(name) for name in names], expected.metadata
            ).empty_table()
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(expected.metadata)
            return
        found = f"{file.metadata.num_rows} rows of {file.schema_arrow.names}"
    except (pa.ArrowException, OSError) as error:
        found = f"no Parquet that can be read ({first_line(error)})"
    raise ArtifactDamaged(
        f"{folder.path(part.name)} holds {found}; its manifest says {part.rows} rows of variant "
        f"{space.variant!r}"
    )


def vector_column(vectors: NDArray[np.floating]) -> pa.FixedSizeListArray:
    """Vectors [n, dim] as a column, without a copy where they are contiguous."""
    element = pa.field("element", pa.from_numpy_dtype(vectors.dtype), nullable=False)
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(element, vectors.shape[1]))


def vectors_of(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """The vectors [n, dim] in a column of fixed-size lists."""
    width = column.type.list_size
    vectors: NDArray[np.floating] = column.combine_chunks().flatten().to_numpy()
    return vectors.reshape(-1, width)


@dataclass(frozen=True)
class EmbeddingBatch:
    """Some rows of a dataset.

    Attributes:
        pictures: PICTURE_SCHEMA, one row a picture.
        vectors: float32 [pictures, num_features].
    """

    pictures: pa.Table
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class EmbeddingDataset:
    """The embeddings of one variant in a finished output, every part checked as it is read.

    `len(dataset)` is the number of pictures; `dataset.space` says what the vectors mean; an
    example that runs is examples/read_embeddings.py.
    """

    folder: OutputFolder
    record: VariantRecord
    _checked: set[int] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def open(cls, output: str | OutputFolder, variant: str | None = None) -> EmbeddingDataset:
        """Open the embeddings of `variant` (of the only one, where there is one) in an output."""
        root = output if isinstance(output, OutputFolder) else OutputFolder.at(output)
        try:
            manifest = EmbeddingsManifest.read(root)
        except OutputMissing:
            raise OutputMissing(
                f"{root.root} holds no finished embeddings (no manifest.json); "
                "make them with: lookalike embed PICTURES --variants NAME --output " + root.root
            ) from None
        name = variant or only_variant(list(manifest.variants), where=root.root)
        if name not in manifest.variants:
            known = ", ".join(manifest.variants)
            raise OutputMissing(f"{root.root} holds no embeddings of {name!r}; it holds {known}")
        return cls(root.folder(EMBEDDINGS, variant_partition(name)), manifest.variants[name])

    @property
    def space(self) -> VectorSpace:
        """What the vectors mean."""
        return self.record.space

    def __len__(self) -> int:
        return self.record.rows

    def batches(
        self, size: int = 8192, *, parts: Iterable[int] | None = None
    ) -> Iterator[EmbeddingBatch]:
        """All rows in their stored order, in batches of `size` (the last may be smaller).

        Args:
            size: rows of a batch; no more than that and what one part decodes at a time is in memory.
            parts: only the rows of these parts, by their number.
        """
        waiting: list[pa.Table] = []
        rows = 0
        numbers = range(len(self.record.parts)) if parts is None else parts
        for table in itertools.chain.from_iterable(self._tables(part) for part in numbers):
            waiting.append(table)
            rows += table.num_rows
            while rows >= size:
                table = pa.concat_tables(waiting)
                yield self._batch(table.slice(0, size))
                waiting = [table.slice(size)]
                rows -= size
        if rows:
            yield self._batch(pa.concat_tables(waiting))

    def vectors(self) -> NDArray[np.float32]:
        """All vectors in memory: float32 [len(self), num_features]."""
        every = np.empty((len(self), self.space.num_features), np.float32)
        start = 0
        for batch in self.batches():
            every[start : start + len(batch)] = batch.vectors
            start += len(batch)
        return every

    def pictures(self, parts: Iterable[int] | None = None) -> pa.Table:
        """The pictures without their vectors, with the part and the row in it that hold each.

        Args:
            parts: only those in these parts, by their number.

        Returns:
            PICTURE_SCHEMA, then `part` and `row` int32.
        """
        places = pa.schema([pa.field("part", pa.int32()), pa.field("row", pa.int32())])
        tables = [pa.schema([*PICTURE_FIELDS, *places]).empty_table()]
        for number in range(len(self.record.parts)) if parts is None else parts:
            start = 0
            for table in self._tables(number, PICTURE_SCHEMA.names):
                part = pa.array(np.full(table.num_rows, number, np.int32))
                row = pa.array(np.arange(start, start + table.num_rows, dtype=np.int32))
                placed = table.append_column("part", part).append_column("row", row)
                tables.append(placed.replace_schema_metadata(None))
                start += table.num_rows
        return pa.concat_tables(tables)

    def vectors_at(self, parts: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """The stored vectors, float32 [n, num_features], of n pictures listed by `pictures()`."""
        vectors = np.empty((len(parts), self.space.num_features), np.float32)
        for part in np.unique(parts).tolist():
            start = 0
            for table in self._tables(part, ["embedding"]):
                end = start + table.num_rows
                asked = np.flatnonzero((parts == part) & (rows >= start) & (rows < end))
                if len(asked):
                    vectors[asked] = vectors_of(table.column("embedding"))[rows[asked] - start]
                start = end
        return vectors

    def _tables(self, number: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a part, some thousand at a time; it is checked once, when it is first read."""
        part, record = self.record.parts[number], self.record
        if number not in self._checked:
            part.check(self.folder)
            self._checked.add(number)
        yield from part_tables(self.folder, part, record.space, record.vector_type, columns)

    def _batch(self, table: pa.Table) -> EmbeddingBatch:
        return EmbeddingBatch(
            pictures=table.select(PICTURE_SCHEMA.names),
            vectors=vectors_of(table.column("embedding")).astype(np.float32, copy=False),
        )


def only_variant(variants: list[str], *, where: str) -> str:
    """The one variant of an output; OutputMissing, naming them, where there is a choice or none."""
    if len(variants) == 1:
        return variants[0]
    if not variants:
        raise OutputMissing(f"{where} does not exist, or is empty; make it first")
    raise OutputMissing(
        f"{where} holds {len(variants)} variants ({', '.join(variants)}); name one with --variant"
    )
