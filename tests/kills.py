"""SIGKILLs at random moments of a run, the same command after each; then rows and vectors are compared.

python -m tests.kills photos --variants mobilenet_v2_100_224 --modules modules --kills 30
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from index.embedding_dataset import EmbeddingDataset
from index.manifest import EmbeddingsManifest
from index.output_folder import OutputFolder
from transforms.chunk_embedder import TASK_PICTURES
from transforms.embedding_plan import CHUNK_FILES


@dataclass
class Command:
    """A run of embed in a process of its own; `decoded` grows by a byte a decoded picture."""

    decoded: Path
    arguments: list[str]

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        how = [str(self.decoded), "listing", "0", str(CHUNK_FILES), str(TASK_PICTURES)]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.killed_run", *how, *self.arguments, "--output", str(out)],
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pictures_decoded(self) -> int:
        return self.decoded.stat().st_size if self.decoded.exists() else 0


Row = tuple[str, str, bytes]


def rows(out: Path) -> list[Row]:
    """The variant, URI and vector of every row, in order."""
    found = []
    for variant in EmbeddingsManifest.read(OutputFolder.at(out)).variants:
        for batch in EmbeddingDataset.open(str(out), variant).batches():
            uris = batch.pictures.column("uri").to_pylist()
            found += [
                (variant, uri, vector.tobytes())
                for uri, vector in zip(uris, batch.vectors, strict=True)
            ]
    return sorted(found)


def main() -> None:
    """Kill, carry on, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pictures")
    parser.add_argument("--variants", required=True)
    parser.add_argument("--modules")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked, flags = parser.parse_known_args()
    rng = random.Random(asked.seed)
    modules = ["--modules", os.path.abspath(asked.modules)] if asked.modules else []
    arguments = ["embed", os.path.abspath(asked.pictures), "--variants", asked.variants]
    arguments += [*modules, "--max-failure-rate", "1", *flags]
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        undisturbed = Command(place / "undisturbed.decoded", arguments)
        started = time.monotonic()
        clean = undisturbed.start(place / "undisturbed")
        while clean.poll() is None and not undisturbed.pictures_decoded:
            time.sleep(0.02)
        first_s = time.monotonic() - started
        assert clean.wait() == 0
        work_s = time.monotonic() - started - first_s
        expected, decoded = rows(place / "undisturbed"), undisturbed.pictures_decoded

        killed = Command(place / "killed.decoded", arguments)
        kills, runs, lost, doubled, other = 0, 0, 0, 0, 0
        out = place / "killed"
        while kills < asked.kills or out.exists():
            process = killed.start(out)
            try:
                moment = rng.uniform(0, first_s + 2 * work_s / asked.kills)
                process.wait(moment if kills < asked.kills else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                continue
            assert process.returncode == 0, "a run that was carried on did not end well"
            found = rows(out)
            lost += len(set(expected) - set(found))
            other += len(set(found) - set(expected))
            doubled += len(found) - len(set(found))
            runs += 1
            shutil.rmtree(out)
        ratio = killed.pictures_decoded / (decoded * runs)
    print(
        f"seed {asked.seed}: {kills} kills in {runs} runs over {decoded:,} pictures; {lost} rows lost, "
        f"{doubled} doubled, {other} other than undisturbed; decoded {ratio:.2f} times"
    )


if __name__ == "__main__":
    main()
