"""Every error this product raises on purpose.

LookalikeError              something its reader can act on: one line, exit code 1
├── UsageError              the command line, or a call's arguments, are wrong: exit code 2
│   └── UnknownVariant      a variant's name that is not in the catalogue
├── NoPictures              the input patterns match nothing
├── ModuleUnavailable       a module that cannot be found, fetched, unpacked or loaded
├── ModuleMismatch          a module that is not what its variant says it is
├── EngineUnavailable       an engine that is not installed, or does not run a module rightly
├── PipelineFailed          the pipeline stopped; nothing was published, and the same command carries on
├── InvalidInput            an array that must not reach a module or an index
└── ArtifactError           something on disk; as such, a disk that is full or cannot be written to
    ├── OutputExists        a finished output stands where a new one was asked for
    ├── OutputBusy          another run is writing there
    ├── OutputMissing       no finished output where one was expected
    ├── ArtifactDamaged     a file that is not what its manifest says
    ├── SpaceMismatch       vectors of two different spaces, which must not be compared
    └── RunMismatch         rows of other modules or settings than those they would stand beside
"""


class LookalikeError(Exception):
    """Something its reader can act on; the message says what, the value, and the cure."""


class UsageError(LookalikeError, ValueError):
    """The command line, or a call's arguments, are wrong."""


class UnknownVariant(UsageError):
    """A variant's name that is not in the catalogue."""


class NoPictures(LookalikeError):
    """The input patterns match nothing."""


class ModuleUnavailable(LookalikeError):
    """A module that cannot be found, fetched, unpacked or loaded."""


class ModuleMismatch(LookalikeError):
    """A module that is not what its variant says it is."""


class EngineUnavailable(LookalikeError):
    """An engine that is not installed, or does not run a module rightly."""


class PipelineFailed(LookalikeError):
    """The pipeline stopped; nothing was published, and the same command carries on."""


class InvalidInput(LookalikeError, ValueError):
    """An array that must not reach a module or an index."""


class ArtifactError(LookalikeError):
    """Something on disk; as such, a disk that is full or cannot be written to."""


class OutputExists(ArtifactError):
    """A finished output stands where a new one was asked for."""


class OutputBusy(ArtifactError):
    """Another run is writing there."""


class OutputMissing(ArtifactError):
    """No finished output where one was expected."""


class ArtifactDamaged(ArtifactError):
    """A file that is not what its manifest says."""


class SpaceMismatch(ArtifactError):
    """Vectors of two different spaces, which must not be compared."""


class RunMismatch(ArtifactError):
    """Rows of other modules or settings than those they would stand beside."""


def first_line(error: Exception) -> str:
    """What another library's error says, cut to go into a message of one line."""
    return _lines(error)[0][:300]


def last_line(error: Exception) -> str:
    """The same for libraries that tell first where they were, and last what is wrong."""
    return _lines(error)[-1]


def _lines(error: Exception) -> list[str]:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines or [type(error).__name__]
