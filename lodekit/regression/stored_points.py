"""Sparse points in model files: every environment is stored once.

Terms with the same descriptor, and atomic moments, share environments; they name theirs
by rows of arrays ``points/KIND/Z/...``, with the expansion coefficients of both
factors of the descriptor. Features are products of these.
"""

from __future__ import annotations

import json

import numpy as np

from lodekit.descriptors.power_spectrum import PowerSpectrum
from lodekit.parameters import encode
from lodekit.stored_model import StoredModel

from .covariances import PolynomialCovariance
from .point_kernel import PointKernel
from .sparse_kernel import SparsePoints

#: Arrays of the factors of a descriptor, or of features where factors are not known.
FACTORS = ("left", "right")
FEATURES = ("features",)
#: Limits of lengths in Å, and of other numbers that descriptors are made of.
LENGTHS = {
    ("cutoff", "radius"): (0.1, 100.0),
    ("radial", "radius"): (0.1, 100.0),
    ("density", "width"): (0.01, 100.0),
    ("density", "smearing"): (0.05, 100.0),
    ("covariance", "zeta"): (1, 100),
}
LARGEST = 1e6


class PointStore:
    """Environments of the sparse points of a model, while it is written."""

    def __init__(self):
        #: number of a kind by what it is: the descriptor, and which arrays there are
        self.kinds: dict = {}
        #: row of an environment by its bytes, and its arrays, by kind and species
        self.rows: dict = {}
        self.parts: dict = {}

    def add(self, kernel: PointKernel, name: str) -> tuple[dict, dict]:
        """Take the points of a kernel; return its settings and arrays ``name/...``."""
        arrays, kind, listed = {}, None, []
        for z, points in kernel.points.items():
            factors = points.coefficients or (points.features,)
            names = FACTORS[: len(factors)] if points.coefficients else FEATURES
            key = json.dumps([encode(kernel.descriptor, "descriptor"), names])
            kind = self.kinds.setdefault(key, str(len(self.kinds)))
            rows = self.rows_of((kind, z), names, factors)
            if not np.array_equal(rows, np.arange(rows.size)):
                arrays[f"{name}/{z}/rows"] = rows
                listed.append(int(z))
            arrays[f"{name}/{z}/projection"] = points.base
        return {
            "species": [int(z) for z in kernel.points],
            "n_points": [len(points.features) for points in kernel.points.values()],
            "listed": listed,
            "amplitude": kernel.amplitude,
            "points": kind,
        }, arrays

    def rows_of(self, place: tuple, names, factors) -> np.ndarray:
        """Return the rows at which environments are stored, new ones at the end."""
        known = self.rows.setdefault(place, {})
        parts = self.parts.setdefault(place, {name: [] for name in names})
        rows = []
        for environment in zip(*factors, strict=True):
            key = b"".join(part.tobytes() for part in environment)
            if key not in known:
                known[key] = len(known)
                for name, part in zip(names, environment, strict=True):
                    parts[name].append(part)
            rows.append(known[key])
        return np.array(rows, dtype=np.int64)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of all environments by name."""
        return {
            f"points/{kind}/{z}/{name}": np.array(rows)
            for (kind, z), parts in self.parts.items()
            for name, rows in parts.items()
        }


def read_points(stored: StoredModel, settings: dict, name: str, kernel) -> None:
    """Give a kernel the sparse points that a model file holds.

    Parameters
    ----------
    stored : StoredModel
    settings : dict
        Of the kernel, as `PointStore.add` returned it.
    name : str
        Before the names of its arrays.
    kernel : SparseKernel

    Raises
    ------
    ValueError
        If they contradict the kernel.
    """
    term = StoredTerm(stored, settings, name, kernel)
    kernel.amplitude = term.amplitude
    for z, n_points in term.points.items():
        base = stored.array(f"{name}/{z}/projection", n_points, None)
        features, coefficients = term.environments(z)
        kernel.points[z] = SparsePoints(
            features,
            kernel.amplitude * base,
            coefficients=coefficients,
            base=base,
        )


class StoredTerm:
    """The sparse points of one kernel as a model file holds them.

    Parameters
    ----------
    stored : StoredModel
    settings : dict
        As `PointStore.add` returned them.
    name : str
        Before the names of arrays.
    kernel : PointKernel
        With its descriptor and species.

    Attributes
    ----------
    amplitude : float
    points : dict of int to int
        Number of points by species.
    """

    def __init__(self, stored: StoredModel, settings: dict, name: str, kernel):
        self.stored, self.name, self.kernel = stored, name, kernel
        term = StoredModel({"settings": settings, "arrays": {}})
        self.amplitude = term.positive("amplitude")
        self.listed = term.setting("listed", list)
        species, counts = term.setting("species", list), term.setting("n_points", list)
        counts = [StoredModel.count(number) for number in counts]
        self.points = dict(zip(species, counts, strict=True))
        if species:
            self.kind = f"points/{term.setting('points', str)}"
        known = kernel.species.tolist()
        fits = species == [z for z in known if z in species]
        if not fits or not all(z in species for z in self.listed):
            raise ValueError(f"the species of a term are {species!r:.60}")

    def environments(self, z: int) -> tuple:
        """Return features and expansion coefficients of the points of one species."""
        stored, descriptor = self.stored, self.kernel.descriptor
        features = f"{self.kind}/{z}/{FEATURES[0]}"
        if stored.has(features):
            n_features = descriptor.n_features(self.kernel.species)
            parts = [stored.array(features, None, n_features)]
        else:
            shapes = descriptor.coefficient_shapes(self.kernel.species)
            parts = [
                stored.array(f"{self.kind}/{z}/{factor}", None, *shape)
                for factor, shape in zip(FACTORS, shapes, strict=False)
            ]
        rows = self.rows(z, {len(part) for part in parts})
        parts = [np.ascontiguousarray(part[rows]) for part in parts]
        if stored.has(features):
            return parts[0], ()
        return descriptor.multiply(*(part.astype(float) for part in parts)), tuple(
            parts
        )

    def rows(self, z: int, sizes: set) -> np.ndarray:
        """Return which environments the points are; the first ones if not listed."""
        if len(sizes) != 1:
            raise ValueError("the factors of environments differ in number")
        (size,) = sizes
        n_points, name = self.points[z], f"{self.name}/{z}/rows"
        rows = np.arange(n_points)
        if z in self.listed:
            rows = self.stored.indices(name, size)
        if rows.size != n_points or n_points > size:
            raise ValueError(f"{self.name} has {n_points} points of {z}")
        self.stored.use(f"{self.kind}/{z}", size, rows)
        return rows


def check_term(descriptor, covariance) -> None:
    """Raise ``ValueError`` unless a term has a descriptor and a covariance."""
    if not isinstance(descriptor, PowerSpectrum):
        raise ValueError(f"the descriptor of a term is {descriptor!r:.60}")
    if not isinstance(covariance, PolynomialCovariance):
        raise ValueError(f"the covariance of a term is {covariance!r:.60}")
    covariance.check()
    check_numbers(covariance.get_params(), "covariance")
    for factor in (descriptor.left, descriptor.right):
        if factor is not None:
            check_numbers(factor.hypers)


def check_numbers(hypers: dict, name: str = "") -> None:
    """Raise ``ValueError`` for numbers with which an expansion would not end."""
    for key, value in hypers.items():
        if isinstance(value, dict):
            check_numbers(value, key)
        elif isinstance(value, (int, float)):
            limits = LENGTHS.get((name, key), (-LARGEST, LARGEST))
            if not limits[0] <= value <= limits[1]:
                raise ValueError(f"the {key} of a {name} is {value:g}")
