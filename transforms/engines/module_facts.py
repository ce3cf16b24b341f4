"""What loading a module says of it, and the variant and the space that follow."""

from __future__ import annotations

import dataclasses

from pydantic import BaseModel, ConfigDict

from index.errors import ModuleMismatch
from transforms.module_store import ModuleFolder
from transforms.variants import Output, Variant


class ModuleFacts(BaseModel):
    """What a loaded module says of itself.

    Attributes:
        signature: the function that is called.
        input_size: height and width that it takes.
        output: feature vectors or logits.
        width: of what it gives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signature: str
    input_size: tuple[int, int]
    output: Output
    width: int


def complete_variant(module: ModuleFolder, facts: ModuleFacts) -> Variant:
    """The variant with what the module says filled in; ModuleMismatch where the two disagree."""
    variant = module.variant
    for what, expected, found in (
        ("input size", variant.input_size, facts.input_size),
        ("output width", variant.output_width, facts.width),
    ):
        if expected is not None and expected != found:
            raise ModuleMismatch(
                f"the module found for variant {variant.name!r} at {module.path} has {what} {found}, "
                f"the catalogue says {expected}; it is another module"
            )
    output = variant.output or facts.output
    return dataclasses.replace(
        variant,
        output=output,
        input_size=facts.input_size,
        num_features=facts.width if output == "feature_vector" else variant.num_features,
        num_classes=facts.width if output == "logits" else None,
        format=module.format,
    )
