"""JOB modules -> a list of those held, a mirror of them, its check, or an archive of it.

lookalike modules list
lookalike modules pull mobilenet_v2_100_224 --to mirror
lookalike modules check mirror
lookalike modules export mobilenet_v2_100_224 --to modules.tar.gz
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import LookalikeError, UsageError
from pipelines.job import DONE, FAILED, JobReport, flag
from pipelines.module_flags import modules_flag
from pipelines.module_tables import (
    HELD_HEADING,
    check_lines,
    held_facts,
    held_row,
    mirrored_facts,
    printable,
    shown_size,
)
from pipelines.progress_flags import ProgressFlags
from pipelines.text_table import text_table

if TYPE_CHECKING:
    from index.progress import Progress
    from transforms.module_store import ModuleStore
    from transforms.variants import Variant


@dataclass(frozen=True)
class ManageModules(ProgressFlags):
    """See, fetch, check and carry the modules that compute the vectors.

    list [NAMES]             what this machine holds, and where
    pull NAMES --to DIR      have a mirror hold modules: copied from this machine, or else fetched;
                             the same command carries on where it was stopped
    check [DIR]              compare every file of a mirror with its modules.json; 1 if any differs
    export [NAMES] --to X    modules that this machine holds (all of them, if none is named) into a
                             mirror, or into one archive of a mirror if X ends in .tar, .tar.gz or .tgz

    Any command that runs modules finds those of a mirror with --modules DIR.
    """

    action: str = flag(
        "what to do",
        positional=True,
        choices=("list", "pull", "check", "export"),
    )
    names: tuple[str, ...] = flag(
        "variants, as --variants takes them; for check, folders",
        positional=True,
        many=True,
        default=(),
        metavar="NAME",
    )
    to: str | None = flag("the mirror, or archive, to write to", default=None, metavar="X")
    modules: str | None = modules_flag()

    def run(self) -> JobReport:
        """Do what `action` says."""
        actions: dict[str, Callable[[], JobReport]] = {
            "list": self._list,
            "pull": self._pull,
            "check": self._check,
            "export": self._export,
        }
        if self.to is not None and self.action in ("list", "check"):
            raise UsageError(f"modules {self.action} writes nothing; leave out --to {self.to}")
        return actions[self.action]()

    def _list(self) -> JobReport:
        from transforms.held_modules import held_module, held_modules
        from transforms.variants import VARIANTS

        store = self._store()
        if self.names:
            asked = self._variants(store)
            held = [one for variant in asked if (one := held_module(store, variant)) is not None]
        else:
            asked = tuple(VARIANTS.values())
            held = held_modules(store)
        names = {one.variant.name for one in held}
        others = [variant for variant in asked if variant.name not in names]
        absent = [{"name": one.name, "handle": one.handle, "held": False} for one in others]
        report = JobReport(figures={"modules": [*map(held_facts, held), *absent]})
        if self.json or self.quiet:
            return report
        if held:
            print("\n".join(text_table([HELD_HEADING, *map(held_row, held)])))
        for one in held:
            if one.trouble:
                print(printable(f"{one.variant.name} is broken: {one.trouble}"))
        if self.names:
            for variant in others:
                print(f"{variant.name} is not held")
        else:
            print(
                f"{len(others)} more in the catalogue (`lookalike variants`) are not held; "
                "`lookalike modules pull NAME --to DIR` fetches"
            )
        return report

    def _pull(self) -> JobReport:
        if not self.names:
            raise UsageError("modules pull needs names; `lookalike variants` lists them")
        store = self._store()
        return self._bring(self._target(), self._variants(store), store, fetch=True)

    def _export(self) -> JobReport:
        from transforms.held_modules import held_modules
        from transforms.module_archive import SUFFIXES

        target = self._target()
        store = self._store()
        if self.names:
            variants = self._variants(store)
        else:
            held = held_modules(store)
            for one in held:
                if one.trouble:
                    raise LookalikeError(f"{one.trouble}; or name the modules to export")
            variants = tuple(one.variant for one in held)
        if not variants:
            raise LookalikeError("this machine holds no module to export; `modules pull` fetches")
        if target.name.endswith(SUFFIXES):
            return self._archive(target, variants, store)
        return self._bring(target, variants, store, fetch=False)

    def _archive(self, target: Path, variants: Sequence[Variant], store: ModuleStore) -> JobReport:
        from transforms.held_modules import require_held
        from transforms.mirror_archive import ARCHIVED_AS, pack_modules

        with (
            self.show_progress() as progress,
            progress.step(f"packing {target.name}", None, "bytes") as step,
        ):
            held = [require_held(store, one) for one in variants]
            checksums = pack_modules(held, target, store, step=step)
        return JobReport(
            {
                "modules": f"{len(checksums.modules):,} in {target}, "
                f"{shown_size(target.stat().st_size)}",
                "there": f"unpack it, then `lookalike modules check {ARCHIVED_AS}` and "
                f"--modules {ARCHIVED_AS}",
            },
            figures={"modules": [mirrored_facts(one, "packed") for one in checksums.modules]},
        )

    def _bring(
        self, target: Path, variants: Sequence[Variant], store: ModuleStore, *, fetch: bool
    ) -> JobReport:
        from transforms.module_mirror import ModuleMirror
        from transforms.module_transfer import bring

        mirror = ModuleMirror(target)
        facts: list[dict[str, Any]] = []
        troubles: list[str] = []
        with self.show_progress() as progress:
            for variant in variants:
                try:
                    with progress.step(variant.name, None, "bytes") as step:
                        brought = bring(variant, mirror, store, fetch=fetch, step=step)
                except LookalikeError as error:
                    if len(variants) == 1:
                        raise
                    troubles.append(str(error))
                    facts.append({"name": variant.name, "how": "failed", "error": str(error)})
                    continue
                facts.append(mirrored_facts(brought.module, brought.how))
                said = f"{variant.name}: {brought.how}, {shown_size(brought.module.size)}"
                progress.tell(f"{said}, from {brought.module.source}")
        self._tell_troubles(troubles)
        count = len(variants) - len(troubles)
        report = {"modules": f"{count:,} of {len(variants):,} in {target}"}
        if not troubles:
            report["use"] = f"--modules {target}"
        return JobReport(report, FAILED if troubles else DONE, {"modules": facts})

    def _tell_troubles(self, troubles: Sequence[str]) -> None:
        """What went wrong, for people; machines find it in the result."""
        if not self.json:
            for trouble in troubles:
                print(f"lookalike: {trouble}", file=sys.stderr, flush=True)

    def _check(self) -> JobReport:
        folders = [Path(name).expanduser() for name in self.names]
        if not folders and (named := self._store().folder()) is not None:
            folders = [named]
        if not folders:
            raise UsageError(
                "modules check needs a folder: modules check DIR, --modules or LOOKALIKE_MODULES"
            )
        with self.show_progress() as progress:
            results = [_check_mirror(folder, progress) for folder in folders]
        wrong = [one for one in results if not one["verified"] or one["findings"]]
        if not self.json:
            for result in wrong if self.quiet else results:
                print("\n".join(check_lines(result)))
        return JobReport(exit_code=FAILED if wrong else DONE, figures={"mirrors": results})

    def _store(self) -> ModuleStore:
        from transforms.module_store import ModuleStore

        return ModuleStore(self.modules)

    def _target(self) -> Path:
        if not self.to or "://" in self.to:
            raise UsageError(f"modules {self.action} needs a local place to write to: --to DIR")
        return Path(self.to).expanduser()

    def _variants(self, store: ModuleStore) -> tuple[Variant, ...]:
        """What the names mean; a bare one may also be that of one's own module in the mirror."""
        from transforms.held_modules import own_modules
        from transforms.variants import VARIANTS, parse_variants

        folder = store.folder()
        own = {one.name: one for one, _ in own_modules(folder)} if folder is not None else {}
        parts = [part.strip() for name in self.names for part in name.split(",") if part.strip()]
        known = {part: own[part] for part in parts if part in own and part not in VARIANTS}
        rest = [part for part in parts if part not in known]
        return (*known.values(), *(parse_variants(",".join(rest)) if rest else ()))


def _check_mirror(folder: Path, progress: Progress) -> dict[str, Any]:
    from transforms.held_modules import held_modules
    from transforms.module_mirror import ModuleMirror
    from transforms.module_store import ModuleStore

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; unpack an archive before its check")
    mirror = ModuleMirror(folder)
    checksums = mirror.checksums()
    if checksums is None:
        held = held_modules(ModuleStore(str(folder)))
        names = [one.variant.name for one in held if one.found == "mirror"]
        return {"mirror": str(folder), "verified": False, "modules": names, "findings": []}
    size = sum(module.size for module in checksums.modules)
    with progress.step(f"checking {folder}", size, "bytes") as step:
        findings = mirror.check(checksums, advance=step.advance)
    return {
        "mirror": str(folder),
        "verified": True,
        "modules": [module.variant for module in checksums.modules],
        "files": sum(len(module.files) for module in checksums.modules),
        "bytes": size,
        "findings": [{"file": one.file, "trouble": one.trouble} for one in findings],
    }
