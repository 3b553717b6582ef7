"""The one table of observables: what structures carry, and models learn and compute.

Names, units, keys in files, default noises, labels and boundaries stand here and
nowhere else; the reader, estimators, command line, audit and plots take them from here.
"""

from __future__ import annotations

from .quantity import Quantity
from .units import DEBYE, GPA

_TABLE = (
    Quantity(
        "energy",
        "eV",
        keys=("REF_energy", "energy"),
        home="results",
        energy_power=1,
        words=("energy",),
        other_names=("e", "etot", "etotal", "epot", "toten", "u", "u0", "edft", "epbe"),
        families=("energies", "potential"),
        noise=1e-3,
        noise_key="energy_noise",
        error_unit="eV/atom",
        label="energy above composition baseline",
        in_ase=True,
    ),
    Quantity(
        "free_energy",
        "eV",
        keys=("REF_free_energy", "free_energy"),
        home="results",
        energy_power=1,
    ),
    Quantity(
        "energies",
        "eV",
        per_atom=True,
        keys=("REF_energies", "energies"),
        home="results",
        energy_power=1,
        families=("potential",),
        in_ase=True,
    ),
    Quantity(
        "forces",
        "eV/Å",
        shape=(3,),
        per_atom=True,
        least_atoms=2,
        keys=("REF_forces", "forces", "force"),
        home="results",
        energy_power=1,
        length_power=-1,
        words=("force", "gradient"),
        other_names=("f", "grad", "frc", "fxyz"),
        harmless=1.0,
        families=("energies", "potential"),
        noise=3e-2,
        noise_key="force_noise",
        label="force component",
        is_gradient=True,
        in_ase=True,
    ),
    Quantity(
        "stress",
        "eV/Å^3",
        shape=(6,),
        boundary="cell",
        keys=("REF_stress", "stress"),
        home="results",
        energy_power=1,
        length_power=-3,
        file_units={"GPa": GPA, "kbar": 0.1 * GPA},
        file_sizes=(6, 9),
        words=("stress", "virial"),
        other_names=("pressuretensor",),
        harmless=1e-2,
        families=("energies", "potential"),
        noise=1e-3,
        noise_key="stress_noise",
        label="stress component",
        is_gradient=True,
        in_ase=True,
    ),
    Quantity(
        "virial",
        "eV",
        shape=(6,),
        keys=("REF_virials", "REF_virial", "virial", "virials"),
        energy_power=1,
    ),
    Quantity(
        "charges",
        "e",
        per_atom=True,
        keys=("REF_charges", "charges", "charge"),
        home="results",
        words=(
            *("charge", "mulliken", "hirshfeld", "lowdin", "loewdin", "bader", "ddec"),
            *("chelpg", "mbis", "resp"),
        ),
        other_names=("q", "qs", "npa", "nbo", "cm5", "esp"),
        families=("charges",),
        noise=1e-2,
        noise_key="charge_noise",
        label="charge",
        in_ase=True,
    ),
    Quantity(
        "total_charge",
        "e",
        keys=("REF_total_charge", "total_charge", "charge"),
        words=("charge",),
        other_names=("q", "qtot", "qtotal", "totq", "totalq", "netq", "chg"),
        # a condition and no target: charges before they are conditioned, which no
        # model of environments gets exactly
        noise=2e-2,
    ),
    Quantity(
        "dipole",
        "e·Å",
        shape=(3,),
        boundary="open",
        keys=("REF_dipole", "dipole"),
        home="results",
        length_power=1,
        file_units={"Debye": DEBYE},
        words=("dipole",),
        other_names=("mu", "dip"),
        families=("charges", "tensors", "polarization", "dipoles", "densities"),
        noise=2e-2,
        noise_key="dipole_noise",
        label="dipole component",
        in_ase=True,
    ),
    Quantity(
        "polarization",
        "e·Å",
        shape=(3,),
        boundary="cell",
        keys=("REF_polarization", "polarization"),
        home="results",
        length_power=1,
        families=("polarization", "dipoles"),
        noise=2e-2,
        noise_key="polarization_noise",
        label="polarization component",
        is_lattice=True,
    ),
    Quantity(
        "quadrupole",
        "e·Å²",
        shape=(3, 3),
        boundary="open",
        keys=("REF_quadrupole", "quadrupole"),
        length_power=2,
        file_sizes=(5, 6, 9),
        words=("quadrupole",),
        families=("charges", "densities"),
        noise=1e-1,
        noise_key="quadrupole_noise",
        label="quadrupole component",
    ),
    Quantity(
        "polarizability",
        "Å³",
        shape=(3, 3),
        keys=("REF_polarizability", "polarizability"),
        length_power=3,
        families=(
            *("tensors", "polarization", "responses", "density responses"),
            *("charge responses", "field responses"),
        ),
        noise=1e-1,
        noise_key="polarizability_noise",
        label="polarizability component",
    ),
    Quantity(
        "hyperpolarizability",
        "e·Å³/V²",
        shape=(3, 3, 3),
        keys=("REF_hyperpolarizability", "hyperpolarizability"),
        energy_power=-2,
        length_power=3,
        file_units={"e*Angstrom^3/V^2": 1.0},
        families=("nonlinear responses", "field responses"),
        noise=1e-1,
        noise_key="hyperpolarizability_noise",
        label="hyperpolarizability component",
    ),
    Quantity(
        "electric_field",
        "V/Å",
        shape=(3,),
        keys=("REF_electric_field", "electric_field"),
        energy_power=1,
        length_power=-1,
        file_units={"V/Angstrom": 1.0},
        families=("surroundings",),
    ),
    # differences that a field makes, of structures computed with and without it
    Quantity("field_energy", "eV", families=("field rows",), noise=1e-3),
    Quantity(
        "field_forces",
        "eV/Å",
        shape=(3,),
        per_atom=True,
        families=("field rows",),
        noise=3e-3,
        is_gradient=True,
    ),
    Quantity(
        "dielectric_tensor",
        "1",
        shape=(3, 3),
        boundary="cell",
        families=("responses",),
        label="component of the dielectric tensor",
    ),
    Quantity(
        "mep",
        "V",
        shape=(None,),
        boundary="open",
        keys=("REF_mep", "mep"),
        energy_power=1,
        file_units={"V": 1.0},
        families=("charges", "densities"),
        noise=2e-2,
        noise_key="mep_noise",
        label="electrostatic potential",
    ),
    Quantity(
        "mep_points",
        "Å",
        shape=(None, 3),
        keys=("REF_mep_points", "mep_points"),
        length_power=1,
    ),
    Quantity(
        "density_coefficients",
        "Å^(-3/2)",
        shape=(None,),
        families=("densities", "coefficients"),
    ),
    Quantity(
        "point_charges",
        "e and Å",
        shape=(None, 4),
        keys=("point_charges",),
        file_units={"e and Angstrom": 1.0},
        families=("surroundings",),
    ),
    Quantity("n_electrons", "1", families=("densities",)),
    Quantity("hartree_energy", "eV", families=("densities",)),
    Quantity(
        "density_response",
        "Å^(-3/2)/(V/Å)",
        shape=(None, 3),
        families=("density responses", "coefficients"),
    ),
    Quantity(
        "density_charge_response",
        "Å^(-3/2)",
        shape=(None,),
        families=("charge responses", "coefficients"),
    ),
    Quantity("induced_dipole", "e·Å", shape=(3,), families=("charge responses",)),
    Quantity("induction_energy", "eV", families=("charge responses",)),
    # ASE cannot write (n_atoms, 3, 3) results to extended XYZ, so Born charges live in
    # a column of nine numbers.
    Quantity(
        "born_effective_charges",
        "e",
        shape=(3, 3),
        per_atom=True,
        keys=("REF_becs", "becs", "REF_bec", "bec", "born_effective_charges"),
        home="arrays",
        words=("borncharge", "borneffective", "polartensor"),
        families=("charges", "polarization", "dipoles"),
        noise=1e-2,
        noise_key="born_charge_noise",
        label="Born charge component",
        is_gradient=True,
        by_default=False,
    ),
    Quantity(
        "wannier_displacements",
        "Å",
        shape=(3,),
        per_atom=True,
        keys=("REF_wannier_displacements", "wannier_displacements", "wannier_centroid"),
        home="arrays",
        length_power=1,
        families=("wannier",),
        noise=1e-3,
        noise_key="wannier_noise",
        label="component of a displacement",
    ),
    Quantity(
        "atomic_dipoles",
        "e·Å",
        shape=(3,),
        per_atom=True,
        families=("moments", "dipoles"),
    ),
    Quantity(
        "atomic_quadrupoles", "e·Å²", shape=(6,), per_atom=True, families=("moments",)
    ),
    Quantity("extrapolation", "", per_atom=True),
    Quantity("electronegativities", "V", per_atom=True, families=("equilibration",)),
    Quantity("hardnesses", "V/e", per_atom=True, families=("equilibration",)),
    Quantity("chemical_potential", "V", families=("equilibration",)),
    Quantity("electrostatic_energy", "eV", families=("equilibration", "densities")),
    Quantity(
        "electrostatic_forces",
        "eV/Å",
        shape=(3,),
        per_atom=True,
        families=("equilibration",),
        is_gradient=True,
    ),
    Quantity(
        "electrostatic_stress",
        "eV/Å^3",
        shape=(6,),
        boundary="cell",
        families=("equilibration",),
        is_gradient=True,
    ),
)
#: Structures that have what is not defined for any boundary.
BOUNDARIES = {
    "cell": "that is periodic in three directions",
    "open": "without periodic directions",
}
#: Every quantity by name.
QUANTITIES = {quantity.name: quantity for quantity in _TABLE}
#: Those that files carry.
TARGETS = {name: quantity for name, quantity in QUANTITIES.items() if quantity.keys}


def family(name: str) -> tuple[str, ...]:
    """Return the names of the quantities of a family, in the order of the table.

    >>> family("energies")
    ('energy', 'forces', 'stress')
    """
    return tuple(quantity.name for quantity in _TABLE if name in quantity.families)


#: What potentials, and models of charges, are fitted to and compared in.
ENERGIES, CHARGES = family("energies"), family("charges")


def quantity(name: str) -> Quantity:
    """Return a quantity, also of its standard deviation.

    Names that are not in the table, such as those of tensors, are numbers of any
    structure without a unit.
    """
    name = name.removesuffix("_std")
    return QUANTITIES.get(name) or Quantity(name, "")


def error_units(names) -> dict[str, str]:
    """Return the units of errors by name.

    >>> error_units(["energy", "charges"])
    {'energy': 'eV/atom', 'charges': 'e'}
    """
    return {name: quantity(name).error_unit or quantity(name).unit for name in names}


#: Units of all that is fitted by models of energies and charges.
UNITS = error_units(
    (
        *(*ENERGIES, *CHARGES, *family("polarization")),
        *(*family("nonlinear responses"), *family("field rows"), *family("wannier")),
    )
)


def undefined(pbc) -> tuple[str, ...]:
    """Return the names of what structures with these periodic directions do not have.

    >>> undefined([True, True, False])  # doctest: +ELLIPSIS
    ('stress', 'dipole', 'polarization', 'quadrupole', 'dielectric_tensor', 'mep', ...)
    """
    return tuple(quantity.name for quantity in _TABLE if not quantity.fits(pbc))
