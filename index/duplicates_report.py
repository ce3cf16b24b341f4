"""Groups -> pages: thumbnails side by side, the most doubtful groups first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from index.duplicate_groups import Duplicate, DuplicateGroup
from index.duplicates_manifest import DuplicatesManifest
from index.html_report import PictureCard, PictureRow, Section, render_report

PAGE_GROUPS: Final = 100
MOST_PAGES: Final = 50
SHOWN_MEMBERS: Final = 24
PROOFS: Final = ("score", "pictures", "bytes")
NOTE: Final = (
    "The framed picture of each group is the one to keep. Under each other stands what it is, its "
    "cosine to the kept one, and how much of what both show agrees when they are laid on each other. "
    "Groups with the most doubtful member come first."
)

Thumbnail = Callable[[str], str | None]


def copy_facts(manifest: DuplicatesManifest) -> dict[str, str]:
    """What a search came to, by the names users see."""
    members, settings = manifest.members, manifest.settings
    kinds = ", ".join(
        f"{members.get(kind, 0):,} {kind}" for kind in ("exact", "near", "transformed")
    )
    how = "given" if settings.threshold is not None else f"for a precision of {settings.precision}"
    threshold = manifest.threshold
    looked = sum(manifest.looked_at.values())
    seen = ", ".join(
        f"{count:,} {verdict}" for verdict, count in sorted(manifest.looked_at.items())
    )
    by = "all comparisons" if manifest.join == "exact" else "an index"
    beside = sum(members.values())
    if threshold is None:
        decides = "no score decides"
    elif settings.threshold is None and manifest.strangers is None:
        decides = f"{threshold:.3f}: these pictures do not tell how alike strangers are"
    else:
        decides = f"{threshold:.3f}, {how}"
    facts = {
        "variant": manifest.space.variant,
        "pictures": f"{manifest.pictures:,}",
        "pairs": f"{manifest.pairs:,} alike, found by {by}",
        "looked at": f"{looked:,} pairs" + (f": {seen}" if seen else ""),
        "threshold": decides,
        "groups": f"{manifest.groups:,}, with {beside:,} pictures beside the kept ones: {kinds}",
        "kept": f"the {settings.keep} of each group",
        "proposed for removal": f"{manifest.removed:,} pictures; none was touched",
    }
    for reason, count in sorted(manifest.held_back.items()):
        facts.setdefault("not proposed", "")
        facts["not proposed"] += ("; " if facts["not proposed"] else "") + f"{count:,}: {reason}"
    if manifest.between:
        facts["between"] = " and ".join(manifest.between)
    return facts


def copy_figures(manifest: DuplicatesManifest) -> dict[str, object]:
    """The same for machines."""
    return {
        "variant": manifest.space.variant,
        "pictures": manifest.pictures,
        "pairs": manifest.pairs,
        "join": manifest.join,
        "looked_at": manifest.looked_at,
        "threshold": manifest.threshold,
        "groups": manifest.groups,
        "copies": manifest.members,
        "keep": manifest.settings.keep,
        "removed": manifest.removed,
        "held_back": manifest.held_back,
        "between": list(manifest.between),
    }


def shown_pictures(groups: Sequence[DuplicateGroup]) -> int:
    """How many pictures the pages show."""
    shown = _by_doubt(groups)[: PAGE_GROUPS * MOST_PAGES]
    return sum(1 + min(SHOWN_MEMBERS, len(group.duplicates)) for group in shown)


def duplicates_pages(
    title: str,
    groups: Sequence[DuplicateGroup],
    pictures: pa.Table,
    facts: Mapping[str, str],
    drawing: str,
    thumbnail: Thumbnail,
) -> Iterator[tuple[str, str]]:
    """The pages, self-contained but for links to each other: name and HTML.

    Args:
        title: of the pages.
        groups: whose members are rows of `pictures`.
        pictures: with `uri`.
        facts: for the first page.
        drawing: SVG of the scores, for the first page.
        thumbnail: a data: URI for the picture at a URI; None where it cannot be shown.
    """
    ordered = _by_doubt(groups)
    shown = ordered[: PAGE_GROUPS * MOST_PAGES]
    starts = range(0, max(len(shown), 1), PAGE_GROUPS)
    names = ["report.html", *(f"report-{number:03}.html" for number in range(2, len(starts) + 1))]
    for place, start in enumerate(starts):
        rows = [
            group_row(group, pictures, thumbnail) for group in shown[start : start + PAGE_GROUPS]
        ]
        note = NOTE
        if len(ordered) > len(rows):
            note += f" Groups {start + 1:,} to {start + len(rows):,} of {len(ordered):,}."
        if len(ordered) > len(shown):
            note += f" The first {len(shown):,} are shown; groups.parquet has all."
        sections = [
            Section("Groups" if groups else "No duplicates found", note if groups else "", rows)
        ]
        if place == 0 and drawing:
            about = "Each pair of pictures that was alike enough to be worth a look, by its score."
            sections.insert(0, Section("Scores", about, drawing=drawing))
        links = [
            (str(number), "" if name == names[place] else name)
            for number, name in enumerate(names, start=1)
        ]
        page = render_report(
            title, facts if place == 0 else {}, sections, links if len(names) > 1 else ()
        )
        yield names[place], page


def _by_doubt(groups: Sequence[DuplicateGroup]) -> list[DuplicateGroup]:
    return sorted(groups, key=lambda group: (min(map(_certainty, group.duplicates)), group.keep))


def _certainty(one: Duplicate) -> tuple[int, bool, float]:
    value = one.score if one.agreement is None else one.agreement
    return PROOFS.index(one.proof), one.is_direct, value


def group_row(
    group: DuplicateGroup,
    pictures: pa.Table,
    thumbnail: Thumbnail,
    shown: int = SHOWN_MEMBERS,
) -> PictureRow:
    """The pictures of a group side by side, the kept one first and at most `shown` others."""
    uris = pictures.column("uri")
    kept = uris[group.keep].as_py()
    cards = [PictureCard(kept, thumbnail(kept), "keep", "kept")]
    for duplicate in group.duplicates[:shown]:
        uri = uris[duplicate.picture].as_py()
        cards.append(PictureCard(uri, thumbnail(uri), _caption(duplicate), duplicate.kind))
    hidden = len(group.duplicates) - shown
    more = f" ({hidden} more in groups.parquet)" if hidden > 0 else ""
    return PictureRow(f"{len(group.duplicates) + 1} pictures{more}", cards)


def _caption(one: Duplicate) -> str:
    if one.kind == "exact":
        return "exact copy"
    words = [one.change or one.kind, f"{one.score:.3f}"]
    if one.agreement is not None:
        words.append(f"{one.agreement:.0%} agree")
    if one.proof == "score":
        words.append("by score only")
    if not one.is_direct:
        words.append("a copy of a copy")
    return ", ".join(words)
