"""What stands in an output before a run of embed: finished embeddings, attempts that were stopped."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from index.embedding_dataset import EmbeddingDataset
from index.errors import ArtifactDamaged, ArtifactError, OutputExists, OutputMissing, RunMismatch
from index.manifest import EmbeddingsManifest, RunRecord, VariantRecord, VariantSettings
from index.output_folder import ARTIFACTS, OutputFolder
from index.publishing import UNFINISHED
from transforms.attempt import Attempt
from transforms.computed_rows import ComputedRows
from transforms.elements import FileChunk, FileReference, Listing
from transforms.finished_work import ContentHashes, FinishedWork


@dataclass(frozen=True)
class EarlierWork:
    """What a run builds on.

    Attributes:
        output: of the run.
        published: finished embeddings whose rows may stay; None where there are none, or where they are
            to be replaced.
        attempts: that were stopped, the oldest first, and what they were to compute.
    """

    output: OutputFolder
    published: EmbeddingsManifest | None
    attempts: tuple[tuple[Attempt, Mapping[str, VariantSettings]], ...]

    @classmethod
    def find(cls, output: OutputFolder, *, keep: bool, replace: bool) -> EarlierWork:
        """Look into an output.

        Args:
            output: of the run.
            keep: whether the run is to build on finished embeddings.
            replace: whether it is to replace them.

        Raises:
            OutputExists: there are some and neither is so, or the folder is not one of ours.
        """
        manifest = _published(output)
        if manifest and not (keep or replace):
            raise OutputExists(
                f"{output.root} holds finished embeddings; pass --update to bring them up to date, "
                "--retry-failures to try again what failed, --overwrite to replace them, with the "
                "index and duplicates made from them, or choose another --output"
            )
        settings = ((attempt, attempt.settings()) for attempt in Attempt.earlier(output))
        attempts = tuple((attempt, known) for attempt, known in settings if known)
        return cls(output, manifest if keep else None, attempts)

    @property
    def settings(self) -> Mapping[str, VariantSettings]:
        """Of the rows that new ones will stand beside, by the variant's name."""
        attempted = self.attempts[-1][1] if self.attempts else {}
        return {**attempted, **self.held}

    @property
    def held(self) -> Mapping[str, VariantRecord]:
        """The finished embeddings, by the variant's name."""
        return self.published.variants if self.published else {}

    def without_others(self, asked: Mapping[str, VariantSettings]) -> EarlierWork:
        """The same without the rows of other modules, recipes or settings than those asked for.

        What attempts at such a run have computed is removed.
        """
        published = None if _difference(self.held, asked) else self.published
        attempts = self.attempts
        if any(_difference(stored, asked) for _, stored in attempts):
            self.output.delete(UNFINISHED)
            attempts = ()
        return dataclasses.replace(self, published=published, attempts=attempts)

    def require_same(self, asked: Mapping[str, VariantSettings]) -> None:
        """Raise RunMismatch where rows of other modules, recipes or settings would come together."""
        for name, settings in asked.items():
            if name in self.held and (other := self.held[name].difference(settings)):
                raise RunMismatch(
                    f"{self.output.root} holds embeddings of {_told(name, other)}; say the same as "
                    "before, or pass --overwrite to make all of them anew"
                )
            for held, record in self.held.items():
                for fact in ("vector_type", "precision"):  # each has one flag for all variants
                    stands, wanted = getattr(record, fact), getattr(settings, fact)
                    if name not in self.held and stands != wanted:
                        raise RunMismatch(
                            f"{self.output.root} holds embeddings of "
                            f"{_told(held, (fact, stands, wanted))}; all variants of an output "
                            "have the same"
                        )
        for _, stored in self.attempts:
            if difference := _difference(stored, asked):
                raise RunMismatch(
                    f"{self.output.root} holds an unfinished run of {difference}; run it again as it "
                    f"was to carry on, or remove {self.output.path(UNFINISHED)} to drop what it has "
                    "computed"
                )

    def compare(
        self,
        files: Sequence[FileReference],
        variants: Sequence[str],
        content_hashes: ContentHashes,
        *,
        retry: bool,
    ) -> FinishedWork:
        """What stands of all of it for these files.

        Args:
            files: in the order of their URIs, each once.
            variants: the names of those that the run computes.
            content_hashes: settles doubts.
            retry: whether to try again what the finished embeddings could not use.

        Raises:
            RunMismatch: rows of a variant would have to be computed that the run does not name.
        """
        work = FinishedWork(files, list(dict.fromkeys([*variants, *self.held])), content_hashes)
        published = [ComputedRows.of_output(self.output, self.published)] if self.published else []
        attempted = [ComputedRows.of_attempt(*attempt) for attempt in self.attempts]
        for source in (*published, *attempted):
            work.take_rows(source)
        for source in reversed(attempted):  # what was tried last is known best
            work.take_failures(source)
        for source in published:
            work.take_failures(source, retry=retry)
        for attempt, _ in self.attempts:
            for name in attempt.tasks():
                with contextlib.suppress(ArtifactError):  # damaged: computed again
                    work.take_task(name, attempt.read_task(name))
        for name, missing in work.missing().items():
            if name not in variants:
                raise RunMismatch(
                    f"{self.output.root} also holds {name}, and {missing} pictures that are listed "
                    f"have no row of it; name it too: --variants {','.join([*variants, name])}"
                )
        return work

    def last_run(self, chunks: Sequence[FileChunk], seconds: float) -> RunRecord | None:
        """The record of a run that computed these chunks; of the one before it where it read nothing."""
        pictures = sum(len(chunk.files) for chunk in chunks)
        if self.published and not pictures:
            return self.published.last_run
        names = dict.fromkeys(name for chunk in chunks for name in chunk.variants)
        return RunRecord(pictures=pictures, seconds=round(seconds, 3), variants=tuple(names))

    def only_dead_letters(self, listing: Listing) -> Listing:
        """The listing as it would be had nothing changed but the pictures that could not be used."""
        if self.published is None:
            raise OutputMissing(
                f"{self.output.root} holds no finished embeddings to try again from"
            )
        failures = ComputedRows.of_output(self.output, self.published).failures
        files = {one.uri: FileReference(one.uri, one.bytes, one.modified_s) for one in failures}
        failed = set(files)
        files |= {file.uri: file for file in self._stored_files()}
        files |= {file.uri: file for file in listing.files if file.uri in failed}
        unlistable = tuple(failure for failure in listing.failures if failure.uri in failed)
        for failure in unlistable:
            del files[failure.uri]
        return Listing(tuple(files.values()), unlistable)

    def with_unreachable(self, listing: Listing) -> Listing:
        """The listing, with what is known of folders that could not be listed: it may well be there."""
        below = tuple(f"{failure.uri}/" for failure in listing.failures)
        if not below:
            return listing
        listed = {file.uri for file in listing.files}
        lost = [file for file in self._stored_files() if file.uri.startswith(below)]
        kept = {file.uri: file for file in lost if file.uri not in listed}
        return Listing((*listing.files, *kept.values()), listing.failures)

    def _stored_files(self) -> Iterator[FileReference]:
        """The files that there are finished rows of, as they were."""
        for variant in self.held:
            table = EmbeddingDataset.open(self.output, variant).pictures()
            seconds = [
                None if time is None else time / 1_000_000
                for time in table.column("modified").cast("int64").to_pylist()
            ]
            columns = [table.column(name).to_pylist() for name in ("uri", "bytes", "content_hash")]
            for uri, size, content_hash, modified_s in zip(*columns, seconds, strict=True):
                yield FileReference(uri, size, modified_s, content_hash)


def _difference(
    stored: Mapping[str, VariantSettings], asked: Mapping[str, VariantSettings]
) -> str | None:
    """What sets an unfinished run apart from one that is asked for, with both values."""
    if set(stored) != set(asked):
        return f"{', '.join(stored)}, this one is of {', '.join(asked)}"
    for name, settings in asked.items():
        if other := stored[name].difference(settings):
            return _told(name, other)
    return None


def _told(name: str, difference: tuple[str, object, object]) -> str:
    fact, stored, asked = difference
    return f"variant {name!r} with {fact} {stored!r}, this run has {asked!r}"


def _published(output: OutputFolder) -> EmbeddingsManifest | None:
    """The manifest of finished embeddings; OutputExists where a folder is not ours to write to."""
    try:
        return EmbeddingsManifest.read(output)
    except OutputMissing:
        foreign = [name for name in ARTIFACTS if output.exists(name)]
        if foreign and not output.exists(UNFINISHED):
            raise OutputExists(
                f"{output.root} holds {', '.join(foreign)} but no manifest.json, so it is not an "
                "output of lookalike; choose another folder"
            ) from None
        return None
    except ArtifactDamaged as error:
        raise OutputExists(f"{error}; move {output.root} away, or choose another folder") from error
