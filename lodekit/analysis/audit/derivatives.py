"""Forces and stress against differences of energies.

The work of the forces along a short straight path is what the energy loses,

    E(R + u) - E(R - u) = - int F(R + t u).u dt,    t from -1 to 1,

with as many points in the integral as it takes. A difference divided by a small step
would lose more digits: energies of large models are sums of large numbers. Paths are
random with Gaussian components; the mean square of the difference of both sides is the
squared norm of the error of F, times the squared length.

Around a closed path that work vanishes, whatever the energy may be. On a small circle
R + u cos t + v sin t it is pi u.(J - J^T) v, with J = dF/dR: it is compared with what
it could be where forces change as much, but at random.
"""

from __future__ import annotations

import numpy as np

from lodekit.structures.stress import as_matrix

from .results import Finding, NotApplicable, check
from .structures import moved, strained

#: Random paths for each structure.
N_PATHS = 2
#: Half of the length of a path in Å, times a Gaussian number; as strain 0.2 of that.
#: Long paths keep more digits, short ones meet fewer kinks where neighbours enter.
LENGTHS = (3e-2, 3e-3, 3e-4, 3e-5)
STRAIN = 0.2
TOLERANCE = 1e-5
#: Root mean squares below which forces (eV/Å) and stress (eV/Å^3) count as these.
SMALL_FORCE, SMALL_STRESS = 1e-2, 1e-4
#: The same for a change of forces, in eV/Å^2.
SMALL_CHANGE = 1e-2
#: Places and weights of the integral.
PLACES, WEIGHTS = np.polynomial.legendre.leggauss(5)
#: Angles of a sum around a circle, which converges faster than any power.
ANGLES = 2.0 * np.pi / 8 * np.arange(8)


def root_mean_square(values) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def force_scale(forces) -> float:
    """Return the norm of forces (eV/Å), of small ones that of `SMALL_FORCE`."""
    return max(np.linalg.norm(forces), SMALL_FORCE * np.sqrt(forces.size))


@check("forces", "the work of forces is what the energy loses", TOLERANCE, "relative")
def forces(subject, atoms, random) -> Finding:
    """Compare energies at both ends of paths with integrals of forces."""
    subject.require("energy")
    subject.require("forces")
    (reference,) = subject.values([atoms], "forces")
    paths = random.normal(size=(N_PATHS, len(atoms), 3))

    def error_of(length):
        errors = [work_error(subject, atoms, length * path) for path in paths]
        return root_mean_square(errors) / (2.0 * length * force_scale(reference))

    size = root_mean_square(reference)
    return Finding(least(error_of), f"of forces of {size:.2g} eV/Å")


def work_error(subject, atoms, path) -> float:
    """Return the change of the energy along a path plus the work of forces, in eV."""
    start, end = subject.energies([moved(atoms, -path), moved(atoms, path)])
    along = subject.values([moved(atoms, t * path) for t in PLACES], "forces")
    return end - start + np.einsum("t,tia,ia->", WEIGHTS, along, path)


def least(error_of) -> float:
    """Return the least error among `LENGTHS`, or the first within the tolerance."""
    errors = []
    for length in LENGTHS:
        errors.append(error_of(length))
        if errors[-1] <= TOLERANCE:
            break
    return min(errors)


@check(
    "closed-loop",
    "the work of forces around a closed path vanishes",
    TOLERANCE,
    "relative",
)
def closed_loop(subject, atoms, random) -> Finding:
    """Integrate forces around a circle in the space of all positions."""
    subject.require("forces")
    (reference,) = subject.values([atoms], "forces")
    axes = random.normal(size=(2, len(atoms), 3))

    def error_of(length):
        work, change = loop_work(subject, atoms, length * axes)
        least_change = SMALL_CHANGE * length * np.sqrt(reference.size)
        return abs(work) / (2.0 * np.pi * length * max(change, least_change))

    return Finding(least(error_of), "of the change of forces")


def loop_work(subject, atoms, axes) -> tuple[float, float]:
    """Return the work around R + u cos t + v sin t, and how much forces change there.

    Parameters
    ----------
    axes : ndarray of shape (2, n_atoms, 3)
        u and v in Å.

    Returns
    -------
    work : float
        In eV.
    change : float
        Norm of forces less their mean, in eV/Å: the root of its mean square.
    """
    waves = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    places = np.einsum("td,dia->tia", waves, axes)
    tangents = np.einsum("td,dia->tia", waves, [axes[1], -axes[0]])
    forces = np.array(
        subject.values([moved(atoms, place) for place in places], "forces")
    )
    work = 2.0 * np.pi / len(ANGLES) * np.sum(forces * tangents)
    changes = forces - forces.mean(axis=0)
    return float(work), float(np.sqrt(np.sum(changes**2) / len(ANGLES)))


@check(
    "stress", "stress is the derivative of the energy by strain", TOLERANCE, "relative"
)
def stress(subject, atoms, random) -> Finding:
    """Compare energies at both ends of random strains with integrals of stress."""
    subject.require("energy")
    subject.require("stress")
    if not atoms.pbc.all():
        raise NotApplicable("stress is defined for fully periodic structures only")
    (reference,) = subject.values([atoms], "stress")
    strains = random.normal(size=(N_PATHS, 3, 3))
    strains = 0.5 * (strains + strains.swapaxes(1, 2))
    size = root_mean_square(as_matrix(reference))
    scale = 2.0 * 3.0 * max(size, SMALL_STRESS) * atoms.get_volume()

    def error_of(length):
        length *= STRAIN
        errors = [strain_error(subject, atoms, length * strain) for strain in strains]
        return root_mean_square(errors) / (length * scale)

    return Finding(least(error_of), f"of stress of {size:.2g} eV/Å^3")


def strain_error(subject, atoms, strain) -> float:
    """Return the energy that is gained by straining, without the work, in eV.

    At t e, a change of t by dt is the strain (1 + t e)^-1 e dt.
    """
    start, end = subject.energies([strained(atoms, -strain), strained(atoms, strain)])
    along = [strained(atoms, t * strain) for t in PLACES]
    work = 0.0
    for t, weight, frame, stresses in zip(
        PLACES, WEIGHTS, along, subject.values(along, "stress"), strict=True
    ):
        further = np.linalg.solve(np.eye(3) + t * strain, strain)
        work += weight * frame.get_volume() * np.sum(as_matrix(stresses) * further)
    return end - start - work
