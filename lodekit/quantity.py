"""The class of an observable: its name, units, keys, noise and boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quantity:
    """One quantity of a structure or of its atoms.

    Attributes
    ----------
    name : str
        As users type it; a name of ASE where ASE has one.
    unit : str
        Inside lodekit.
    shape : tuple of int
        For one structure, or for one atom when ``per_atom``; a first None stands for
        any number. Six numbers are a symmetric matrix, xx, yy, zz, yz, xz, xy.
    per_atom : bool
        Whether every atom has its own value.
    boundary : {"any", "cell", "open"}
        Whether every structure has it, fully periodic ones, or those without periodic
        directions.
    least_atoms : int
        Smallest structure in which it can be learned.
    keys : tuple of str
        Keys that stand for it in a file, the preferred one first; none for what is not
        read.
    home : str
        Where `read_structures` puts it: "results" (of ``atoms.calc``), "info" or
        "arrays" (under the preferred key).
    energy_power, length_power : int
        The unit is eV**energy_power * Å**length_power times a power of e.
    file_units : dict of str to float
        Further units of files, with their factors.
    file_sizes : tuple of int
        How many numbers a file may give for it; those of ``shape`` where empty.
    words : tuple of str
        Parts of names that others give to it, small letters and digits alone.
    other_names : tuple of str
        Whole names that others give to it.
    harmless : float
        Largest size that does no harm, however much larger than in other structures.
    families : tuple of str
        "energies": fitted by potentials. "charges": fitted by models of charges.
        "tensors": fitted by `TensorModel` where no target is named. "potential",
        "moments", "equilibration": computed by potentials, beside charges, by charge
        equilibration. "polarization": fitted by `PolarizationModel`, beside
        energies, "nonlinear responses" as well; "wannier" by `WannierModel` as well.
        "dipoles", "responses": computed by both. "field responses": derivatives of the
        dipole by a field. "densities", "density responses", "charge responses":
        computed by `ElectronDensityModel`, fitted to "coefficients".
    noise : float or None
        Default noise of its rows, in ``error_unit``; None for what cannot be fitted.
    noise_key : str
        Name of its noise in settings files.
    error_unit : str
        Of errors and of the rows of a fit; ``unit`` where empty.
    label : str
        What one number of it is called in figures.
    is_gradient : bool
        Whether it is a derivative by positions or strain, which costs more.
    by_default : bool
        Whether it is fitted and predicted where the user names nothing.
    is_lattice : bool
        Whether it is known up to quanta of the cell only.
    in_ase : bool
        Whether it stands among the results of an ASE calculator when it is predicted.
    """

    name: str
    unit: str
    shape: tuple = ()
    per_atom: bool = False
    boundary: str = "any"
    least_atoms: int = 1
    keys: tuple = ()
    home: str = "info"
    energy_power: int = 0
    length_power: int = 0
    file_units: dict = field(default_factory=dict)
    file_sizes: tuple = ()
    words: tuple = ()
    other_names: tuple = ()
    harmless: float = math.inf
    families: tuple = ()
    noise: float | None = None
    noise_key: str = ""
    error_unit: str = ""
    label: str = ""
    is_gradient: bool = False
    by_default: bool = True
    is_lattice: bool = False
    in_ase: bool = False

    @property
    def home_key(self) -> str:
        """Its key where `read_structures` puts it."""
        return self.keys[0] if self.home == "arrays" else self.name

    @property
    def sizes(self) -> tuple:
        """How many numbers a file may give, for every atom when ``per_atom``."""
        return self.file_sizes or (math.prod(self.shape),)

    @property
    def kind(self) -> str:
        """How it turns with the structure.

        "number", "vector", "matrix", "rank 3" (symmetric in all indices), "numbers",
        or the like of atoms: "atom numbers", "atom vectors", "atom matrices"
        (symmetric), "atom tensors" (3 x 3).
        """
        if None in self.shape:
            return "numbers"
        if self.per_atom:
            kinds = {(): "numbers", (3,): "vectors", (6,): "matrices"}
            return f"atom {kinds.get(self.shape, 'tensors')}"
        kinds = {(): "number", (3,): "vector", (3, 3, 3): "rank 3"}
        return kinds.get(self.shape, "matrix")

    def count(self, n_atoms: int) -> int:
        """Return how many numbers a structure has, of a shape that is known."""
        return math.prod(self.shape) * (n_atoms if self.per_atom else 1)

    def fits(self, pbc) -> bool:
        """Return whether structures with these periodic directions have it."""
        if self.boundary == "cell":
            return all(pbc)
        return self.boundary == "any" or not any(pbc)
