"""JOB all of it, on pictures drawn on the spot and a module built on the spot.

lookalike demo
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from index.errors import LookalikeError, OutputExists
from pipelines.job import JobReport, flag
from pipelines.progress_flags import ProgressFlags

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.demo_pictures import DrawnPictures

VARIANT: Final = "untrained"
THRESHOLD: Final = 0.955  # copies drawn here score 0.97 and more, different scenes 0.934 at most
CALIBRATION_PICTURES: Final = 64

PLAIN_WORDS: Final = """
The module of this demo has random, untrained weights: it sees that copies are alike, and nothing
more. On your own pictures use a trained module, from the network:

    lookalike embed 'photos/**/*.jpg' --variants mobilenet_v2_100_224 --output out

or, without a network, from a folder with the module in it:

    lookalike embed 'photos/**/*.jpg' --variants my_module=path/to/module --output out
"""


@dataclass(frozen=True)
class RunDemo(ProgressFlags):
    """Draw pictures, build an untrained module, and run every step on them, offline."""

    output: str = flag("the folder to make", default="demo-output", metavar="OUT")
    overwrite: bool = flag("replace a demo made before", default=False)

    def run(self) -> JobReport:
        """Run the commands a user would type, and check that the planted copies were found."""
        from pipelines.demo_module import save_untrained_module
        from pipelines.demo_pictures import draw_pictures

        folder = Path(self.output).absolute()
        if folder.exists() and not self.overwrite:
            raise OutputExists(f"{folder} is there already; pass --overwrite to replace the demo")
        self._say("Drawing pictures and building a module ...")
        with self.show_progress() as progress:
            with progress.step("drawing pictures"):
                drawn = draw_pictures(folder / "pictures")
            with progress.step("building a module"):
                save_untrained_module(folder / "module", _calibration_inputs(drawn))

        out = str(folder / "out")
        again = ["--overwrite"] if self.overwrite else []
        variant = ["--variant", VARIANT]
        scene = str(drawn.folder / next(iter(drawn.planted)))
        page = str(folder / "neighbors.html")
        commands = {
            "embed": [
                *("embed", str(drawn.folder), "--variants", f"{VARIANT}={folder / 'module'}"),
                *("--output", out, *again),
            ],
            "index": ["index", out, *variant],
            "search": ["search", out, *variant, "--image", scene, "-k", "5", "--report", page],
            "dedup": ["dedup", out, *variant, "--threshold", str(THRESHOLD)],
        }
        results = {name: self._run(command) for name, command in commands.items()}
        copies, scenes = check_planted(Path(out), drawn)
        self._say(PLAIN_WORDS)
        places = {
            "neighbors": page,
            "report": f"{out}/duplicates/variant={VARIANT}/report.html",
        }
        found = f"all {copies} copies of {scenes} scenes, and no other picture"
        return JobReport(
            {"planted copies found": found, **places},
            figures={"planted_copies_found": copies, "scenes": scenes, **places, **results},
        )

    def _say(self, text: str) -> None:
        if not (self.quiet or self.json):
            print(text, flush=True)

    def _run(self, command: list[str]) -> object:
        """Show a command as a user would type it, and run it; what it gave, where machines want it."""
        from pipelines.command_line import main

        self._say(f"\n$ lookalike {shlex.join(command)}")
        if self.json:
            command = [*command, "--json"]
        is_search = command[0] == "search"
        if self.quiet and not is_search:  # which takes no time
            command = [*command, "--quiet"]
        if not (self.quiet or self.json):
            _require_done(command, main(command))
            return None
        kept_back = (
            contextlib.redirect_stderr(io.StringIO()) if is_search else contextlib.nullcontext()
        )
        with contextlib.redirect_stdout(io.StringIO()) as said, kept_back:
            code = main(command)
        given = [json.loads(line) for line in said.getvalue().splitlines()] if self.json else []
        reason = given[0]["error"]["message"] if code and given and "error" in given[0] else ""
        _require_done(command, code, reason)
        return given if is_search else next(iter(given), None)


def check_planted(out: Path, drawn: DrawnPictures) -> tuple[int, int]:
    """How many planted copies stand in the group of their scene, and of how many scenes.

    LookalikeError where one does not.

    A group that holds anything else is as wrong as a copy that is missing.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(out / f"duplicates/variant={VARIANT}/groups.parquet", partitioning=None)
    groups: dict[int, set[str]] = {}
    for row in table.select(["group", "uri"]).to_pylist():
        groups.setdefault(row["group"], set()).add(Path(row["uri"]).name)
    expected = [{scene, *copies} for scene, copies in drawn.planted.items()]
    missed = [sorted(group) for group in expected if group not in groups.values()]
    extra = [sorted(group) for group in groups.values() if group not in expected]
    if missed or extra:
        raise LookalikeError(f"the demo went wrong: missed {missed}, wrongly grouped {extra}")
    copies = sum(len(copies) for copies in drawn.planted.values())
    return copies, len(expected)


def _calibration_inputs(drawn: DrawnPictures) -> NDArray[np.float32]:
    import numpy as np

    from pipelines.demo_module import INPUT_SIZE
    from transforms.pixels import prepare_picture

    scenes = sorted(drawn.folder.glob("scene_*"))[:CALIBRATION_PICTURES]
    return np.stack(
        [prepare_picture(scene.read_bytes(), [INPUT_SIZE]).inputs[INPUT_SIZE] for scene in scenes]
    )


def _require_done(command: list[str], code: int, reason: str = "") -> None:
    if code != 0:
        ended = f"`lookalike {command[0]}` ended with {code}{f': {reason}' if reason else ''}"
        raise LookalikeError(f"the demo stopped: {ended}")
