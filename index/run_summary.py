"""The manifest of embeddings -> what ran, with what, and how fast, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from index.html_report import LineList, Section
from index.manifest import EmbeddingsManifest, RunRecord, VariantRecord

SHOWN_INPUTS: Final = 6


def run_facts(manifest: EmbeddingsManifest) -> dict[str, str]:
    """What ran, by the names users see."""
    inputs = list(manifest.inputs[:SHOWN_INPUTS])
    more = len(manifest.inputs) - len(inputs)
    if more:
        inputs.append(f"and {more:,} more")
    return {
        "pictures from": ", ".join(inputs),
        "could not be used": _failed_text(manifest),
        "finished": f"{manifest.created:%Y-%m-%d %H:%M} UTC",
        "versions": ", ".join(
            f"{name} {version}"
            for name, version in manifest.versions.items()
            if version != "not installed"
        ),
    }


def _failed_text(manifest: EmbeddingsManifest) -> str:
    if not manifest.failures:
        return f"none of {manifest.pictures:,} pictures"
    share = manifest.failures / manifest.pictures
    told = f"{share:.2%}" if share >= 0.0001 else "less than 0.01%"
    return f"{manifest.failures:,} of {manifest.pictures:,} pictures ({told})"


def modules_section(variants: Sequence[VariantRecord]) -> Section:
    """Which modules made the vectors, and how."""
    heading = ("variant", "rows", "width", "input", "engine", "stored as", "agrees with TensorFlow")
    table = [heading, *(_table_row(record) for record in variants)]
    lines = [
        (
            record.space.variant,
            f"{record.space.handle}; signature {record.space.signature}, recipe "
            f"{record.space.recipe}, sha256 of the weights {record.space.fingerprint}",
        )
        for record in variants
    ]
    note = (
        "A row is the vector of one picture. Vectors of other weights, another signature or another "
        "recipe are never mixed with them."
    )
    return Section("Modules", note, table=table, lists=[LineList("What they are", lines)])


def _table_row(record: VariantRecord) -> tuple[str, ...]:
    check = "it is TensorFlow" if record.engine == "tensorflow" else "not told"
    if record.worst_cosine is not None:
        # Rounded down: what is less than 1 is not told as 1.
        check = f"worst cosine {int(record.worst_cosine * 1e6) / 1e6:.6f}"
    return (
        record.space.variant,
        f"{record.rows:,}",
        f"{record.space.num_features:,}",
        " x ".join(map(str, record.space.input_size)),
        f"{record.engine}, {record.precision}",
        record.vector_type,
        check,
    )


def throughput_section(manifest: EmbeddingsManifest) -> Section:
    """How fast the last run was, and what it was a run over."""
    heading, run = "Throughput", manifest.last_run
    if run is None:
        note = "The version of lookalike that wrote this output did not tell how long it took."
        return Section(heading, note)
    if not run.pictures:
        note = "The last run read no pictures: all was computed by runs that were stopped before."
        return Section(heading, note)
    note = (
        f"The last run read {run.pictures:,} pictures in {_seconds(run.seconds)}, for "
        + ("all variants." if len(run.variants) > 1 else f"{''.join(run.variants)}.")
        + " The start of the workers is in that, listing and converting modules is not."
    )
    if run.pictures < manifest.pictures:
        others = manifest.pictures - run.pictures
        note += f" The other {others:,} were computed, or found to be unusable, by runs before it."
    return Section(heading, note, facts={"pictures a second": rate_text(run)})


def rate_text(run: RunRecord) -> str:
    """Pictures a second, to about three digits.

    >>> rate_text(RunRecord(pictures=500, seconds=6.1, variants=("v",)))
    '82'
    """
    if run.seconds <= 0:
        return "too few to tell"
    rate = run.pictures / run.seconds
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
