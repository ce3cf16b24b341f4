"""JOB all of it, on pictures drawn on the spot and a module built on the spot.

lookalike demo
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from index.errors import LookalikeError, OutputExists
from pipelines.job import JobReport, flag

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
class RunDemo:
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
        print("Drawing pictures and building a module ...", flush=True)
        drawn = draw_pictures(folder / "pictures")
        save_untrained_module(folder / "module", _calibration_inputs(drawn))

        out = str(folder / "out")
        again = ["--overwrite"] if self.overwrite else []
        variant = ["--variant", VARIANT]
        scene = str(drawn.folder / next(iter(drawn.planted)))
        page = str(folder / "neighbors.html")
        _run("embed", str(drawn.folder), "--variants", f"{VARIANT}={folder / 'module'}",
             "--output", out, *again)  # fmt: skip
        _run("index", out, *variant)
        _run("search", out, *variant, "--image", scene, "-k", "5", "--report", page)
        _run("dedup", out, *variant, "--threshold", str(THRESHOLD))
        found = check_planted(Path(out), drawn)
        print(PLAIN_WORDS)
        return JobReport(
            {
                "planted copies found": found,
                "neighbors": page,
                "report": f"{out}/duplicates/variant={VARIANT}/report.html",
            }
        )


def check_planted(out: Path, drawn: DrawnPictures) -> str:
    """How many planted copies stand in the group of their scene; LookalikeError where one does not.

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
    return f"all {copies} copies of {len(expected)} scenes, and no other picture"


def _calibration_inputs(drawn: DrawnPictures) -> NDArray[np.float32]:
    import numpy as np

    from pipelines.demo_module import INPUT_SIZE
    from transforms.pixels import prepare_picture

    scenes = sorted(drawn.folder.glob("scene_*"))[:CALIBRATION_PICTURES]
    return np.stack(
        [prepare_picture(scene.read_bytes(), [INPUT_SIZE]).inputs[INPUT_SIZE] for scene in scenes]
    )


def _run(*arguments: str) -> None:
    """Show a command as a user would type it, and run it."""
    from pipelines.command_line import main

    print(f"\n$ lookalike {shlex.join(arguments)}", flush=True)
    sys.stdout.flush()
    code = main(arguments)
    if code != 0:
        raise LookalikeError(f"the demo stopped: `lookalike {arguments[0]}` ended with {code}")
