"""Failures -> a section of a page: every reason with its count, and some pictures of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from index.html_report import LineList, PictureCard, PictureRow, Section
from index.output_folder import FAILURES

if TYPE_CHECKING:
    from transforms.elements import Failure

SAMPLES: Final = 5  # of each reason
REASONS: Final = 20  # that are shown with samples; the table has all
MESSAGE: Final = 300  # characters

Thumbnails = Callable[[Sequence[str]], dict[str, str | None]]


def failure_section(failures: Sequence[Failure], thumbnails: Thumbnails) -> Section:
    """The section; what of the samples can be shown all the same is shown.

    Args:
        failures: of a run, several of one picture where it failed for several variants.
        thumbnails: data: URIs for pictures by their URIs, None where one cannot be shown.
    """
    heading = "Failures"
    if not failures:
        return Section(heading, "Every picture could be used.")
    samples: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    uris: dict[tuple[str, str], str] = {}
    for failure in failures:
        reason = failure.error, failure.stage
        if uris.get(reason) == failure.uri:
            continue  # the same picture, for another variant; they stand in the order of their URIs
        uris[reason] = failure.uri
        counts[reason] += 1
        if len(samples[reason]) < SAMPLES:
            samples[reason].append(failure)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    table = [("reason", "at the stage", "pictures")]
    table += [(error, stage, f"{count:,}") for (error, stage), count in ranked]
    chosen = [(reason, count, samples[reason]) for reason, count in ranked[:REASONS]]
    shown = thumbnails([one.uri for *_, several in chosen for one in several])
    lists, cards = [], []
    for (error, stage), count, several in chosen:
        more = f", {len(several)} of them" if count > len(several) else ""
        pictures = "1 picture" if count == 1 else f"{count:,} pictures"
        lines = [(one.uri, _message(one)) for one in several]
        lists.append(LineList(f"{error}, at {stage}: {pictures}{more}", lines))
        cards += [
            PictureCard(one.uri, shown[one.uri], error) for one in several if shown.get(one.uri)
        ]
    note = (
        "Pictures that have no vector, by the reason. All of them stand, a line each, in "
        f"{FAILURES}/ of the output."
    )
    rows = [PictureRow("Of these, what can be shown", cards)] if cards else ()
    return Section(heading, note, rows, table=table, lists=lists)


def _message(failure: Failure) -> str:
    text = failure.message
    text = text if len(text) <= MESSAGE else text[: MESSAGE - 1] + "…"
    return f"{text} (variant {failure.variant})" if failure.variant else text
