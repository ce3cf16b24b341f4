import asyncio
import itertools
import random
import socket
from urllib.parse import quote

import pytest
import uvicorn

from pipelines.service import guard, patient_protocol
from pipelines.service.patient_protocol import PatientProtocol
from tests.conftest import encoded, scene
from tests.mutations import mutated
from tests.service import client_of

TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "....//....//etc/passwd",
    "..\\..\\etc\\passwd",
    "page/../../application.py",
    "\x00/etc/passwd",
)


@pytest.fixture(scope="module")
def client(searchable):
    with client_of(searchable, max_body=300_000) as client:
        yield client


def code(answer) -> str:
    return answer.json()["error"]["code"]


def test_a_body_that_says_it_is_too_large_is_refused(client):
    answer = client.post("/search", content=b"x" * 300_001)
    assert (answer.status_code, code(answer)) == (413, "too_large")


def test_a_body_that_turns_out_too_large_is_refused_and_not_kept(client):
    def pieces():
        yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
        yield from itertools.repeat(b"x" * 10_000, 100)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/search", content=pieces(), headers=headers)
    assert (answer.status_code, code(answer)) == (413, "too_large")


def test_json_has_a_bound_of_its_own(searchable):
    with client_of(searchable, max_body=10 << 20) as client:
        headers = {"content-type": "application/json"}
        answer = client.post("/search", content=b" " * (3 << 20), headers=headers)
        assert (answer.status_code, code(answer)) == (413, "too_large")


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch):
    async def receive():
        await asyncio.sleep(0.1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read_all():
        body = guard.BoundedBody(receive, 1000)
        while True:
            await body.receive()

    monkeypatch.setattr(guard, "BODY_TIMEOUT_S", 0.35)
    with pytest.raises(guard.Refused, match="to arrive") as refusal:
        asyncio.run(read_all())
    assert refusal.value.status == 408


@pytest.mark.parametrize("text", TRAVERSALS)
def test_no_parameter_reaches_a_file_outside_the_set(client, text):
    answers = [
        client.get(f"/thumbnails/{quote(text, safe='/%')}"),
        client.get(f"/neighbors/{quote(text, safe='/%')}"),
        client.get(f"/{quote(text, safe='/%')}"),
        client.post("/search", json={"uri": text}),
    ]
    for name in ("variant", "filter", "k", "side", "offset", "kind"):
        answers += [
            client.get(f"/{path}", params={name: text})
            for path in ("pictures", "neighbors/0", "thumbnails/0", "groups")
        ]
        answers.append(client.post("/search", data={name: text}, files={"image": (text, b"x")}))
    for answer in answers:
        assert answer.status_code < 500
        assert b"root:" not in answer.content
        assert b"import" not in answer.content
        # a parameter that a route does not know changes nothing
        assert answer.status_code >= 400 or "/etc/" not in answer.text


@pytest.mark.slow
def test_damaged_pictures_are_answered_and_never_fail_the_service(client):
    rng = random.Random(0)
    originals = [encoded(scene(1), name) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")]
    statuses = []
    for number in range(300):
        data = mutated(originals[number % len(originals)], rng)
        answer = client.post("/search", files={"image": ("a.jpg", data)})
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert code(answer) in ("unreadable_picture", "too_large")
    assert set(statuses) <= {200, 400, 413}
    assert statuses.count(400) > 30


# Starlette leaves the file of a part that has no end to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_damaged_requests_are_answered_and_never_fail_the_service(client):
    rng = random.Random(1)
    form = client.build_request(
        "POST", "/search", files={"image": ("a.jpg", encoded(scene(2)))}, data={"k": 3}
    )
    whole, kind = form.read(), form.headers["content-type"]
    asked = b'{"uri": "/a", "k": 5, "filter": "width > 3", "min_score": 0.5}'
    for number in range(300):
        body = mutated(whole if number % 2 else asked, rng)
        media_type = kind if number % 2 else "application/json"
        answer = client.post("/search", content=body, headers={"content-type": media_type})
        assert answer.status_code < 500, body[:200]
        assert answer.status_code == 200 or code(answer)


def test_without_a_token_only_this_machine_s_names_are_answered(client):
    for headers in ({"host": "evil.example"}, {"host": ""}, {"origin": "https://evil.example"}):
        answer = client.get("/pictures", headers=headers)
        assert (answer.status_code, code(answer)) == (421, "wrong_host")
    for headers in (
        {"host": "localhost:80"},
        {"host": "[::1]:9"},
        {"origin": "http://localhost:1"},
    ):
        assert client.get("/pictures", headers=headers).status_code == 200


def test_with_a_token_every_name_is_answered_to_those_who_bring_it(searchable):
    with client_of(searchable, token="søt secret") as client:
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic søt secret".encode()},
            {"cookie": "lookalike_token=wrong"},
            {"cookie": '"\\\x7f;=,'},
        ):
            answer = client.get("/pictures", headers=headers)
            assert (answer.status_code, code(answer)) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/thumbnails/0", "/groups", "/variants", "/metrics", "/openapi.json"):
            assert client.get(path).status_code == 401
        assert client.post("/search", json={"id": 0}).status_code == 401
        for path in ("/", "/page.js", "/healthz"):  # these hold no data
            assert client.get(path).status_code == 200
        for headers in (
            {"authorization": "Bearer søt secret".encode(), "host": "photos.example"},
            {"cookie": f"other=1; lookalike_token={quote('søt secret')}"},
        ):
            assert client.get("/pictures", headers=headers).status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(client):
    for path in ("/", "/page.js", "/pictures", "/nothing", "/thumbnails/0"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_what_the_service_did_not_foresee_is_an_error_of_its_own(searchable, monkeypatch, capsys):
    with client_of(searchable) as client:

        def break_down(*_):
            raise ZeroDivisionError("a defect")

        [variant] = client.served.variants.values()
        monkeypatch.setattr(type(variant), "pictures", break_down)
        answer = client.get("/pictures")
        assert (answer.status_code, code(answer)) == (500, "internal")
        assert "a defect" not in answer.text
        assert "a defect" in capsys.readouterr().err


def test_routes_are_counted_by_their_pattern_and_not_by_what_is_asked(client):
    client.get("/neighbors/3")
    client.get("/invented/path")
    told = client.get("/metrics").text
    assert 'route="/neighbors/{id}",status="200"' in told
    assert "invented" not in told


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET / HTTP/1.1\r\nhost: a\r\nx: "])
def test_a_connection_whose_headers_never_end_is_closed(monkeypatch, sent):
    async def app(scope, receive, send):
        raise AssertionError("there was no request")

    async def hold() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=PatientProtocol, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.should_exit = True
        await serving
        return answer

    monkeypatch.setattr(patient_protocol, "HEADERS_TIMEOUT_S", 0.2)
    assert asyncio.run(hold()) == b""
