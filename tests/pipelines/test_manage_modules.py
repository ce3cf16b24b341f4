import json
import shutil
import socket

import pytest

from pipelines.command_line import main
from transforms.module_archive import unpack

V2 = "mobilenet_v2_035_96"


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """No mirror, cache or network but what a test makes."""
    monkeypatch.delenv("LOOKALIKE_MODULES", raising=False)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub-cache"))

    def no_network(*_, **__):
        raise socket.gaierror("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def held(tiny_hub, tmp_path, monkeypatch):
    folder = tmp_path / "held"
    shutil.copytree(tiny_hub, folder / V2)
    monkeypatch.setenv("LOOKALIKE_MODULES", str(folder))
    return folder


def modules(*arguments) -> int:
    return main(["modules", *map(str, arguments)])


def told(capsys, *arguments, code=0):
    """What a command that ends with `code` tells machines of its modules, or of mirrors."""
    capsys.readouterr()
    assert modules(*arguments, "--json") == code
    result = json.loads(capsys.readouterr().out)
    return result["mirrors" if arguments[0] == "check" else "modules"]


def test_the_list_shows_what_is_held_and_counts_the_rest(held, capsys):
    assert modules("list") == 0
    heading, row, rest = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "FOUND", "FORMAT", "SIZE", "FINGERPRINT", "PLACE"]
    assert row.split()[:4] == [V2, "mirror", "TF1", "hub"]
    assert row.endswith(str(held / V2))
    assert rest.startswith("51 more in the catalogue")
    assert modules("list", V2, "mobilenet_v2_100_224") == 0
    assert "mobilenet_v2_100_224 is not held" in capsys.readouterr().out


def test_the_list_for_machines_has_the_whole_catalogue(held, capsys):
    rows = told(capsys, "list")
    assert len(rows) == 52
    [row] = [row for row in rows if row["held"]]
    assert (row["name"], row["format"], len(row["fingerprint"])) == (V2, "hub", 64)
    assert row["bytes"] > 1000


def test_a_broken_module_is_listed_with_its_reason(held, capsys):
    (held / V2 / "saved_model.pb").unlink()
    assert modules("list") == 0
    shown = capsys.readouterr().out
    assert "broken" in shown
    assert "holds no saved_model.pb" in shown
    [row] = told(capsys, "list", V2)
    assert (row["held"], row["fingerprint"]) == (False, None)
    assert "holds no saved_model.pb" in row["broken"]


def test_what_is_exported_is_checked_and_used_on_another_machine(
    held, tiny_tf2, tmp_path, monkeypatch, capsys
):
    assert modules("export", V2, f"mine={tiny_tf2}", "--to", "carried.tar.gz") == 0
    monkeypatch.delenv("LOOKALIKE_MODULES")
    unpack(tmp_path / "carried.tar.gz", tmp_path / "there")
    assert modules("check", "there/modules") == 0
    assert "2 modules" in capsys.readouterr().out
    rows = told(capsys, "list", "--modules", "there/modules")
    assert {row["name"] for row in rows if row["held"]} == {V2, "mine"}
    assert modules("export", "mine", "--modules", "there/modules", "--to", "again") == 0
    assert modules("check", "again") == 0


def test_without_names_everything_that_is_held_is_exported(held, capsys):
    assert [one["name"] for one in told(capsys, "export", "--to", "mirror")] == [V2]
    assert modules("check", "mirror") == 0
    assert [one["how"] for one in told(capsys, "export", "--to", "mirror")] == ["there"]
    assert [one["how"] for one in told(capsys, "export", "--to", "m.tar")] == ["packed"]


def test_a_broken_module_is_not_left_out_of_an_export_in_silence(held, capsys):
    (held / V2 / "saved_model.pb").unlink()
    assert modules("export", "--to", "mirror") == 1
    assert "holds no saved_model.pb" in capsys.readouterr().err


def test_what_is_held_is_pulled_without_a_network(held, capsys):
    [one] = told(capsys, "pull", V2, "--to", "mirror")
    assert (one["how"], one["path"]) == ("copied", f"{V2}/feature_vector/3")
    assert [one["how"] for one in told(capsys, "pull", V2, "--to", "mirror")] == ["there"]


def test_one_module_that_fails_does_not_keep_the_others_from_being_pulled(held, capsys):
    assert modules("pull", "mobilenet_v2_100_224", V2, "--to", "mirror") == 1
    shown = capsys.readouterr()
    assert "mobilenet_v2_100_224/feature_vector/3' of variant" in shown.err
    assert "no network here" in shown.err
    assert "1 of 2" in shown.out
    assert modules("check", "mirror") == 0
    rows = told(capsys, "pull", "mobilenet_v2_100_224", V2, "--to", "mirror", code=1)
    assert [row["how"] for row in rows] == ["failed", "there"]


def test_what_is_copied_and_what_is_packed_shows_its_whole_size(held, capsys):
    for to in ("mirror", "m.tar"):
        assert modules("export", V2, "--to", to, "--json") == 0
        lines = map(json.loads, capsys.readouterr().err.splitlines())
        [end] = [line for line in lines if line["event"] == "end"]
        assert end["done"] == end["total"] > 1000, to
        assert end["unit"] == "bytes"


@pytest.mark.parametrize("handle", ["http://[::bad/x", "http://[::bad/x.tar.gz"])
@pytest.mark.parametrize("action", ["pull", "export", "list"])
def test_a_handle_that_is_no_url_is_one_error(action, handle, capsys):
    to = [] if action == "list" else ["--to", "mirror"]
    code = modules(action, f"mine={handle}", *to, "--json")
    shown = capsys.readouterr()
    assert code == (0 if action == "list" else json.loads(shown.out)["exit_code"])
    assert "Traceback" not in shown.err
    if action == "pull":
        assert json.loads(shown.out)["error"]["type"] == "UsageError"


def test_names_in_whatever_bytes_are_listed_and_checked(held, capsys):
    assert modules("pull", V2, "--to", "mirror") == 0
    shutil.copytree(held / V2, "mirror/m\udcff")
    assert modules("list", "--modules", "mirror") == 0
    shown = capsys.readouterr().out.splitlines()
    assert any(r"m\udcff" in line and "broken" in line for line in shown)
    assert any(line.endswith("is not UTF-8; rename the folder") for line in shown)
    assert modules("check", "mirror") == 1
    assert r"not listed: m\udcff/saved_model.pb" in capsys.readouterr().out
    assert modules("export", "--modules", "mirror", "--to", "again") == 1
    assert "is not UTF-8" in capsys.readouterr().err


def test_a_name_that_a_mirror_needs_is_refused(tiny_tf2, capsys):
    for to in ("mirror", "m.tar"):
        assert modules("export", f"modules.json={tiny_tf2}", "--to", to) == 2
        assert "keeps for itself" in capsys.readouterr().err


def test_without_a_network_one_error_names_the_handle_and_the_cure(capsys):
    assert modules("pull", V2, "--to", "mirror") == 1
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("lookalike: module ")
    for word in (f"https://tfhub.dev/google/imagenet/{V2}/", "no network here", "modules export"):
        assert word in shown


def test_a_check_fails_where_a_file_differs_and_names_it(held, capsys):
    assert modules("pull", V2, "--to", "mirror") == 0
    (path,) = (held.parent / "mirror").rglob("saved_model.pb")
    path.write_bytes(b"x")
    assert modules("check", "mirror") == 1
    assert f"changed: {V2}/feature_vector/3/saved_model.pb" in capsys.readouterr().out
    result = told(capsys, "check", "--modules", "mirror", code=1)
    assert [one["trouble"] for one in result[0]["findings"]] == ["changed"]


def test_a_mirror_without_checksums_is_not_taken_for_sound(held, capsys):
    assert modules("check") == 1
    shown = capsys.readouterr().out
    assert V2 in shown
    assert "no modules.json" in shown
    assert modules("pull", V2, "--to", held) == 0
    assert modules("check", held) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "--to", "m"], "needs names"),
        (["pull", V2], "--to DIR"),
        (["export", V2, "--to", "gs://bucket"], "--to DIR"),
        (["pull", "mobilnet_v2_035_96", "--to", "m"], "did you mean"),
        (["check"], "needs a folder"),
        (["check", "nowhere"], "not a folder"),
        (["list", "--to", "m"], "leave out --to"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_of_one_line(arguments, message, capsys):
    assert modules(*arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_a_mirror_that_is_no_folder_and_an_empty_machine_are_named(capsys):
    assert modules("list", "--modules", "nowhere") == 1
    assert "not a folder" in capsys.readouterr().err
    assert modules("export", "--to", "m") == 1
    assert "no module to export" in capsys.readouterr().err
    assert modules("list") == 0
    assert capsys.readouterr().out.startswith("52 more in the catalogue")
