import contextlib
import dataclasses
import gc
import hashlib
import io
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from index.errors import ArtifactDamaged
from index.output_folder import OutputFolder
from tests.conftest import broken_files, picture
from transforms import chunk_embedder
from transforms.attempt import Attempt
from transforms.chunk_embedder import (
    TASK_BYTES,
    TASK_PICTURES,
    ChunkEmbedder,
    split_images,
    stored_vectors,
)
from transforms.elements import EmbeddedChunk, Failure, ImageChunk, ImageFile
from transforms.engines.engine import EngineSettings, load_engine
from transforms.model_inputs import picture_table, prepare_inputs
from transforms.module_store import ModuleStore
from transforms.progress import ProgressListener
from transforms.variants import Variant

SIZE = (32, 32)


def image_file(name, data):
    return ImageFile(name, data, hashlib.sha256(data).hexdigest(), 1_700_000_000.25)


def gray_file(row: int, level: float) -> ImageFile:
    """A picture of one shade, from 0 to 1."""
    stream = io.BytesIO()
    Image.new("L", SIZE, round(level * 255)).save(stream, "PNG")
    return image_file(f"/p/{row:03}.png", stream.getvalue())


def gray_chunk(*levels: float, number=7, failures=()) -> ImageChunk:
    files = tuple(gray_file(row, level) for row, level in enumerate(levels))
    return ImageChunk(number, files, tuple(failures), ())


def embed(chunk, engines, **options) -> EmbeddedChunk:
    chunk = dataclasses.replace(chunk, variants=tuple(engines))
    with ThreadPoolExecutor(2) as threads:
        embedder = ChunkEmbedder(engines, threads, **options)
        [embedded] = [*embedder.put(chunk), *embedder.drain()]
    return embedded


def engine_of(folder, name, **settings):
    settings = EngineSettings(**{"engine": "tensorflow", **settings})
    return load_engine(ModuleStore().locate(Variant(name, str(folder))), settings)


@pytest.fixture(scope="module")
def fussy(fussy_module):
    return engine_of(fussy_module, "fussy")


@pytest.fixture(scope="module")
def plain(tiny_tf2):
    return engine_of(tiny_tf2, "plain")


def test_a_broken_picture_costs_its_neighbors_nothing():
    files = {"a.jpg": picture(1), **broken_files(), "z.png": picture(2, format="PNG")}
    images = [image_file(name, data) for name, data in files.items()]
    prepared = prepare_inputs(images, [SIZE, (48, 48)])
    alone = prepare_inputs(images[-1:], [SIZE])
    table = picture_table(prepared.pictures)
    assert table.column("uri").to_pylist() == ["a.jpg", "z.png"]
    assert table.column("format").to_pylist() == ["JPEG", "PNG"]
    assert table.column("modified")[0].as_py().microsecond == 250_000
    assert [failure.uri for failure in prepared.failures] == list(broken_files())
    assert {failure.stage for failure in prepared.failures} == {"decode"}
    assert {size: images.shape for size, images in prepared.arrays.items()} == {
        SIZE: (2, 32, 32, 3),
        (48, 48): (2, 48, 48, 3),
    }
    assert np.array_equal(prepared.arrays[SIZE][1], alone.arrays[SIZE][0])


def test_a_chunk_without_a_usable_picture_is_still_a_chunk(plain):
    embedded = embed(ImageChunk(0, (image_file("a.jpg", b""),), (), ()), {"plain": plain})
    assert embedded.embeddings["plain"].vectors.shape == (0, 24)
    assert [failure.error for failure in embedded.failures] == ["EmptyFile"]
    empty = embed(ImageChunk(1, (), (), ()), {"plain": plain})
    assert empty.pictures.num_rows == len(empty.failures) == 0


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_only_the_culprits_of_a_failing_batch_fail(fussy_module, fussy, batch_size):
    levels = [0.3, 1.0, 0.5, 0.6, 1.0, 0.2, 0.0, 0.4]
    earlier = Failure("/p/earlier", "decode", "E", "m")
    engine = engine_of(fussy_module, "fussy", batch_size=batch_size)
    embedded = embed(gray_chunk(*levels, failures=[earlier]), {"fussy": engine})
    result = embedded.embeddings["fussy"]
    assert result.rows.tolist() == [0, 2, 3, 5, 7]
    good = prepare_inputs([gray_file(row, levels[row]) for row in result.rows], [SIZE])
    assert np.allclose(result.vectors, fussy.embed(good.arrays[SIZE]), atol=1e-5)
    found = {failure.uri: failure for failure in embedded.failures}
    assert found.pop("/p/earlier") == earlier
    assert sorted(found) == ["/p/001.png", "/p/004.png", "/p/006.png"]
    assert {failure.stage for failure in found.values()} == {"compute"}
    assert "too bright" in found["/p/001.png"].message
    assert found["/p/001.png"].variant == "fussy"
    assert found["/p/001.png"].bytes == len(gray_file(1, 1.0).data)
    assert found["/p/001.png"].modified_s == gray_file(1, 1.0).modified_s
    assert found["/p/006.png"].error == "NotFinite"


def test_a_picture_that_fails_for_one_variant_has_a_row_for_the_other(fussy, plain):
    embedded = embed(gray_chunk(0.5, 1.0), {"fussy": fussy, "plain": plain})
    assert embedded.embeddings["fussy"].rows.tolist() == [0]
    assert embedded.embeddings["plain"].rows.tolist() == [0, 1]


def test_vectors_do_not_depend_on_the_batch_size(tiny_tf2):
    chunk = ImageChunk(0, tuple(image_file(f"{n:02}", picture(n)) for n in range(20)), (), ())
    one, many = (
        embed(chunk, {"v": engine_of(tiny_tf2, "v", batch_size=size)}).embeddings["v"].vectors
        for size in (1, 32)
    )
    assert np.allclose(one, many, atol=1e-5)


def test_chunks_come_out_in_their_order_one_behind(plain):
    chunks = [
        dataclasses.replace(
            gray_chunk(*[0.5] * (1 + 5 * number), number=number), variants=("plain",)
        )
        for number in range(4)
    ]
    with ThreadPoolExecutor(3) as threads:
        embedder = ChunkEmbedder({"plain": plain}, threads)
        given = [[done.number for done in embedder.put(chunk)] for chunk in chunks]
        rest = [done.number for done in embedder.drain()]
    assert given == [[], [0], [1], [2]]
    assert rest == [3]


def test_large_pictures_are_tasks_of_their_own():
    sizes = [1, 1, 1, 1, TASK_BYTES - 2, 5, TASK_BYTES, 2 * TASK_BYTES, 1]
    images = [ImageFile(str(number), bytes(size), "", None) for number, size in enumerate(sizes)]

    def tasks(batch):
        return [[len(image.data) for image in task] for task in split_images(images, batch)]

    small = [1, 1, 1, 1]
    assert tasks(1) == [[*small], [TASK_BYTES - 2], [5], [TASK_BYTES], [2 * TASK_BYTES], [1]]
    assert tasks(2) == [small, [TASK_BYTES - 2, 5], [TASK_BYTES, 2 * TASK_BYTES], [1]]
    assert tasks(9) == [sizes]
    assert list(split_images([], 3)) == []


def test_a_batch_is_as_large_as_it_was_asked_for(plain, monkeypatch):
    calls = []
    engine = dataclasses.replace(plain, batch_size=12)
    monkeypatch.setattr(type(plain), "run", lambda self, images: calls.append(len(images)))
    monkeypatch.setattr(chunk_embedder, "TASK_BYTES", 100)
    with contextlib.suppress(TypeError, ValueError):  # there are no vectors
        embed(gray_chunk(*np.linspace(0, 1, 24)), {"plain": engine})
    assert calls[0] == 12


def test_pixels_end_with_their_task(plain, monkeypatch):
    made = []

    def watched(images, sizes):
        inputs = prepare_inputs(images, sizes)
        made.extend(weakref.ref(array) for array in inputs.arrays.values())
        return inputs

    monkeypatch.setattr(chunk_embedder, "prepare_inputs", watched)
    with ThreadPoolExecutor(1) as threads:
        embedder = ChunkEmbedder({"plain": plain}, threads)
        chunk = gray_chunk(*np.linspace(0, 1, 3 * TASK_PICTURES))
        assert list(embedder.put(dataclasses.replace(chunk, variants=("plain",)))) == []
        threads.submit(gc.collect).result()
        assert [array() for array in made] == [None] * 3
        assert len(list(embedder.drain())) == 1


def test_rows_keep_the_order_of_the_files_across_tasks(plain):
    count = 3 * TASK_PICTURES + 1
    levels = np.linspace(0.1, 0.9, count)
    embedded = embed(gray_chunk(*levels), {"plain": plain})
    assert embedded.pictures.column("uri").to_pylist() == [f"/p/{n:03}.png" for n in range(count)]
    alone = embed(gray_chunk(*levels[::-1]), {"plain": plain}).embeddings["plain"].vectors[::-1]
    assert np.allclose(embedded.embeddings["plain"].vectors, alone, atol=1e-5)


@pytest.mark.parametrize("factor", [1e9, 1e-9])
def test_a_vector_that_float16_cannot_hold_is_a_failure(plain, factor):
    class Loud:
        space, batch_size = plain.space, 8

        def factors(self, count):
            return np.where(np.arange(count) == 1, factor, 1).astype(np.float32)[:, None]

        def embed(self, images):
            return plain.embed(images) * self.factors(len(images))

    chunk = gray_chunk(0.4, 0.5, 0.6)
    assert embed(chunk, {"v": Loud()}).embeddings["v"].rows.tolist() == [0, 1, 2]
    halves = embed(chunk, {"v": Loud()}, vector_type="float16")
    assert halves.embeddings["v"].rows.tolist() == [0, 2]
    assert halves.embeddings["v"].vectors.dtype == np.float16
    [failure] = halves.failures
    assert (failure.uri, failure.error) == ("/p/001.png", "OutOfRange")
    assert "store float32" in failure.message


def test_float16_rounds_to_three_digits_and_keeps_zeros():
    vectors = np.array([[0.1234567, 3, 0], [0, 0, 0], [np.nan, 1, 1]], np.float32)
    halves = stored_vectors(vectors, "float16")
    assert halves.dtype == np.float16
    assert np.allclose(halves[:2], vectors[:2], rtol=1e-3)
    assert np.isnan(halves[2]).any()
    assert np.isnan(stored_vectors(np.full((1, 3), 1e-27, np.float32), "float16")).any()
    assert stored_vectors(vectors, "float32") is vectors


def test_progress_counts_every_picture_once(fussy, plain):
    listener = ProgressListener()
    files = (*gray_chunk(0.5, 1.0, 0.0, 0.4).images, image_file("empty", b""))
    embed(
        ImageChunk(0, files, (), ()),
        {"a": fussy, "b": plain, "c": fussy},
        progress=listener.address,
    )
    listener.receive(1.0)
    assert (listener.done, listener.failed) == (2, 3)
    listener.close()


def test_what_an_attempt_has_computed_is_taken_back_by_the_next(tmp_path, fussy, plain):
    levels = [0.3, 1.0, 0.0, *np.linspace(0.1, 0.8, 2 * TASK_PICTURES)]
    engines = {"fussy": fussy, "plain": plain}
    whole = gray_chunk(*levels)
    broken = dataclasses.replace(whole, images=(*whole.images, image_file("/p/900.png", b"")))
    undisturbed = embed(broken, engines)

    output = OutputFolder.at(tmp_path)
    first = Attempt.begin(output, {})
    embed(broken, engines, attempt=first)
    kept = list(first.tasks())
    assert len(kept) == 3
    tasks = [first.read_task(name) for name in kept[:2]]
    done = {uri for task in tasks for uri in task.pictures.column("uri").to_pylist()}
    done |= {failure.uri for task in tasks for failure in task.failures}
    rest = tuple(image for image in broken.images if image.uri not in done)
    assert 0 < len(rest) < len(broken.images)

    second = Attempt.begin(output, {})
    carried_on = dataclasses.replace(broken, images=rest, tasks=tuple(kept[:2]))
    embedded = embed(carried_on, engines, attempt=second)
    assert embedded.pictures.equals(undisturbed.pictures)
    assert embedded.failures == undisturbed.failures
    assert len(embedded.failures) == 3
    for name in engines:
        ours, theirs = embedded.embeddings[name], undisturbed.embeddings[name]
        assert np.array_equal(ours.rows, theirs.rows)
        assert np.array_equal(ours.vectors, theirs.vectors)


def test_a_task_that_was_changed_is_not_taken_back(tmp_path, plain):
    attempt = Attempt.begin(OutputFolder.at(tmp_path), {})
    embed(gray_chunk(0.5), {"plain": plain}, attempt=attempt)
    [name] = attempt.tasks()
    place = tmp_path / ".unfinished" / name
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    with pytest.raises(ArtifactDamaged, match="not what was written"):
        attempt.read_task(name)
