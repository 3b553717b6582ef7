"""Errors that tell a user in one line what to do."""

import difflib


class LodekitError(Exception):
    """Base class of the errors that the command line prints as one line."""


class StructureFileError(LodekitError, ValueError):
    """A structure file holds something that cannot be used as it is."""


class ModelFileError(LodekitError, ValueError):
    """A model file is damaged, truncated, foreign or newer than this lodekit."""


class SettingsError(LodekitError, ValueError):
    """A settings file or option names something that does not exist or fit."""


class StructureError(LodekitError, ValueError):
    """A structure in memory, or a target it carries, cannot be used as it is."""


class ExtrapolationError(LodekitError, ValueError):
    """A structure is far from everything that a model was fitted to."""


class ReportError(LodekitError, ValueError):
    """A report cannot be written where it was asked for."""


class CheckpointError(LodekitError, ValueError):
    """Sums of an interrupted fit cannot be read or written."""


class BasisError(LodekitError, ValueError):
    """An auxiliary basis, or coefficients in it, cannot be used as they are."""


class DensityFileError(LodekitError, ValueError):
    """A file of densities is damaged, foreign, incomplete or does not fit."""


def suggest(name, known, likeness=0.6) -> str:
    """Return the known name that is nearest to one that does not exist, as a question.

    Nothing where the ``likeness`` (0 to 1) of all of them is less.

    >>> suggest("hartree", ["eV", "Hartree"]), suggest("x", ["eV"])
    (" (did you mean 'Hartree'?)", '')
    """
    by_small_letters = {str(other).lower(): other for other in known}
    near = difflib.get_close_matches(str(name).lower(), by_small_letters, 1, likeness)
    return f" (did you mean {by_small_letters[near[0]]!r}?)" if near else ""
