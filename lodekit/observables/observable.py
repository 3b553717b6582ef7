"""The table of observables: what models are fitted to, predict and are judged by.

Names, units, default noises, labels and boundaries stand here and nowhere else. Where a
quantity stands in a file, and its shape there, is told by `lodekit.structures.TARGETS`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observable:
    """One quantity that models compute of a structure or of its atoms.

    Attributes
    ----------
    name : str
        As users type it; a name of ASE where ASE has one.
    unit : str
        Of errors, and of the rows of a fit: energies count per atom there.
    label : str
        What one number of it is, for plots.
    kind : str
        How it changes with the structure: a "number", a "vector" or a "matrix"
        (symmetric, Voigt order xx, yy, zz, yz, xz, xy, or 3 x 3) of the structure,
        "atom numbers", "atom vectors", "atom matrices" of its atoms, or "numbers" at
        points.
    boundary : {"any", "cell", "open"}
        Whether every structure has it, fully periodic ones, or those without periodic
        directions.
    noise : float or None
        Default noise of its rows; None for what cannot be fitted.
    noise_key : str
        Name of its noise in settings files.
    family : {"energies", "charges", ""}
        Whether it is fitted by potentials, or by models of charges.
    in_ase : bool
        Whether ASE's calculators know it.
    """

    name: str
    unit: str
    label: str = ""
    kind: str = "number"
    boundary: str = "any"
    noise: float | None = None
    noise_key: str = ""
    family: str = ""
    in_ase: bool = False

    @property
    def per_atom(self) -> bool:
        """Whether every atom has one."""
        return self.kind.startswith("atom")

    @property
    def numbers_per_atom(self) -> int:
        """How many numbers every atom has, 0 for what structures have."""
        sizes = {"atom numbers": 1, "atom vectors": 3, "atom matrices": 6}
        return sizes.get(self.kind, 0)

    def is_defined(self, atoms) -> bool:
        """Return whether the boundary of a structure lets it have this."""
        if self.boundary == "cell":
            return bool(atoms.pbc.all())
        return self.boundary == "any" or not atoms.pbc.any()


_TABLE = (
    Observable(
        "energy",
        "eV/atom",
        "energy above composition baseline",
        noise=1e-3,
        noise_key="energy_noise",
        family="energies",
        in_ase=True,
    ),
    Observable(
        "forces",
        "eV/Å",
        "force component",
        "atom vectors",
        noise=3e-2,
        noise_key="force_noise",
        family="energies",
        in_ase=True,
    ),
    Observable(
        "stress",
        "eV/Å^3",
        "stress component",
        "matrix",
        "cell",
        noise=1e-3,
        noise_key="stress_noise",
        family="energies",
        in_ase=True,
    ),
    Observable(
        "charges",
        "e",
        "charge",
        "atom numbers",
        noise=1e-2,
        noise_key="charge_noise",
        family="charges",
        in_ase=True,
    ),
    Observable(
        "dipole",
        "e·Å",
        "dipole component",
        "vector",
        "open",
        noise=2e-2,
        noise_key="dipole_noise",
        family="charges",
        in_ase=True,
    ),
    Observable(
        "quadrupole",
        "e·Å²",
        "quadrupole component",
        "matrix",
        "open",
        noise=1e-1,
        noise_key="quadrupole_noise",
        family="charges",
    ),
    Observable(
        "mep",
        "V",
        "electrostatic potential",
        "numbers",
        "open",
        noise=2e-2,
        noise_key="mep_noise",
        family="charges",
    ),
    # a condition and no target: charges before they are conditioned, which no model of
    # environments gets exactly
    Observable("total_charge", "e", noise=2e-2),
    Observable("energies", "eV", kind="atom numbers", in_ase=True),
    Observable("atomic_dipoles", "e·Å", kind="atom vectors"),
    Observable("atomic_quadrupoles", "e·Å²", kind="atom matrices"),
    Observable("electronegativities", "V", kind="atom numbers"),
    Observable("hardnesses", "V/e", kind="atom numbers"),
    Observable("electrostatic_energy", "eV"),
    Observable("electrostatic_forces", "eV/Å", kind="atom vectors"),
    Observable("electrostatic_stress", "eV/Å^3", kind="matrix", boundary="cell"),
    Observable("chemical_potential", "V"),
)
#: Everything that models compute, by name.
OBSERVABLES = {observable.name: observable for observable in _TABLE}
#: What is fitted by potentials, and by models of charges.
ENERGIES = tuple(o.name for o in _TABLE if o.family == "energies")
CHARGES = tuple(o.name for o in _TABLE if o.family == "charges")
#: Units of all that is fitted and compared, by name.
UNITS = {name: OBSERVABLES[name].unit for name in (*ENERGIES, *CHARGES)}


def observable(name: str) -> Observable:
    """Return the observable of a property, also of its standard deviation.

    Names that are not in the table, such as those of tensors, are numbers of any
    structure.
    """
    name = name.removesuffix("_std")
    return OBSERVABLES.get(name) or Observable(name, "")
