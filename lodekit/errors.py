"""Errors that tell a user in one line what to do."""


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


class ReportError(LodekitError, ValueError):
    """A report cannot be written where it was asked for."""


class BasisError(LodekitError, ValueError):
    """An auxiliary basis, or coefficients in it, cannot be used as they are."""


class DensityFileError(LodekitError, ValueError):
    """A file of densities is damaged, foreign, incomplete or does not fit."""
