"""Files that get a second name, or a new one: planned, noted down before each step, and taken back.

Nothing is ever overwritten, and no picture loses its last name.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TextIO, get_args

from index.errors import ArtifactDamaged, ArtifactError, InvalidInput, UsageError
from index.progress import UNSHOWN, Advance

How = Literal["link", "move"]
MEND: Final = "bring the embeddings up to date (embed --update), then run dedup again"


@dataclass(frozen=True)
class FileMove:
    """A file and its new name.

    Attributes:
        source: absolute path.
        target: absolute path.
        how: "link" gives the file a second name, "move" another one.
    """

    source: str
    target: str
    how: How


def plan_moves(
    paths: Sequence[str], folder: str, how: How, advance: Advance = UNSHOWN.advance
) -> list[FileMove]:
    """The new names of files below a folder: as they lie below the deepest folder that holds them all.

    Raises:
        UsageError: a file that is not on this machine, or that `folder` is in the way of.
        InvalidInput: a file that is gone, or on another filesystem, where it cannot be linked or moved.
    """
    target = os.path.abspath(os.path.expanduser(folder))
    remote = next((path for path in paths if "://" in path), None)
    if remote is not None:
        raise UsageError(f"{remote} is not on this machine: only local files are linked or moved")
    is_empty = os.path.isdir(target) and not any(files for _, _, files in os.walk(target))
    if os.path.lexists(target) and not is_empty:
        raise UsageError(f"{target} is there already; name a new folder")
    common = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else "/"
    if target == common or common.startswith(f"{target}/"):
        raise UsageError(f"{target} holds the pictures themselves; name a new folder")
    device = os.stat(_standing(target)).st_dev
    moves = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be reached: {error.strerror}; {MEND}") from error
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path} is no file any more; {MEND}")
        if how == "move" and os.path.islink(path):
            raise InvalidInput(f"{path} is a link to a file; a link can be linked, but not moved")
        if status.st_dev != device:
            raise InvalidInput(
                f"{path} is on another filesystem than {target}; name a folder on the same one"
            )
        moves.append(FileMove(path, os.path.join(target, os.path.relpath(path, common)), how))
        advance(1)
    return moves


def carry_out(moves: Sequence[FileMove], notes: TextIO, advance: Advance = UNSHOWN.advance) -> int:
    """Make the new names, each noted down before; how many.

    Raises:
        ArtifactError: a step that cannot be made; those before it stand.
    """
    for done, move in enumerate(moves):
        try:
            _carry_out(move, notes)
            advance(1)
        except OSError as error:
            raise ArtifactError(
                f"stopped after {done:,} of {len(moves):,}: {move.target}: {error.strerror or error}"
            ) from error
    return len(moves)


def _carry_out(move: FileMove, notes: TextIO) -> None:
    notes.write(json.dumps(asdict(move)) + "\n")
    notes.flush()
    Path(move.target).parent.mkdir(parents=True, exist_ok=True)
    os.link(os.path.realpath(move.source), move.target)  # which refuses a name that is taken
    if move.how == "move":
        os.unlink(move.source)


def read_notes(text: str) -> list[FileMove]:
    """The moves that were noted down.

    Raises:
        ArtifactDamaged: a line that is no move; the last may be cut short.
    """
    moves = []
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            move = FileMove(**json.loads(line))
            names = (move.source, move.target)
            if move.how not in get_args(How) or not all(isinstance(one, str) for one in names):
                raise ValueError(f"it has {asdict(move)}")
            moves.append(move)
        except (ValueError, TypeError) as error:
            raise ArtifactDamaged(f"line {number} of the undo file is no move: {error}") from error
    return moves


def take_back(moves: Sequence[FileMove]) -> Iterator[tuple[FileMove, str]]:
    """Undo moves, the last first; what cannot be undone stays as it is, with the reason.

    Yields:
        Each move with "" where it is undone, else why not.
    """
    for move in reversed(moves):
        yield move, _take_back(move)


def _take_back(move: FileMove) -> str:
    if not os.path.lexists(move.target):
        return "" if os.path.lexists(move.source) else "both names are gone"
    try:
        if not os.path.lexists(move.source):
            if move.how == "link":
                return "its first name is gone; the link is its last one"
            os.makedirs(os.path.dirname(move.source), exist_ok=True)
            os.link(move.target, move.source)
        if not os.path.samefile(move.source, move.target):
            return "another file has one of its names"
        if _is_one_name(move.source, move.target):
            return "its first name is a link to it; it is the last one"
        os.unlink(move.target)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _is_one_name(source: str, target: str) -> bool:
    """Whether two paths of a file lead over one name, so that it would be gone with the other."""
    status = os.stat(target)
    return status.st_nlink < 2 or os.path.realpath(source) == os.path.realpath(target)


def _standing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
