"""JOB the catalogue -> a table, or JSON.

lookalike variants
lookalike variants --json
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from pipelines.job import JobReport, flag
from pipelines.text_table import text_table


@dataclass(frozen=True)
class ListVariants:
    """List the modules that lookalike knows by name."""

    json: bool = flag("for machines: one JSON array", default=False)

    def run(self) -> JobReport:
        """Print the catalogue."""
        from transforms.variants import VARIANTS

        if self.json:
            rows = [dataclasses.asdict(variant) for variant in VARIANTS.values()]
            print(json.dumps(rows, indent=2))
            return JobReport()
        heading = ("NAME", "SIZE", "WIDTH", "OUTPUT", "FORMAT", "HANDLE")
        lines = [heading] + [
            (
                variant.name,
                "x".join(map(str, variant.input_size or ())),
                str(variant.output_width),
                variant.output or "",
                "TF1 hub" if variant.format == "hub" else "TF2",
                variant.handle,
            )
            for variant in VARIANTS.values()
        ]
        print("\n".join(text_table(lines)))
        return JobReport()
