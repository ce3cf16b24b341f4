"""The flags that say which modules run over which pictures, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from index.progress import SILENT, Progress
from pipelines.job import flag, positive, thread_count

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.manifest import VariantSettings, VectorType
    from transforms.engines.engine import Engine, EngineSettings, Precision
    from transforms.module_store import ModuleFolder


def modules_flag() -> Any:
    """Where modules are looked for."""
    return flag(
        "a folder that mirrors modules; $LOOKALIKE_MODULES if not given",
        default=None,
        metavar="DIR",
    )


def engine_flag() -> Any:
    """What runs them."""
    return flag(
        "what runs the modules; auto is the fastest that is installed and agrees with tensorflow",
        default="auto",
        choices=("auto", "tensorflow", "litert", "openvino"),
    )


@dataclass(frozen=True, kw_only=True)
class ModuleFlags:
    """Fields of the jobs that run modules."""

    variants: str = flag(
        "names from `lookalike variants`, or name=path-or-handle, separated by commas",
        metavar="NAMES",
    )
    modules: str | None = modules_flag()
    engine: str = engine_flag()
    precision: Precision = flag(
        "of the engine's arithmetic; bfloat16 needs openvino and a processor that has it",
        default="float32",
        choices=("float32", "bfloat16"),
    )
    vector_type: VectorType = flag(
        "numbers of the stored vectors", default="float32", choices=("float32", "float16")
    )
    batch_size: int | None = flag(
        "pictures a call of a module; what the engine does best if not given",
        default=None,
        parse=positive,
        metavar="N",
    )
    threads: int | None = flag(
        "threads of a worker; all cores, shared by the workers of a machine, if not given",
        default=None,
        parse=thread_count,
        metavar="N",
    )
    beam_args: tuple[str, ...] = ()

    def locate_modules(self) -> tuple[ModuleFolder, ...]:
        """The folders of the modules of every variant."""
        from transforms.module_store import ModuleStore
        from transforms.variants import parse_variants

        store = ModuleStore(self.modules)
        return tuple(store.locate(variant) for variant in parse_variants(self.variants))

    def worker_threads(self, options: PipelineOptions) -> int | None:
        """Threads of a worker; None for as many as it finds cores."""
        from pipelines.start_beam import threads_of_a_worker

        return self.threads or threads_of_a_worker(options)

    def load_engines(
        self,
        modules: tuple[ModuleFolder, ...],
        threads: int | None,
        used: Mapping[str, VariantSettings] | None = None,
        progress: Progress = SILENT,
    ) -> Mapping[ModuleFolder, Engine]:
        """The engine that runs each module; says which were passed over.

        Args:
            modules: of the variants.
            threads: of a worker.
            used: what computed the rows that those to come will stand beside: "auto" means the same.
            progress: who shows how far it is.
        """
        from transforms.engines.engine import AUTO, load_engine
        from transforms.work_threads import usable_cores

        engines = {}
        with progress.step("loading modules", len(modules), "modules") as step:
            for module in modules:
                before = (used or {}).get(module.variant.name)
                asked = before.engine if before and self.engine == AUTO else self.engine
                settings = self.engine_settings(asked, threads or usable_cores())
                engines[module] = load_engine(module, settings)
                step.advance()
        for engine in engines.values():
            for reason in engine.passed_over:
                name = engine.variant.name
                progress.tell(f"{name}: {reason}; {engine.name} runs it instead")
        return engines

    def engine_settings(self, engine: str, threads: int = 1) -> EngineSettings:
        """How an engine is to run."""
        from transforms.engines.engine import EngineSettings

        return EngineSettings(engine, self.precision, self.batch_size, threads)
