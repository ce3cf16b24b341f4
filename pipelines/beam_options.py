"""Beam's flags -> pipeline options, with a local runner that needs no download."""

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from index.errors import UsageError


def pipeline_options(beam_args: Sequence[str]) -> PipelineOptions:
    """The options of a run; the in-process runner where none, or DirectRunner, is named.

    DirectRunner first tries a runner that it downloads: on a network that drops packets it hangs.

    Raises:
        UsageError: a value Beam does not take.
    """
    try:
        options = PipelineOptions(list(beam_args))
        options.get_all_options()  # parses them all now, rather than one class at a time later
        standard = options.view_as(StandardOptions)
    except SystemExit:
        raise UsageError(f"Apache Beam does not take {' '.join(beam_args)}") from None
    if standard.runner in (None, "DirectRunner"):
        standard.runner = "FnApiRunner"
    return options
