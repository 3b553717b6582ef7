"""Electron densities: bases, metrics, what densities give, and files of them."""

from .basis import DensityBasis, Shell
from .basis_sources import even_tempered, layout_only, load_basis, read_basis
from .channels import channel_places
from .constrained_fit import solve_constrained
from .cube import Cube
from .cube_fit import density_error, fit_cube
from .density_set import DensitySet
from .electron_density import ElectronDensity
from .grid import Grid
from .metrics import DensityMetric, electron_counts
from .salted import read_overlap, read_salted

__all__ = [
    "Cube",
    "DensityBasis",
    "DensityMetric",
    "DensitySet",
    "ElectronDensity",
    "Grid",
    "Shell",
    "channel_places",
    "density_error",
    "electron_counts",
    "even_tempered",
    "fit_cube",
    "layout_only",
    "load_basis",
    "read_basis",
    "read_overlap",
    "read_salted",
    "solve_constrained",
]
