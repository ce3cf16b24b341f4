import pytest

from benchmarks import serve
from pipelines.command_line import main
from tests.conftest import picture


@pytest.mark.slow
def test_the_service_is_measured_with_one_client_and_with_several(
    tiny_tf2, tmp_path, monkeypatch, capsys
):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for seed in range(6):
        (photos / f"{seed}.jpg").write_bytes(picture(seed))
    assert main(["embed", str(photos), "--variants", f"v={tiny_tf2}", "--output", str(out)]) == 0
    assert main(["index", str(out)]) == 0
    monkeypatch.setattr(serve, "WARM_UP_S", 0.2)
    figures = serve.main([str(out), str(photos), "--clients", "3", "--seconds", "1"])
    assert "new, 3" in capsys.readouterr().out
    for kind in ("new", "again"):
        assert figures[kind]["errors"] == []
        assert figures[kind]["one"]["a_second"] > 0
        assert figures[kind]["many"]["p99_ms"] >= figures[kind]["many"]["median_ms"]
