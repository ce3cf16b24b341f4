import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index.errors import ModuleUnavailable
from index.vector_index import VectorIndex
from pipelines.command_line import main
from tests.conftest import picture
from tests.copies import GROUPS, VARIANT, dedup
from tests.service import client_of
from transforms.image_embedder import ImageEmbedder


@pytest.fixture(scope="module")
def client(searchable):
    with client_of(searchable) as client:
        yield client


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [Path(one["uri"]).name for one in answer.json()["neighbors"]]


def upload(client, data: bytes, **fields):
    return client.post("/search", files={"image": ("any.jpg", data)}, data=fields)


def refusal(answer) -> tuple[int, str]:
    """The status and code of an error, which always comes as JSON with a message."""
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"]


def test_an_uploaded_picture_of_the_set_finds_itself_first(client, copies):
    data = (copies / "in/train/5.jpg").read_bytes()
    answer = upload(client, data, k=3)
    assert names(answer)[0] == "5.jpg"
    body = answer.json()
    assert body["query"] == body["neighbors"][0]["id"]
    assert [one["rank"] for one in body["neighbors"]] == [1, 2, 3]
    assert body["neighbors"][0]["score"] == 1.0


def test_id_uri_vector_and_picture_find_the_same(client, copies, searchable):
    path = copies / "in/train/6.jpg"
    by_uri = client.post("/search", json={"uri": str(path), "k": 5})
    id = by_uri.json()["neighbors"][0]["id"]
    index = VectorIndex.of_variant(str(searchable), VARIANT)
    vector = index.vectors(np.array([id]))[0].tolist()
    ways = [
        by_uri,
        client.post("/search", json={"id": id, "k": 5}),
        client.get(f"/neighbors/{id}", params={"k": 5}),
        client.post("/search", json={"vector": vector, "k": 5}),
        upload(client, path.read_bytes(), k=5),
    ]
    found = [names(way) for way in ways]
    assert all(one == found[0] for one in found)


def test_neighbors_are_those_of_the_command_line(client, copies, searchable, capsys):
    path = copies / "in/train/4.jpg"
    capsys.readouterr()
    assert main(["search", str(searchable), "--image", str(path), "-k", "4", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = upload(client, path.read_bytes(), k=4).json()["neighbors"]
    assert [one["uri"] for one in found] == [one["uri"] for one in told]
    assert [one["score"] for one in found] == pytest.approx(
        [one["score"] for one in told], abs=1e-4
    )


def test_a_filter_and_a_least_score_leave_out_others(client):
    params = {"filter": "uri like '%/test/%'"}
    some = client.get("/neighbors/0?k=50", params=params).json()["neighbors"]
    count = client.get("/pictures", params=params).json()["count"]
    assert len(some) == count > 0
    assert all("/test/" in one["uri"] for one in some)
    assert names(client.get("/neighbors/0", params={"filter": "width > 10000"})) == []
    alike = client.get("/neighbors/0", params={"k": 50, "min_score": 0.999}).json()["neighbors"]
    assert all(one["score"] >= 0.999 for one in alike)
    assert alike


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        ("wide > 1", "bad_filter"),
        ("1; drop table rows", "bad_filter"),
        ("(select count(*) from read_text('/etc/passwd')) > 0", "bad_filter"),
        ("(select count(*) from glob('/*')) > 0", "bad_filter"),
        ("uri = '\ud800'", "bad_request"),
        ("x" * 3000, "bad_request"),
    ],
)
def test_a_filter_that_is_none_is_refused(client, filter, code):
    body = json.dumps({"id": 0, "filter": filter})
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    status, found = refusal(answer)
    assert (status in (400, 422), found) == (True, code)


def test_pictures_come_some_at_a_time(client):
    first = client.get("/pictures", params={"limit": 5}).json()
    second = client.get("/pictures", params={"limit": 5, "offset": 5}).json()
    assert first["count"] == second["count"] > 10
    ids = [one["id"] for one in first["pictures"] + second["pictures"]]
    assert len(set(ids)) == 10
    assert client.get("/pictures", params={"offset": 10**9}).json()["pictures"] == []
    assert client.get(f"/pictures/{ids[3]}").json()["pictures"] == [first["pictures"][3]]


def test_thumbnails_are_small_pictures_that_need_not_be_sent_twice(client):
    answer = client.get("/thumbnails/0", params={"side": 64})
    with Image.open(BytesIO(answer.content)) as image:
        assert (image.format, max(image.size)) == ("JPEG", 64)
    again = client.get("/thumbnails/0?side=64", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_thumbnail_is_kept_only_where_the_picture_is_named_too(client):
    [picture] = client.get("/pictures/0").json()["pictures"]
    for version, kept in (
        ({}, False),
        ({"version": picture["version"]}, True),
        ({"version": "x"}, False),
    ):
        headers = client.get("/thumbnails/0", params=version).headers
        assert ("immutable" in headers["cache-control"]) == kept
        assert ("no-cache" in headers["cache-control"]) != kept


def test_groups_come_with_the_ids_of_their_pictures(client):
    answer = client.get("/groups", params={"limit": 100}).json()
    assert answer["searched"]
    found = [{Path(one["uri"]).name for one in group} for group in answer["groups"]]
    assert sorted(map(sorted, found)) == sorted(
        sorted({kept, *others}) for kept, others in GROUPS.items()
    )
    assert all(
        [one["keep"] for one in group] == [True] + [False] * (len(group) - 1)
        for group in answer["groups"]
    )
    member = answer["groups"][0][1]
    assert client.get(f"/pictures/{member['id']}").json()["pictures"][0]["uri"] == member["uri"]
    two = client.get("/groups", params={"offset": 1, "limit": 2}).json()
    assert two["groups"] == answer["groups"][1:3]


def test_where_nobody_looked_for_copies_there_are_no_groups(client):
    answer = client.get("/groups", params={"kind": "leaks"}).json()
    assert (answer["searched"], answer["count"], answer["groups"]) == (False, 0, [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/neighbors/99999", (404, "no_such_picture")),
        ("/neighbors/-1", (422, "bad_request")),
        ("/neighbors/" + "9" * 5000, (422, "bad_request")),
        ("/neighbors/x", (422, "bad_request")),
        ("/neighbors/0?k=0", (422, "bad_request")),
        ("/neighbors/0?k=1001", (422, "bad_request")),
        ("/neighbors/0?min_score=nan", (422, "bad_request")),
        ("/neighbors/0?variant=other", (404, "no_such_variant")),
        ("/thumbnails/99999", (404, "no_such_picture")),
        ("/thumbnails/0?side=99999", (422, "bad_request")),
        ("/groups?kind=all", (422, "bad_request")),
        ("/pictures?offset=-1", (422, "bad_request")),
        ("/nothing", (404, "not_found")),
        ("/docs", (404, "not_found")),
    ],
)
def test_what_cannot_be_answered_says_why(client, path, expected):
    assert refusal(client.get(path)) == expected


def test_a_method_that_is_none_is_refused(client):
    assert refusal(client.delete("/search")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "bad_request")),
        ({"id": 0, "uri": "x"}, (422, "bad_request")),
        ({"id": 0, "more": 1}, (422, "bad_request")),
        ({"uri": "/etc/passwd"}, (404, "no_such_picture")),
        ({"uri": "file:///etc/passwd"}, (404, "no_such_picture")),
        ({"vector": [1.0, 2.0]}, (400, "bad_vector")),
        ({"vector": [0.0] * 32}, (400, "bad_vector")),
        ({"vector": [1e300] * 24}, (400, "bad_vector")),
        ({"vector": []}, (400, "bad_vector")),
        ({"id": 2**70}, (422, "bad_request")),
        ([], (422, "bad_request")),
    ],
)
def test_json_that_asks_nothing_is_refused(client, body, expected):
    assert refusal(client.post("/search", json=body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"id": NaN}',
        b'{"vector": [NaN]}',
        b'{"vector": [1e999]}',
        b'{"uri": "\\ud800"}',
        b"[" * 100_000,
        b'{"id": ' + b"9" * 10_000 + b"}",
    ],
)
def test_json_that_is_none_is_refused(client, body):
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    assert refusal(answer)[0] == 422


def test_a_file_that_is_no_picture_is_refused_with_the_reason(client):
    answer = upload(client, b"not a picture at all")
    assert refusal(answer) == (400, "unreadable_picture")
    assert "NotAnImage" in answer.json()["error"]["message"]
    assert refusal(upload(client, b"")) == (400, "unreadable_picture")


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"picture": ("a.jpg", b"x")}},
        {"files": {"image": (None, b"text")}},
        {"files": [("image", ("a", b"x")), ("image", ("b", b"y"))]},
        {"files": {"image": ("a.jpg", b"x")}, "data": {"k": "many"}},
        {"files": {"image": ("a.jpg", b"x")}, "data": {"other": "1"}},
        {"files": {"image": ("a.jpg", b"x")}, "data": {"k": ["1", "2"]}},
        {"files": {"image": ("a.jpg", b"x")}, "data": {"filter": "x" * 50_000}},
        {"files": {"image": ("a.jpg", b"x")}, "data": {f"f{n}": "1" for n in range(50)}},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data"}},
    ],
)
def test_a_form_that_is_none_is_refused(client, form):
    status, code = refusal(client.post("/search", **form))
    assert (status in (400, 422), code) == (True, "bad_request")


def test_another_kind_of_body_is_refused(client):
    assert refusal(client.post("/search", content=b"x")) == (415, "unsupported_media_type")


def test_a_picture_that_is_gone_is_said_to_be(searchable):
    def read(uri: str) -> bytes:
        raise OSError("it is not there")

    with client_of(searchable, read=read) as client:
        assert refusal(client.get("/thumbnails/0")) == (404, "picture_gone")


def test_without_its_module_a_variant_is_still_searched_by_its_pictures(searchable):
    def unavailable(space):
        raise ModuleUnavailable("module 'm' is not there")

    with client_of(searchable, embedder=unavailable) as client:
        assert refusal(upload(client, picture(1))) == (503, "no_module")
        assert names(client.get("/neighbors/0"))
        [described] = client.get("/variants").json()["variants"]
        assert not described["takes_pictures"]
        assert "module 'm'" in described["problem"]


def test_a_module_with_other_weights_is_not_used(searchable, tiny_hub):
    def other(space):
        return ImageEmbedder.for_space(space, variant=f"{VARIANT}={tiny_hub}")

    with client_of(searchable, embedder=other) as client:
        assert refusal(upload(client, picture(1))) == (503, "no_module")


def test_where_there_is_no_index_yet_it_is_awaited(searchable, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(searchable, out, ignore=shutil.ignore_patterns("index"))
    with client_of(out) as client:
        assert refusal(client.get("/pictures")) == (503, "no_index")
        assert client.get("/healthz").json() == {"status": "ok", "variants": 0}
        shutil.copytree(searchable / "index", out / "index")
        client.served.refresh()
        assert client.get("/pictures").json()["count"] > 0


def test_a_damaged_index_is_not_served_and_the_old_one_is(searchable, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(searchable, out)
    with client_of(out) as client:
        [manifest] = (out / "index").glob("*/manifest.json")
        manifest.write_text(manifest.read_text().replace("cosine", "cosinus"))
        client.served.refresh()
        assert names(client.get("/neighbors/0"))
        assert "sha256" in client.get("/variants").json()["problems"][VARIANT]


def test_a_new_index_is_taken_up_and_no_request_fails_meanwhile(copies, searchable, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(searchable, out)
    data = (copies / "in/train/5.jpg").read_bytes()
    with client_of(out) as client:
        before = client.get("/variants").json()["variants"][0]["created"]
        stop, statuses = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                statuses.append(upload(client, data, k=2).status_code)
                statuses.append(client.get("/neighbors/1").status_code)

        with ThreadPoolExecutor(3) as threads:
            asking = [threads.submit(ask) for _ in range(3)]
            assert main(["index", str(out), "--overwrite", "--factory", "HNSW8"]) == 0
            client.served.refresh()
            stop.set()
            for one in asking:
                one.result()
        [described] = client.get("/variants").json()["variants"]
        assert described["index"] == "HNSW8"
        assert described["created"] >= before
        assert set(statuses) == {200}
        assert len(statuses) > 6


def test_new_groups_are_taken_up(searchable, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(searchable, out)
    with client_of(out) as client:
        assert dedup(out, "--by-score", "--threshold", "1") == 0
        client.served.refresh()
        assert client.get("/groups").json()["count"] < len(GROUPS)


def test_requests_that_wait_together_are_worked_on_together(searchable, copies):
    with client_of(searchable) as client:
        pictures = [picture(seed, (200, 150)) for seed in range(24)]
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda data: upload(client, data), pictures))
        assert {one.status_code for one in answers} == {200}
        told = client.get("/metrics").text
        assert 'lookalike_batch_size_count{work="search"}' in told


def test_a_picture_that_was_embedded_is_not_embedded_again(searchable):
    with client_of(searchable) as client:
        first, again = upload(client, picture(77)), upload(client, picture(77), k=3)
        assert names(first)[:3] == names(again)
        told = client.get("/metrics").text
        assert "lookalike_remembered_vectors_total 1.0" in told
        assert 'lookalike_requests_total{method="POST",route="/search",status="200"} 2.0' in told


def test_the_api_describes_itself_with_examples(client):
    told = client.get("/openapi.json").json()
    body = told["paths"]["/search"]["post"]["requestBody"]["content"]
    assert body["multipart/form-data"]["schema"]["required"] == ["image"]
    assert body["application/json"]["examples"]
    assert {"/neighbors/{id}", "/thumbnails/{id}", "/groups", "/healthz", "/metrics"} <= set(
        told["paths"]
    )


def test_several_variants_are_served_and_have_to_be_named(out, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(out, both)
    for name in ("tf1", "tf2"):
        assert main(["index", str(both), "--variant", name]) == 0
    with client_of(both) as client:
        assert refusal(client.get("/neighbors/0")) == (400, "no_such_variant")
        for name in ("tf1", "tf2"):
            assert client.get("/neighbors/0", params={"variant": name}).json()["variant"] == name
            assert upload(client, picture(3), variant=name).json()["variant"] == name
