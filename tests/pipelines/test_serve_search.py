import contextlib
import http.client
import json
import shutil
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from pipelines.command_line import main
from tests.conftest import picture
from tests.service import running_service


def ask(address: str, path: str, method="GET", body=None, headers=None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def form(data: bytes) -> tuple[bytes, dict[str, str]]:
    head = b'--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.slow
def test_the_service_answers_refuses_what_is_too_large_and_stops_when_it_is_told(searchable):
    with running_service(searchable, "--max-upload", "1MB") as (address, process):
        assert address.startswith("http://127.0.0.1:")
        assert json.loads(ask(address, "/healthz")[1]) == {"status": "ok", "variants": 1}
        body, headers = form(picture(1))
        assert ask(address, "/search", "POST", body, headers)[0] == 200
        status, answer = ask(address, "/search", "POST", *form(b"x" * (100 << 20)))
        assert (status, json.loads(answer)["error"]["code"]) == (413, "too_large")
        status, page = ask(address, "/")
        assert (status, b"<title>lookalike" in page) == (200, True)

        # What is being answered is answered to its end.
        slow = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        slow.putrequest("POST", "/search")
        for name, value in {**headers, "content-length": str(len(body))}.items():
            slow.putheader(name, value)
        slow.endheaders(body[:100])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        slow.send(body[100:])
        assert slow.getresponse().status == 200
        slow.close()
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        ask(address, "/healthz")


@pytest.mark.slow
def test_an_index_that_is_built_anew_is_taken_up_by_a_running_service(searchable, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(searchable, out)
    with running_service(out) as (address, process):
        stop, statuses = threading.Event(), []

        def keep_asking():
            while not stop.is_set():
                statuses.append(ask(address, "/neighbors/1")[0])

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert main(["index", str(out), "--overwrite", "--factory", "HNSW8"]) == 0
        deadline = time.monotonic() + 30
        while b"HNSW8" not in ask(address, "/variants")[1]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_an_address_that_others_reach_needs_a_token(searchable, capsys, monkeypatch):
    monkeypatch.delenv("LOOKALIKE_TOKEN", raising=False)
    assert main(["serve", str(searchable), "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "LOOKALIKE_TOKEN" in capsys.readouterr().err
    assert main(["serve", str(searchable), "--host", "", "--port", "0"]) in (1, 2)


def test_a_port_that_is_taken_is_told(searchable, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", str(searchable), "--port", port]) == 1
        assert f"127.0.0.1:{port} cannot be listened at" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_a_port_that_is_none_is_refused(searchable, port):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", str(searchable), "--port", port])


def test_a_folder_that_is_no_output_is_not_served(tmp_path, capsys):
    assert main(["serve", str(tmp_path), "--port", "0"]) == 1
    assert "holds neither embeddings nor an index" in capsys.readouterr().err


def test_a_variant_that_is_not_there_is_told_with_those_that_are(searchable, capsys):
    assert main(["serve", str(searchable), "--variant", "w", "--port", "0"]) == 1
    assert "of variant 'w'; it holds v" in capsys.readouterr().err
