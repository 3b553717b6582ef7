"""Screening of charges and dipoles, in crystals, in clusters and in larger ones."""

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from polarization_errors import root

from lodekit.electrostatics import InducedDipoles
from lodekit.models import PolarizationModel, TensorModel
from lodekit.settings.potential import build_potential
from lodekit.terms.tables import SOAP
from lodekit.terms.tensors import DIPOLE_SOAP, TENSOR_SOAP, build_tensor_terms

CHARGES, POLARIZABILITIES = {11: 1.0, 17: -1.0}, {11: 0.3, 17: 3.0}
SIDE, RATTLE = 5.6, 0.12
#: Repulsion: height in eV and range in Å.
HEIGHT, RANGE = 1500.0, 0.32
#: Structures that are fitted, and those that are judged: repeats, periodic or not.
FITTED = [((1, 1, 1), True), ((2, 2, 2), False), ((2, 2, 3), False)]
JUDGED = {
    "crystal of 8": ((1, 1, 1), True),
    "crystal of 64": ((2, 2, 2), True),
    "cluster of 12": ((2, 2, 3), False),
    "cluster of 48": ((4, 4, 3), False),
}


def structure(size, periodic, generator):
    """Return rattled rocksalt with energy, forces, M and alpha of polarizable ions."""
    atoms = bulk("NaCl", "rocksalt", a=SIDE, cubic=True)
    if periodic:
        atoms = atoms * size
    else:  # atoms of a grid of any size
        atoms = atoms * (2, 2, 2)
        grid = np.rint(atoms.positions / (SIDE / 2.0)).astype(int)
        atoms = atoms[(grid < size).all(axis=1)]
        atoms.pbc, atoms.cell = False, None
    atoms.positions += generator.normal(0.0, RATTLE, (len(atoms), 3))
    charges = np.array([CHARGES[z] for z in atoms.numbers])
    alpha = np.array([POLARIZABILITIES[z] for z in atoms.numbers])
    system = InducedDipoles(atoms.positions, atoms.cell[:], atoms.pbc, alpha)
    found = system.solve(charges)
    first, distances, vectors = neighbor_list("idD", atoms, 6.0)
    repulsion = HEIGHT * np.exp(-distances / RANGE)
    forces = found.forces.copy()
    pushes = (repulsion / RANGE / distances)[:, None] * vectors
    np.add.at(forces, first, -pushes)
    results = {"energy": found.energy + 0.5 * repulsion.sum(), "forces": forces}
    if periodic:
        atoms.info["polarization"] = found.moment
    else:
        results["dipole"] = found.moment
    atoms.info["polarizability"] = system.susceptibility().ravel()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def model(**electrostatics):
    """Return an unfitted model, short-ranged but for its electrostatics."""
    soap = {**SOAP, "scaling_exponent": 4, "scaling_radius": 2.0, "n_sparse": 150}
    small = {"max_radial": 4, "max_angular": 3, "n_sparse": 60}
    (dipoles,) = build_tensor_terms({"terms": {"soap": {**DIPOLE_SOAP, **small}}})
    return PolarizationModel(
        *dipoles,
        n_channels=100,
        oxidation_states={"Na": 1, "Cl": -1},
        potential=build_potential({"terms": {"soap": soap}}),
        polarizability=polarizability({**TENSOR_SOAP, **small, "n_sparse": 30}),
        **electrostatics,
    )


def polarizability(term):
    """Return an unfitted model of alpha."""
    ((descriptor, covariance, n_sparse),) = build_tensor_terms({"terms": {"s": term}})
    return TensorModel(descriptor, covariance, n_sparse, n_channels=60)


def screening(options):
    """Errors of forces in meV/Å by the screening of the electrostatic energy."""
    generator = np.random.default_rng(11)
    frames = [structure(*kind, generator) for _ in range(16) for kind in FITTED]
    judged = {
        name: [structure(*kind, generator) for _ in range(6)]
        for name, kind in JUDGED.items()
    }
    found = {}
    for name, arguments in {
        "none": {},
        "unscreened": {"electrostatic_width": 1.0},
        "learned": {"electrostatic_width": 1.0, "screening": "learned"},
        "local": {"electrostatic_width": 1.0, "screening": "local"},
    }.items():
        fitted = model(**arguments).fit(frames)
        for kind, some in judged.items():
            results = fitted.compute(some, ["forces"])
            errors = [
                result["forces"] - atoms.get_forces()
                for atoms, result in zip(some, results, strict=True)
            ]
            found[f"{name}, {kind}"] = 1e3 * root(errors)
        if name == "learned":
            found["learned dielectric constant"] = fitted.summary_["screening"]
    found["spread of forces"] = 1e3 * root([a.get_forces() for a in frames])
    return found
