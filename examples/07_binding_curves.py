"""Continue binding curves to 200 Å: the tails of charges and dipoles, exactly
===========================================================================

Run it with ``python examples/07_binding_curves.py``.

Rigid molecules of point charges, pairs 4 to 8 Å apart, energies only. A linear LODE
model continues the curves; fitted slopes of log energy over log distance are those of
charge-charge (-1), charge-dipole (-2) and dipole-dipole (-3). The tail of the model is
compared with an independent evaluation as multipoles in a far density. The second set
of molecules shows where this ends: their charges depend on more than the element.
Draws curves in ``examples/output``.
"""

import pathlib

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from lodekit.settings.potential import build_potential
from lodekit.structures.batch import StructureBatch
from lodekit.units import COULOMB_CONSTANT

OUTPUT = pathlib.Path(__file__).resolve().parent / "output"
N_TRAIN = 30  # for each pair of molecules
FITTED = (4.0, 8.0)  # Å
FAR = np.geomspace(50.0, 200.0, 9)  # Å, where slopes are taken
NEAR_CUTOFF = 2.5  # Å
SMEARING = 0.4  # Å
MAX_ANGULAR = 2

TETRAHEDRON = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
TRIANGLE = [[np.cos(t), np.sin(t), 0.27] for t in 2 * np.pi / 3 * np.arange(3)]
WATER = [[0.0, 0.0, 0.0], [0.76, 0.0, 0.59], [-0.76, 0.0, 0.59]]
ROD = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.92]]

# symbols, positions in Å and charges in e
SETS = {
    "charges by element": {
        "NH4": ("NH4", 0.595 * TETRAHEDRON, [-0.6, 0.4, 0.4, 0.4, 0.4]),
        "BF4": ("BF4", 0.803 * TETRAHEDRON, [0.6, -0.4, -0.4, -0.4, -0.4]),
        "H2O": ("OH2", WATER, [-0.8, 0.4, 0.4]),
        "HF": ("FH", ROD, [-0.4, 0.4]),
    },
    "charges by molecule": {
        "H3O": ("OH3", [[0.0, 0.0, 0.0], *TRIANGLE], [-0.5, 0.5, 0.5, 0.5]),
        "OH": ("OH", ROD, [-1.3, 0.3]),
        "H2O": ("OH2", WATER, [-0.8, 0.4, 0.4]),
    },
}
PAIRS = {
    "charges by element": {
        -1: [("NH4", "BF4")],
        -2: [("NH4", "H2O"), ("BF4", "HF")],
        -3: [("H2O", "H2O"), ("H2O", "HF"), ("HF", "HF")],
    },
    "charges by molecule": {
        -1: [("H3O", "OH")],
        -2: [("H3O", "H2O"), ("OH", "H2O")],
        -3: [("H2O", "H2O")],
    },
}
COLORS = {-1: "#dc2626", -2: "#2563eb", -3: "#16a34a"}
SOAP = {
    "type": "soap",
    "cutoff": 6.0,
    "max_radial": 5,
    "max_angular": 3,
    "n_sparse": 80,
}
LODE = {
    "type": "lode",
    "charges": "species",
    "cutoff": NEAR_CUTOFF,
    "scaling_exponent": 0,
    "smearing": SMEARING,
    "radius": 0.8,
    "max_angular": MAX_ANGULAR,
    "accuracy": 1e-10,
    "n_sparse": 150,
}


def main():
    OUTPUT.mkdir(exist_ok=True)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), SETS, strict=True):
        rng = np.random.default_rng(0)
        frames = draw_training_set(name, rng)
        print(f"\n{name}: {len(frames)} energies, {FITTED[0]:g} to {FITTED[1]:g} Å")
        lode = fit({"lode": LODE}, frames, energy_noise=1e-8, solver="qr")
        soap = fit({"soap": SOAP}, frames, energy_noise=1e-4)
        print_slopes(name, {"SOAP": soap, "LODE": lode}, rng, axes)
        if name == "charges by element":
            print_identity(lode)
    draw_legend(figure)
    path = OUTPUT / "07_binding_curves.png"
    figure.savefig(path, dpi=110)
    print(f"\ncurves in {path.name}")


def fit(terms, frames, **settings):
    """Return a potential of interaction energies: lone atoms have none."""
    elements = {symbol for atoms in frames for symbol in atoms.symbols}
    settings |= {"baseline": dict.fromkeys(elements, 0.0), "validation_fraction": 0.0}
    return build_potential({"fit": settings, "terms": terms}).fit(frames)


def draw_training_set(name, rng):
    """Return dimers in random orientations, and lone molecules with energy 0."""
    frames = []
    for pairs in PAIRS[name].values():
        for pair in pairs:
            for _ in range(N_TRAIN):
                turns = Rotation.random(2, random_state=rng)
                frames.append(make_dimer(name, pair, turns, rng.uniform(*FITTED)))
    for molecule in SETS[name]:
        atoms, _ = make_molecule(name, molecule)
        atoms.calc = SinglePointCalculator(atoms, energy=0.0)
        frames.append(atoms)
    return frames


def make_molecule(name, molecule):
    formula, positions, charges = SETS[name][molecule]
    return Atoms(formula, positions), np.array(charges)


def make_dimer(name, pair, turns, distance):
    """Return two molecules with the Coulomb energy between them."""
    (first, q1), (second, q2) = (make_molecule(name, own) for own in pair)
    first.positions = turns[0].apply(first.positions)
    second.positions = turns[1].apply(second.positions) + [0.0, 0.0, distance]
    offsets = second.positions - first.positions[:, None]
    energies = np.outer(q1, q2) / np.linalg.norm(offsets, axis=2)
    atoms = first + second
    energy = COULOMB_CONSTANT * energies.sum()
    atoms.calc = SinglePointCalculator(atoms, energy=energy)
    return atoms


def print_slopes(name, models, rng, axes):
    """Print slopes and errors of continued curves, and draw the curves."""
    print("pair        law   slope: exact     LODE   error at 50 to 200 Å: SOAP   LODE")
    distances = np.concatenate([np.geomspace(*FITTED, 5), [12.0, 20.0, 32.0], FAR])
    for power, pairs in PAIRS[name].items():
        for pair in pairs:
            turns = find_strong_orientation(name, pair, rng)
            frames = [make_dimer(name, pair, turns, d) for d in distances]
            curves = {"exact": np.array([a.get_potential_energy() for a in frames])}
            alone = [make_molecule(name, molecule)[0] for molecule in pair]
            for kind, model in models.items():
                curves[kind] = model.predict(frames) - model.predict(alone).sum()
            far = {kind: curve[-len(FAR) :] for kind, curve in curves.items()}
            slopes = [
                np.polyfit(np.log(FAR), np.log(abs(far[kind])), 1)[0]
                for kind in ("exact", "LODE")
            ]
            errors = [np.abs(far[kind] / far["exact"] - 1.0).max() for kind in models]
            print(
                f"{'-'.join(pair):12}{power:3d}{slopes[0]:15.4f}{slopes[1]:9.4f}"
                f"{100 * errors[0]:25.4g} %{100 * errors[1]:9.2g} %"
            )
            draw(axes, name, distances, curves, power)


def find_strong_orientation(name, pair, rng):
    """Return the one of 50 orientations that interacts most at 200 Å."""
    trials = [Rotation.random(2, random_state=rng) for _ in range(50)]
    energies = [
        abs(make_dimer(name, pair, turns, FAR[-1]).get_potential_energy())
        for turns in trials
    ]
    return trials[int(np.argmax(energies))]


def print_identity(model):
    """Compare the tail of the model with multipoles in the far density (Eq. 21).

    U = sum_i sum_lm M_lm(i) int_rc^inf dr r^2 rho_lm(r) / r^(l+1), where the multipoles
    come from the weights and the surroundings within rc, and the density of the other
    molecule is projected on spheres around atom i.
    """
    name, pair = "charges by element", ("NH4", "H2O")
    turns = Rotation.random(2, random_state=5)
    dimer = make_dimer(name, pair, turns, 15.0)
    near, far = dimer[:5], dimer[5:]
    energies = [r["energies"] for r in model.compute([dimer, near], ["energies"])]
    tail = energies[0][: len(near)] - energies[1]
    multipoles = find_multipoles(model, near)
    expected = np.zeros(len(near))
    for position, number in zip(far.positions, far.numbers, strict=True):
        channel = list(model.species_).index(number)
        field = far_integrals(position - near.positions)
        expected += (multipoles[:, :, channel] * field).sum(axis=1)
    error = np.abs(tail - expected).max() / np.abs(tail).max()
    print(f"identity: tail of the model = multipoles in the far density to {error:.1e}")


def find_multipoles(model, near):
    """Return M_lm by atom, lm and species of the source."""
    kernel, alpha = model.kernels_[0], model.coefficients_[0]
    density, potential = kernel.descriptor.left, kernel.descriptor.right
    batch = StructureBatch.from_frames([near])
    rho = density.expand(batch, model.species_).coefficients
    r, weights = gauss_legendre(1e-9, 12.0, 400)
    radial = potential.projections.basis.evaluate(r)
    shape = (MAX_ANGULAR + 1, rho.shape[2], len(model.species_), potential.n_radial)
    multipoles = np.zeros((len(near), (MAX_ANGULAR + 1) ** 2, len(model.species_)))
    for atom, number in enumerate(near.numbers):
        points = kernel.points[number].features
        own = alpha[number] @ points / np.mean((points**2).sum(axis=1))
        for l, weight in enumerate(own.reshape(shape)):
            moments = (weights * r ** (l + 2)) @ radial
            factors = 4.0 * np.pi / (2 * l + 1) ** 1.5 * weight @ moments
            harmonics = slice(l * l, (l + 1) ** 2)
            multipoles[atom, harmonics] = rho[atom, harmonics] @ factors
    return multipoles


def far_integrals(vectors):
    """Return int_rc^inf dr r^2 rho_lm(r) / r^(l+1) of a unit Gaussian at ``vectors``.

    On a sphere of radius r the density exp(-|r - R|^2 / 2 s^2) has the projections
    4 pi exp(-(r - R)^2 / 2 s^2) exp(-x) i_l(x) Y_lm(R), with x = r R / s^2.
    """
    result = np.empty((len(vectors), (MAX_ANGULAR + 1) ** 2))
    norm = 4.0 * np.pi * (2.0 * np.pi * SMEARING**2) ** -1.5
    for row, vector in zip(result, vectors, strict=True):
        distance = np.linalg.norm(vector)
        r, weights = gauss_legendre(
            max(NEAR_CUTOFF, distance - 10.0 * SMEARING), distance + 10.0 * SMEARING, 80
        )
        x = r * distance / SMEARING**2
        gaussian = norm * np.exp(-0.5 * ((r - distance) / SMEARING) ** 2)
        for l, harmonics in enumerate(spherical_harmonics(vector / distance)):
            bessel = scaled_bessel(l, x)
            integral = (weights * r ** (1.0 - l) * gaussian * bessel).sum()
            row[l * l : (l + 1) ** 2] = integral * harmonics
    return result


def scaled_bessel(l, x):
    """Return exp(-x) i_l(x) for l = 0, 1, 2 without terms of the size of exp(-2 x)."""
    return [1.0, 1.0 - 1.0 / x, 1.0 - 3.0 / x + 3.0 / x**2][l] / (2.0 * x)


def spherical_harmonics(unit):
    """Return real Y_lm of a unit vector for l = 0, 1, 2 and m = -l ... l."""
    x, y, z = unit
    return [
        np.sqrt(0.25 / np.pi) * np.ones(1),
        np.sqrt(0.75 / np.pi) * np.array([y, z, x]),
        np.sqrt(3.75 / np.pi)
        * np.array([x * y, y * z, (3 * z**2 - 1) / 12**0.5, x * z, (x**2 - y**2) / 2]),
    ]


def gauss_legendre(start, stop, n):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    half = 0.5 * (stop - start)
    return start + half * (nodes + 1.0), half * weights


def draw(axes, name, distances, curves, power):
    """Draw one curve and what the models make of it."""
    own = {"color": COLORS[power], "lw": 1.0}
    axes.loglog(distances, abs(curves["exact"]), **own)
    axes.loglog(distances, abs(curves["LODE"]), "o", ms=4, **own)
    soap = np.maximum(abs(curves["SOAP"]), 1e-12)
    axes.loglog(distances, soap, ":", **own)
    axes.axvspan(*FITTED, color="0.93", zorder=0)
    axes.set(title=name, ylim=(1e-9, 10.0), xlabel="distance (Å)")
    axes.set_ylabel("size of the interaction energy (eV)")


def draw_legend(figure):
    axes = figure.axes[0]
    for style, label in (("-", "exact"), ("o", "LODE"), (":", "SOAP")):
        axes.plot([], [], style, color="black", label=label)
    for power, color in COLORS.items():
        axes.plot([], [], color=color, lw=4, label=f"distance to the power {power}")
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=6
    )


if __name__ == "__main__":
    main()
