"""What a vector means: which module made it, from which input, prepared how."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from index.errors import SpaceMismatch


class VectorSpace(BaseModel):
    """The space a variant's vectors live in; written with every vector, checked wherever one is read.

    Attributes:
        variant: the variant's name in this dataset.
        handle: where its module came from; a name for people, not part of the identity.
        fingerprint: sha256 over the module's files.
        signature: the module's function that was called.
        recipe: how pixels became model input.
        input_size: height and width of the model input, in pixels.
        num_features: width of a vector.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    handle: str
    fingerprint: str
    signature: str
    recipe: str
    input_size: tuple[int, int]
    num_features: int

    def difference(self, other: VectorSpace) -> tuple[str, object, object] | None:
        """The first fact that sets another space apart, and its value here and there.

        Names and handles may differ: the same weights from a mirror are the same space.
        """
        for fact in ("num_features", "input_size", "recipe", "signature", "fingerprint"):
            here, there = getattr(self, fact), getattr(other, fact)
            if here != there:
                return fact, here, there
        return None

    def require_same(self, query: VectorSpace) -> None:
        """Raise SpaceMismatch, with both values, unless `query` is the same space."""
        difference = self.difference(query)
        if difference:
            fact, stored, asked = difference
            raise SpaceMismatch(
                f"the stored vectors are of variant {self.variant!r} with {fact} {stored!r}, "
                f"the query is of variant {query.variant!r} with {fact} {asked!r}; "
                "prepare the query with the module and recipe of the stored vectors"
            )
