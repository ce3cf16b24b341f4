"""Every command and example of the README runs as it stands there."""

import re
import shlex
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from pipelines.command_line import JOBS, main
from tests.authored_modules import save_tf2_module
from tests.conftest import picture
from tests.service import running_service

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"^\$ lookalike (.+)$", README, re.MULTILINE)
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_command_runs_in_the_order_it_is_shown(tmp_path, monkeypatch, capsys):
    mirror = tmp_path / "modules"
    save_tf2_module(mirror / "mobilenet_v2_100_224/feature_vector", 224, 1280)
    save_tf2_module(mirror / "mobilenet_v2_035_96/feature_vector", 96, 1280)
    monkeypatch.setenv("LOOKALIKE_MODULES", str(mirror))
    monkeypatch.chdir(tmp_path)
    Path("photos/more").mkdir(parents=True)
    for seed in range(8):
        Path(f"photos/{'more/' if seed % 2 else ''}{seed:02}.jpg").write_bytes(picture(seed))
    Path("query.jpg").write_bytes(picture(3))
    np.save("query.npy", np.random.default_rng(0).random(1280, np.float32))
    for command in COMMANDS:
        name, *flags = shlex.split(command)
        if name == "serve":
            with running_service(Path(flags[0]).absolute(), *flags[1:]) as (address, process):
                assert urlopen(f"{address}/healthz").status == 200
                process.terminate()
                assert process.wait(60) == 0
        else:
            assert main([name, *flags]) == 0, command
    assert len(EXAMPLES) == 1
    exec(compile(EXAMPLES[0], "README.md", "exec"), {})
    assert "(8, 1280)" in capsys.readouterr().out


def test_every_sub_command_is_in_the_readme():
    assert {shlex.split(command)[0] for command in COMMANDS} == set(JOBS)
