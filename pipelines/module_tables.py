"""Modules that are held, brought or checked -> rows and lines for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from transforms.held_modules import HeldModule
    from transforms.module_mirror import MirroredModule

SHOWN: Final = 20  # findings of one mirror; JSON has all
HELD_HEADING: Final = ("NAME", "FOUND", "FORMAT", "SIZE", "FINGERPRINT", "PLACE")


def held_row(held: HeldModule) -> tuple[str, ...]:
    """A row of the table under HELD_HEADING."""
    if held.module is None:
        return printable(held.variant.name), held.found, "broken", "", "", printable(held.place)
    kind = "TF1 hub" if held.module.format == "hub" else "TF2"
    prefix = held.module.fingerprint[:12]
    name, place = printable(held.variant.name), printable(held.place)
    return name, held.found, kind, shown_size(held.size), prefix, place


def held_facts(held: HeldModule) -> dict[str, Any]:
    """The same for machines, and more."""
    return {
        "name": held.variant.name,
        "handle": held.variant.handle,
        "held": held.module is not None,
        "found": held.found,
        "place": str(held.place),
        "format": held.module and held.module.format,
        "bytes": held.size,
        "fingerprint": held.module and held.module.fingerprint,
        "broken": held.trouble,
    }


def mirrored_facts(module: MirroredModule, how: str) -> dict[str, Any]:
    """A module that was put into a mirror, for machines."""
    return {
        "name": module.variant,
        "handle": module.handle,
        "how": how,
        "path": module.path,
        "bytes": module.size,
        "fingerprint": module.fingerprint,
        "source": module.source,
        "obtained": module.obtained.isoformat(),
    }


def check_lines(result: Mapping[str, Any]) -> list[str]:
    """What a check of a mirror came to, for people."""
    place, findings, names = printable(result["mirror"]), result["findings"], result["modules"]
    if not result["verified"]:
        shown = ", ".join(map(printable, names)) or "no module that is known"
        lines = [f"{place} holds {shown}; it has no modules.json, so nothing can be verified"]
        if names:
            lines.append(f"`lookalike modules pull NAMES --to {place}` lists what stands there now")
        return lines
    lines = [f"{one['trouble']}: {printable(one['file'])}" for one in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN:,} more; --json gives all")
    trouble = f"{len(findings):,} files are not" if findings else "all files are"
    size = shown_size(result["bytes"])
    lines.append(f"{place}: {len(names):,} modules, {size}; {trouble} as modules.json says")
    if any(one["trouble"] != "not listed" for one in findings):
        lines.append(
            f"`lookalike modules pull NAMES --to {place}` repairs what is missing or changed"
        )
    return lines


def printable(name: str | Path) -> str:
    """A name in whatever bytes, as any terminal takes it.

    >>> printable("a\\udcff")
    'a\\\\udcff'
    """
    return str(name).encode(errors="backslashreplace").decode()


def shown_size(count: int) -> str:
    """Bytes, for people.

    >>> shown_size(9_412_345)
    '9.4 MB'
    """
    if count < 1e6:
        return f"{count / 1e3:,.1f} kB"
    return f"{count / 1e6:,.1f} MB"
