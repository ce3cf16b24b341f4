"""A manifest of embeddings, and what a run found changed -> what to tell people, and machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from index.manifest import EmbeddingsManifest
from index.output_folder import FAILURES, OutputFolder

COMPUTED_BEFORE: Final = "computed before"


def embedding_facts(
    manifest: EmbeddingsManifest,
    found: Mapping[str, str],
    changes: Mapping[str, int],
    output: OutputFolder,
) -> dict[str, str]:
    """What stands, by the names users see.

    Args:
        manifest: of the embeddings.
        found: where the module of each variant was found, of those that ran.
        changes: counts of pictures by what became of them, where the run did not begin with nothing.
        output: where they are.
    """
    facts = {"pictures": f"{manifest.pictures:,}"}
    for name, count in changes.items():
        facts[name] = f"{count:,} of them" if name == COMPUTED_BEFORE else f"{count:,}"
    for name, record in manifest.variants.items():
        where = f"; module from the {found[name]}" if name in found else ""
        facts[name] = (
            f"{record.rows:,} rows of width {record.space.num_features}{where}, "
            f"run by {record.engine} in {record.precision}"
        )
    facts["failures"] = f"{manifest.failures:,} ({manifest.failures / manifest.pictures:.2%})"
    if manifest.failures:
        facts["failures"] += f", each with its reason in {output.path(FAILURES)}"
    facts["output"] = output.root
    return facts


def embedding_figures(
    manifest: EmbeddingsManifest,
    found: Mapping[str, str],
    changes: Mapping[str, int],
    output: OutputFolder,
) -> dict[str, object]:
    """The same for machines."""
    variants = {
        name: {
            "rows": record.rows,
            "width": record.space.num_features,
            "engine": record.engine,
            "precision": record.precision,
            "vector_type": record.vector_type,
            "module_found": found.get(name),
        }
        for name, record in manifest.variants.items()
    }
    return {
        "pictures": manifest.pictures,
        **{name.replace(" ", "_"): count for name, count in changes.items()},
        "failures": manifest.failures,
        "failure_rate": manifest.failures / manifest.pictures,
        "variants": variants,
        "output": output.root,
    }
