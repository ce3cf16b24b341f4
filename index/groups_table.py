"""groups.parquet: a row a member of a group, with the evidence for it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from index.duplicate_groups import Duplicate, DuplicateGroup
from index.vector_space import VectorSpace

GROUP_SCHEMA: Final = pa.schema(
    [
        pa.field("group", pa.int64(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        # of each group the first row is kept
        pa.field("keep", pa.bool_(), nullable=False),
        # proposed for removal
        pa.field("remove", pa.bool_(), nullable=False),
        # why a duplicate is not proposed for removal; empty for others
        pa.field("held_back", pa.string(), nullable=False),
        # cosine to the kept picture
        pa.field("score", pa.float32(), nullable=False),
        # kept, exact, near or transformed
        pa.field("kind", pa.string(), nullable=False),
        # direct or transitive; null for the kept one
        pa.field("evidence", pa.string()),
        # bytes, pictures or score; null for the kept one
        pa.field("proof", pa.string()),
        # the share of what was compared that shows the same; null where nobody looked
        pa.field("agreement", pa.float32()),
        # what was done, such as "mirrored, turned 90°"
        pa.field("change", pa.string(), nullable=False),
        # the picture that it was found a copy of; null for the kept one
        pa.field("copy_of", pa.string()),
    ]
)
TRANSITIVE: Final = "a copy of a copy"
CHANGED: Final = "it or the kept one is gone, or was changed since"
SAME_FILE: Final = "another name of a file that is kept"
FACTS: Final = ("content_hash", "bytes", "modified", "width", "height")


def groups_table(
    groups: Sequence[DuplicateGroup],
    pictures: pa.Table,
    space: VectorSpace,
    identities: Mapping[int, Hashable | None],
    *,
    remove_transitive: bool = False,
) -> pa.Table:
    """GROUP_SCHEMA, then FACTS of each picture; groups are numbered in their order.

    Args:
        groups: whose members are rows of `pictures`.
        pictures: with FACTS and `uri`.
        space: of the vectors that were compared.
        identities: by the rows of members: what is the same for all names of a file, None for one that
            is not what was embedded any more.
        remove_transitive: also propose copies of copies for removal.
    """
    uris = pictures.column("uri")
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    for number, group in enumerate(groups):
        rows.append(_kept_row(number))
        places.append(group.keep)
        for one in group.duplicates:
            both = identities[group.keep], identities[one.picture]
            held_back = "" if one.is_direct or remove_transitive else TRANSITIVE
            held_back = CHANGED if None in both else held_back
            row = _duplicate_row(number, one, held_back)
            rows.append(row | {"copy_of": uris[one.via].as_py()})
            places.append(one.picture)
    _hold_back_kept_files(rows, [identities[place] for place in places])
    chosen = pictures.take(pa.array(places, pa.int64()))
    found = {
        field.name: pa.array([row[field.name] for row in rows], field.type)
        for field in GROUP_SCHEMA
        if field.name != "uri"
    }
    columns = [
        chosen.column("uri") if name == "uri" else found[name] for name in GROUP_SCHEMA.names
    ]
    table = pa.Table.from_arrays(columns, schema=GROUP_SCHEMA)
    for name in FACTS:
        table = table.append_column(name, chosen.column(name))
    return table.replace_schema_metadata({"lookalike.vector_space": space.model_dump_json()})


def _kept_row(number: int) -> dict[str, Any]:
    return {
        "group": number,
        "keep": True,
        "remove": False,
        "held_back": "",
        "score": 1.0,
        "kind": "kept",
        "evidence": None,
        "proof": None,
        "agreement": None,
        "change": "",
        "copy_of": None,
    }


def _duplicate_row(number: int, one: Duplicate, held_back: str) -> dict[str, Any]:
    return {
        "group": number,
        "keep": False,
        "remove": not held_back,
        "held_back": held_back,
        "score": one.score,
        "kind": one.kind,
        "evidence": "direct" if one.is_direct else "transitive",
        "proof": one.proof,
        "agreement": one.agreement,
        "change": one.change,
    }


def _hold_back_kept_files(
    rows: Sequence[dict[str, Any]], identities: Sequence[Hashable | None]
) -> None:
    """Propose no name of a file that stays by another name, such as a link to it."""
    staying = {one for row, one in zip(rows, identities, strict=True) if not row["remove"]}
    for row, identity in zip(rows, identities, strict=True):
        if row["remove"] and identity in staying:
            row.update(remove=False, held_back=SAME_FILE)


def encode_groups(table: pa.Table) -> pa.Buffer:
    """The bytes of groups.parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def removal_lists(table: pa.Table, uris: pa.ChunkedArray) -> tuple[bytes, bytes]:
    """to_remove.txt and kept.txt: the URIs proposed for removal, and all others; a line each, sorted.

    A URI with a line break in it would be two lines; it is in neither, and is never taken for another.

    Args:
        table: of groups.
        uris: of all pictures that were compared.
    """
    removed = removed_uris(table)
    ordered = sorted(uri for uri in uris.to_pylist() if len(uri.splitlines()) == 1)
    to_remove = [uri for uri in ordered if uri in removed]
    kept = [uri for uri in ordered if uri not in removed]
    return _lines(to_remove), _lines(kept)


def removed_uris(table: pa.Table) -> set[str]:
    """What is proposed for removal."""
    return set(table.filter(table.column("remove")).column("uri").to_pylist())


def decode_groups(data: bytes | memoryview) -> pa.Table:
    """The table in the bytes of groups.parquet."""
    return pq.ParquetFile(pa.BufferReader(data)).read()


def _lines(uris: Sequence[str]) -> bytes:
    return "".join(f"{uri}\n" for uri in uris).encode()
