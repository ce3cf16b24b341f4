"""Sub-command and flags -> one job; for jobs on Beam, the rest of the flags go to Beam untouched."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from index.errors import LookalikeError, UsageError
from pipelines.command_result import (
    drop_standard_output,
    error_figures,
    explain,
    print_json,
    tell_machines,
)
from pipelines.job import FAILED, USAGE, Flag, Job, JobReport, flags_of
from pipelines.progress_flags import ProgressFlags
from transforms.quiet_libraries import quiet_libraries

# Sub-command -> where its job is, and what it does. Importing a job's file is cheap: it imports
# what is heavy when it runs.
JOBS: Final = {
    "plan": ("pipelines.plan_run:PlanRun", "what a run of embed will take"),
    "embed": ("pipelines.embed_images:EmbedImages", "pictures -> embeddings, in Parquet"),
    "index": ("pipelines.build_index:BuildIndex", "embeddings -> a nearest-neighbor index"),
    "search": ("pipelines.search_images:SearchImages", "a picture -> the most similar ones"),
    "serve": ("pipelines.serve_search:ServeSearch", "search over HTTP, with a page"),
    "dedup": ("pipelines.find_duplicates:FindDuplicates", "embeddings -> groups of duplicates"),
    "apply": (
        "pipelines.apply_groups:ApplyGroups",
        "the pictures to keep -> a folder of their own",
    ),
    "modules": ("pipelines.manage_modules:ManageModules", "a list, a mirror or a check of modules"),
    "report": ("pipelines.write_report:WriteReport", "one page about all that was made"),
    "variants": ("pipelines.list_variants:ListVariants", "the catalogue of modules"),
    "demo": ("pipelines.run_demo:RunDemo", "all of it, on pictures drawn on the spot"),
}
EXIT_CODES: Final = (
    "exit codes: 0 done, 1 failed, 2 usage, 3 finished but more pictures failed than allowed, 4 copies "
    "found with --check, 130 interrupted"
)
INTERRUPTED: Final = 130  # as shells count: 128 + SIGINT


def console() -> int:
    """The `lookalike` command: quiet libraries, then `main`."""
    _open_standard_streams()
    quiet_libraries()
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    job = None
    try:
        job = parse_job(arguments)
        began = time.perf_counter()
        report = job.run()
        _print_report(arguments[0], job, report, time.perf_counter() - began)
        sys.stdout.flush()
        return report.exit_code
    except LookalikeError as error:
        return explain(error, USAGE if isinstance(error, UsageError) else FAILED, arguments, job)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        drop_standard_output()
        return FAILED
    except OSError as error:
        return explain(error, FAILED, arguments, job)
    except KeyboardInterrupt as error:
        return explain(error, INTERRUPTED, arguments, job)
    except Exception as error:  # ours to mend: people see the traceback, machines their object too
        tell_machines(error, str(error), FAILED, arguments, job)
        raise


def _open_standard_streams() -> None:
    """Put /dev/null where standard output or error is closed: a file we open would take its number."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


def parse_job(arguments: Sequence[str]) -> Job:
    """The job that a command line asks for; argparse exits with 2 where it asks for none."""
    top = _top_parser()
    if not arguments or arguments[0] not in JOBS:
        top.parse_args(arguments or ["--help"])  # exits: help, version, or an unknown command
    command, rest = arguments[0], list(arguments[1:])
    job = _job_class(command)
    parser = _job_parser(command, job)
    if issubclass(job, ProgressFlags) and "--json" in rest:
        parser.for_machines = True
    on_beam = any(field.name == "beam_args" for field in dataclasses.fields(job))
    known, unknown = parser.parse_known_intermixed_args(rest)
    beam_args: list[str] = []
    if unknown and on_beam:
        beam_args, rest = _split_beam_flags(rest, own=set(parser._option_string_actions))
        known = parser.parse_intermixed_args(rest)
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(known).items()
    }
    if on_beam:
        values["beam_args"] = tuple(beam_args)
    made: Job = job(**values)
    return made


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, JOBS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in JOBS.items())
    parser = argparse.ArgumentParser(
        prog="lookalike",
        usage="lookalike COMMAND [FLAGS]",
        description="Search, clean and trust a bucket of pictures.",
        epilog=f"commands (each has --help):\n{commands}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("command", choices=JOBS, metavar="COMMAND", help="what to do")
    return parser


def _job_class(command: str) -> type[Any]:
    module, _, name = JOBS[command][0].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


class _Parser(argparse.ArgumentParser):
    """Of one command; explains what is wrong as the command explains every error."""

    for_machines = False

    def error(self, message: str) -> NoReturn:
        if self.for_machines:
            command = self.prog.removeprefix("lookalike ")
            print_json(command, USAGE, error_figures(UsageError.__name__, message))
            self.exit(USAGE)
        super().error(message)


def _job_parser(command: str, job: type[Any]) -> _Parser:
    parser = _Parser(
        prog=f"lookalike {command}",
        description=job.__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags = flags_of(job)
    shown = flags_of(ProgressFlags) if issubclass(job, ProgressFlags) else {}
    for name, (field, how) in flags.items():
        if name not in shown:
            _add_flag(parser, name, field, how)
    if shown:
        group = parser.add_argument_group("what is shown")
        for name in shown:
            _add_flag(group, name, *flags[name])
    return parser


def _add_flag(
    parser: argparse._ActionsContainer, name: str, field: dataclasses.Field[Any], how: Flag
) -> None:
    required = field.default is dataclasses.MISSING
    shown = "" if required or field.default in (None, False, ()) else f" (default: {field.default})"
    text = (how.help + shown).replace("%", "%%")
    if how.positional:
        several = "+" if required else "*"
        parser.add_argument(
            name,
            help=text,
            type=how.parse,
            metavar=how.metavar,
            nargs=several if how.many else None,
            choices=how.choices,
        )
        return
    names = [f"--{name.replace('_', '-')}"] if len(name) > 1 else []
    names = ([how.short] if how.short else []) + names
    if field.default is False:
        parser.add_argument(*names, dest=name, help=text, action="store_true")
    elif how.many:
        parser.add_argument(
            *names,
            dest=name,
            help=text,
            metavar=how.metavar,
            nargs="+",
            action="extend",
            default=[],
        )
    else:
        parser.add_argument(
            *names,
            dest=name,
            help=text,
            type=how.parse,
            metavar=how.metavar,
            choices=how.choices,
            required=required,
            default=None if required else field.default,
        )


def _split_beam_flags(arguments: list[str], *, own: set[str]) -> tuple[list[str], list[str]]:
    """Beam's flags with their values, and the rest; Beam's own parsers say which are Beam's."""
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(beam)
    actions = {
        name: action for name, action in beam._option_string_actions.items() if name not in own
    }
    theirs: list[str] = []
    ours: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, has_value, _ = argument.partition("=")
        if name not in actions:
            ours.append(argument)
            continue
        theirs.append(argument)
        if not has_value and actions[name].nargs != 0:
            theirs.extend(value for value in [next(waiting, None)] if value is not None)
    return theirs, ours


def _print_report(command: str, job: Job, report: JobReport, seconds: float) -> None:
    """What a job came to: its facts for people, its figures for machines, or neither."""
    if isinstance(job, ProgressFlags):
        if job.json:
            taken = {"seconds": round(seconds, 3)}
            print_json(command, report.exit_code, {**report.figures, **taken})
            return
        if job.quiet:
            return
    if not report.facts:
        return
    width = max(map(len, report.facts))
    for name, value in report.facts.items():
        print(f"{name:<{width}}  {value}")


def _version() -> str:
    from importlib import metadata

    try:
        return f"lookalike {metadata.version('lookalike')}"
    except metadata.PackageNotFoundError:
        return "lookalike, not installed"


if __name__ == "__main__":
    raise SystemExit(console())
