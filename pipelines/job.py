"""What every job is: fields are flags, run() returns a JobReport."""

from __future__ import annotations

import dataclasses
import math
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TOO_MANY_FAILURES: Final = 3
COPIES_FOUND: Final = 4
MOST_THREADS: Final = 1024
MOST_PORT: Final = 65_535


@dataclass(frozen=True)
class JobReport:
    """What a job came to.

    Attributes:
        facts: what to tell the user, by its name.
        exit_code: 0 done, 3 finished but over the failure rate, 4 copies found where none should be.
        figures: the same for machines: numbers as numbers, what is not there as None.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = DONE
    figures: Mapping[str, object] = field(default_factory=dict)


class Job(Protocol):
    """A dataclass whose fields, made by `flag`, are the flags of a sub-command."""

    def run(self) -> JobReport:
        """Do the work; raise LookalikeError for what the user can mend."""
        ...


@dataclass(frozen=True)
class Flag:
    """How a field of a job appears on the command line.

    Attributes:
        help: one line.
        positional: given by its place rather than its name.
        many: takes one or more values.
        short: a one-letter name, such as "-k".
        metavar: what the value is called in the help.
        choices: the values it can have.
        parse: text -> value.
    """

    help: str
    positional: bool = False
    many: bool = False
    short: str | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    parse: Callable[[str], Any] = str


def flag(help: str, *, default: Any = dataclasses.MISSING, **how: Any) -> Any:
    """A field of a job that is a flag; see Flag for `how`. Without a default it must be given."""
    return field(default=default, metadata={"flag": Flag(help, **how)})


def flags_of(job: type) -> dict[str, tuple[dataclasses.Field[Any], Flag]]:
    """The flags of a job's class, by the names of its fields."""
    fields = dataclasses.fields(job)
    return {one.name: (one, one.metadata["flag"]) for one in fields if "flag" in one.metadata}


def fraction(text: str) -> float:
    """A number from 0 to 1.

    >>> fraction("0.05")
    0.05
    """
    value = _number(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} must be a number from 0 to 1")
    return value


def above_zero(text: str) -> float:
    """A number above 0 and at most 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise ArgumentTypeError(f"{text!r} must be a number above 0 and at most 1")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def thread_count(text: str) -> int:
    """A whole number from 1 to MOST_THREADS."""
    value = positive(text)
    if value > MOST_THREADS:
        raise ArgumentTypeError(f"{text!r} must be at most {MOST_THREADS}")
    return value


def port_number(text: str) -> int:
    """A TCP port, from 0 to 65,535."""
    if not text.isdecimal() or int(text) > MOST_PORT:
        raise ArgumentTypeError(f"{text!r} must be a port, from 0 to {MOST_PORT}")
    return int(text)


def memory_size(text: str) -> int:
    """Bytes, from a number with a unit: B, KB, MB, GB or TB, in powers of 1024.

    >>> memory_size("1.5GB")
    1610612736
    """
    units = {"TB": 1 << 40, "GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10, "B": 1}
    upper = text.strip().upper().replace("IB", "B")
    for unit, factor in units.items():
        if upper.endswith(unit):
            value = _number(upper.removesuffix(unit)) * factor
            if 1 <= value < 1 << 60:
                return int(value)
            break
    raise ArgumentTypeError(f"{text!r} must be a size with its unit, such as 500MB or 4GB")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # in no range
