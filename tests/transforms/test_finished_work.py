"""What stands of earlier work, against a plain model of the rules."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.embedding_dataset import encode_part, read_part, vectors_of
from index.errors import ArtifactDamaged
from index.manifest import VariantSettings
from index.output_folder import EMBEDDINGS, OutputFolder, variant_partition
from index.stored_file import StoredFile
from tests.conftest import picture_table, space
from transforms import computed_rows
from transforms.computed_rows import ComputedRows, StandingPart, settle_parts
from transforms.elements import Failure, FileReference
from transforms.embedded_task import EmbeddedTask
from transforms.finished_work import FinishedWork

VARIANTS = ("a", "b")
URIS = [f"/p/{letter}" for letter in "uvwxyz"]
SETTINGS = {name: VariantSettings(space=space(name, 2), engine="e") for name in VARIANTS}


@dataclass(frozen=True)
class State:
    """A file as a run found it; a row holds the same of the file it was computed from."""

    bytes: int | None
    modified_s: float | None
    content: str


STATES = st.builds(
    State,
    bytes=st.sampled_from([1, 2]),
    modified_s=st.sampled_from([10.5, 20.000001, None]),
    content=st.sampled_from("xy"),
)
LISTED = st.builds(
    State,
    bytes=st.sampled_from([1, 2, None]),
    modified_s=st.sampled_from([10.5, 20.000001, None]),
    content=st.sampled_from(["x", "y", "unreadable"]),
)
ROWS = st.dictionaries(st.tuples(st.sampled_from(URIS), st.sampled_from(VARIANTS)), STATES)
FAILURES = st.dictionaries(
    st.tuples(st.sampled_from(URIS), st.sampled_from([None, *VARIANTS])), STATES
)


def stands(row: State, listed: State) -> bool:
    """The rule, in the words of the README."""
    if row.bytes == listed.bytes and row.modified_s == listed.modified_s is not None:
        return True
    return listed.bytes in (row.bytes, None) and row.content == listed.content


def fails_still(failure: State, listed: State) -> bool:
    if (failure.bytes, failure.modified_s) == (listed.bytes, listed.modified_s):
        return True
    return listed.bytes in (failure.bytes, None) and failure.content == listed.content


def microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e6)


def write_source(
    folder: OutputFolder, rows: Mapping, failures: Mapping, number: int, published: bool = False
) -> ComputedRows:
    """The rows in parts of at most two; a row's vector says which source it is of."""
    parts: dict[str, list[StoredFile]] = {}
    for name in VARIANTS:
        mine = sorted((uri, state) for (uri, variant), state in rows.items() if variant == name)
        for start in range(0, len(mine), 2):
            piece = mine[start : start + 2]
            table = picture_table(
                len(piece),
                uri=[uri for uri, _ in piece],
                content_hash=[state.content for _, state in piece],
                bytes=[state.bytes for _, state in piece],
                modified=[microseconds(state.modified_s) for _, state in piece],
            )
            vectors = np.array([[number, URIS.index(uri)] for uri, _ in piece], np.float32)
            data = encode_part(table, vectors, SETTINGS[name].space)
            part = StoredFile.named_by_content(
                f"part-{start:05}", ".parquet", data, rows=len(piece)
            )
            folder.folder(EMBEDDINGS, variant_partition(name)).write(part.name, data)
            parts.setdefault(name, []).append(part)
    return ComputedRows(
        folder,
        SETTINGS,
        parts,
        [
            Failure(
                *(uri, "decode", str(number), "m", variant),
                *(state.bytes, state.modified_s, state.content),
            )
            for (uri, variant), state in failures.items()
        ],
        published,
    )


@settings(deadline=None, max_examples=200)
@given(
    listing=st.dictionaries(st.sampled_from(URIS), LISTED),
    published=st.tuples(ROWS, FAILURES),
    attempts=st.lists(st.tuples(ROWS, FAILURES), max_size=2),
    retry=st.booleans(),
)
def test_what_stands_is_what_the_rules_say(listing, published, attempts, retry):
    with tempfile.TemporaryDirectory() as scratch:
        root = OutputFolder.at(scratch)
        sources = [
            write_source(root.folder(str(number)), rows, failures, number, published=number == 0)
            for number, (rows, failures) in enumerate([published, *attempts])
        ]
        files = [
            FileReference(uri, state.bytes, state.modified_s)
            for uri, state in sorted(listing.items())
        ]

        def content_hashes(uris):
            contents = [listing[uri].content for uri in uris]
            return [None if one == "unreadable" else one for one in contents]

        work = FinishedWork(files, VARIANTS, content_hashes)
        for source in sources:
            work.take_rows(source)
        for number, source in enumerate(sources):
            work.take_failures(source, retry=retry and number == 0)

        found = {}
        for name, parts in work.parts.items():
            for part in parts:
                table = part.table()
                assert len(part) == len(table)
                vectors = vectors_of(table.column("embedding")).tolist()
                times = table.column("modified").cast("int64").to_pylist()
                for uri, time, vector in zip(
                    table.column("uri").to_pylist(), times, vectors, strict=True
                ):
                    assert (uri, name) not in found, "a picture has two rows"
                    assert vector[1] == URIS.index(uri)
                    found[uri, name] = (vector[0], time)

    everything = [published, *attempts]
    expected = {}
    for uri, listed in listing.items():
        for name in VARIANTS:
            for number, (rows, _) in enumerate(everything):
                row = rows.get((uri, name))
                if row and stands(row, listed):
                    known = row if listed.modified_s is None else listed
                    expected[uri, name] = (number, microseconds(known.modified_s))
                    break
    assert found == expected

    done = set(expected)
    for number, (_, failures) in enumerate(everything):
        for (uri, variant), state in failures.items():
            if (
                uri not in listing
                or not fails_still(state, listing[uri])
                or (retry and number == 0)
            ):
                continue
            done |= {(uri, name) for name in VARIANTS if variant in (None, name)}
    assert {
        (file.uri, name)
        for file, row in zip(files, work.done.tolist(), strict=True)
        for name, is_done in zip(VARIANTS, row, strict=True)
        if is_done
    } == done
    uris_of = {uri for facts in published for uri, _ in facts}
    for gone, facts in zip((work.gone_rows, work.gone_failures), published, strict=True):
        assert gone == {uri for uri, _ in facts} - set(listing)
    assert {file.uri for file, known in zip(files, work.known, strict=True) if known} == (
        uris_of & set(listing)
    )
    assert {file.uri for file, changed in zip(files, work.changed, strict=True) if changed} == {
        uri
        for facts, rule in zip(published, (stands, fails_still), strict=True)
        for (uri, _), state in facts.items()
        if uri in listing and not rule(state, listing[uri])
    }
    covered = set(expected)
    for failure in work.failures:
        mine = {(failure.uri, name) for name in VARIANTS if failure.variant in (None, name)}
        assert mine - covered, "a failure that says nothing new"
        covered |= mine
    assert covered == done


def task(rows: Mapping[str, State], names=VARIANTS, failures=()) -> EmbeddedTask:
    table = picture_table(
        len(rows),
        uri=list(rows),
        bytes=[state.bytes for state in rows.values()],
        modified=[microseconds(state.modified_s) for state in rows.values()],
    )
    vectors = {name: np.zeros((len(rows), 2), np.float32) for name in names}
    failed = tuple(
        Failure(uri, "decode", "E", "m", None, state.bytes, state.modified_s)
        for uri, state in dict(failures).items()
    )
    return EmbeddedTask(table, vectors, failed)


def test_a_task_is_kept_when_all_of_it_is_as_it_was_and_nobody_has_it():
    old, new = State(1, 10.5, "x"), State(2, 10.5, "x")
    files = [FileReference(uri, old.bytes, old.modified_s) for uri in URIS]
    work = FinishedWork(files, VARIANTS, lambda uris: [None] * len(uris))
    work.take_task("changed", task({URIS[0]: old, URIS[1]: new}))
    work.take_task("unlisted", task({URIS[0]: old, "/elsewhere": old}))
    work.take_task("of one variant", task({URIS[0]: old}, names="a"))
    work.take_task("of none that is asked for", task({URIS[0]: old}, names="abc"))
    work.take_task("empty", task({}))
    work.take_task("of an unknown time", task({URIS[0]: State(1, None, "x")}))
    assert work.tasks == []
    assert not work.done.any()
    work.take_task("kept", task({URIS[2]: old, URIS[1]: old}, failures={URIS[3]: old}))
    work.take_task("overlapping", task({URIS[3]: old, URIS[4]: old}))
    assert work.tasks == [("kept", 1, VARIANTS)]
    assert work.done.all(axis=1).tolist() == [False, True, True, True, False, False]
    assert work.missing() == {"a": 3, "b": 3}


def test_a_damaged_part_is_an_error_only_where_it_is_published(tmp_path):
    state = State(1, 10.5, "x")
    folder = OutputFolder.at(tmp_path)
    rows = {(uri, "a"): state for uri in URIS}
    sources = [write_source(folder, rows, {}, 0, published) for published in (False, True)]
    part = sources[0].parts["a"][1]
    folder.folder(EMBEDDINGS, "variant=a").write(part.name, b"PAR1")
    files = [FileReference(uri, state.bytes, state.modified_s) for uri in URIS]
    work = FinishedWork(files, VARIANTS, lambda uris: [None] * len(uris))
    work.take_rows(sources[0])
    assert work.done[:, 0].tolist() == [True, True, False, False, True, True]
    with pytest.raises(ArtifactDamaged, match=part.name):
        work.take_rows(sources[1])


def test_a_failure_of_all_variants_is_of_those_that_have_no_row(tmp_path):
    state = State(1, 10.5, "x")
    work = FinishedWork(
        [FileReference(uri, 1, 10.5) for uri in URIS], VARIANTS, lambda uris: [None] * len(uris)
    )
    work.take_rows(write_source(OutputFolder.at(tmp_path), {(URIS[0], "a"): state}, {}, 0))
    failures = [Failure(uri, "read", "E", "m") for uri in (URIS[0], URIS[1], "/unlisted")]
    assert work.as_they_are(failures) == [
        dataclasses.replace(failures[0], variant="b"),
        *failures[1:],
    ]


def test_many_small_parts_are_joined_and_few_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(computed_rows, "JOINED_ROWS", 4)
    folder = OutputFolder.at(tmp_path)
    uris = [f"/p/{number:02}" for number in range(41)][::-1]
    parts = []
    for number, uri in enumerate(uris):
        vectors = np.full((1, 2), number, np.float32)
        data = encode_part(picture_table(1, uri=[uri]), vectors, SETTINGS["a"].space)
        file = StoredFile.named_by_content(f"part-{number:05}", ".parquet", data, rows=1)
        place = folder.folder(EMBEDDINGS, "variant=a")
        place.write(file.name, data)
        parts.append(StandingPart(place, file, SETTINGS["a"]))
    few = settle_parts(parts[: computed_rows.MOST_SMALL], folder)
    assert few == tuple(part.file for part in parts[: computed_rows.MOST_SMALL])
    joined = settle_parts(parts[::-1], folder)
    assert settle_parts(parts, folder) == joined
    assert sorted(file.rows for file in joined) == [1] + [4] * 10
    rows = {}
    for file in joined:
        table = read_part(place, file, SETTINGS["a"].space, "float32")
        assert table.column("uri").to_pylist() == sorted(table.column("uri").to_pylist())
        vectors = vectors_of(table.column("embedding"))[:, 0].tolist()
        rows |= dict(zip(table.column("uri").to_pylist(), vectors, strict=True))
    assert rows == {uri: number for number, uri in enumerate(uris)}
