"""Electron densities of water: fit molecules and dimers, predict eight molecules
==============================================================================

Run it with ``python examples/15_electron_densities.py``.

Reads densities made by `make_densities.py` (71 coefficients for a molecule), fits
`ElectronDensityModel` to molecules and to dimers, judges it on dimers and on a cluster
of eight molecules, saves and loads it, and turns a molecule to show that coefficients
turn with it. Draws the error of the density in a plane of the cluster, and its
electrostatic potential. Plots go to ``examples/output``.
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit import load_model
from lodekit.density import DensitySet
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities

EXAMPLES = pathlib.Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "output"


def main():
    OUTPUT.mkdir(exist_ok=True)
    densities = DensitySet.load(EXAMPLES / "data" / "water_densities.npz")
    groups = np.array([atoms.info["group"] for atoms in densities.frames])
    monomers, dimers = (np.flatnonzero(groups == g) for g in ("monomer", "dimer"))
    octamer = densities.select(np.flatnonzero(groups == "octamer"))
    print(f"{len(densities)} densities in {densities.basis}")

    train = {
        "monomers": monomers[:32],
        "monomers and dimers": [*monomers[:32], *dimers[:12]],
    }
    tests = {
        "monomers": densities.select(monomers[32:]),
        "dimers": densities.select(dimers[12:]),
        "octamer": octamer,
    }
    for name, chosen in train.items():
        model = ElectronDensityModel(n_sparse=100).fit(densities.select(chosen))
        for group, test in tests.items():
            errors = judge_densities(model, test, spacing=0.25)
            print(
                f"fitted to {name:20s}{group:10s}"
                f"{errors['density']['rmse']:8.3f} % of the deviation"
                f"{errors['density_on_grid']['rmse']:8.3f} % of the density"
                f"{errors['dipole']['rmse']:9.4f} e·Å"
                f"{errors['electrostatic_energy']['rmse']:8.3f} eV"
            )

    model.save(OUTPUT / "15_density.lodekit", overwrite=True)
    loaded = load_model(OUTPUT / "15_density.lodekit")
    atoms = octamer.frames[0]
    same = np.array_equal(loaded.predict(atoms)[0], model.predict(atoms)[0])
    print(f"the loaded model predicts {'the same' if same else 'something else'}")
    turned = atoms.copy()
    turned.rotate(40.0, "y")
    (first, second) = model.compute([atoms, turned], ["dipole", "n_electrons"])
    lengths = (np.linalg.norm(own["dipole"]) for own in (first, second))
    print("lengths of the dipole, also turned: {:.8f} {:.8f} e·Å".format(*lengths))
    print(f"electrons of 80: 80 + {first['n_electrons'] - 80.0:.1e}")
    draw(octamer.density(0), model.density(atoms))


def draw(expected, predicted):
    """Draw density, error and potential in the plane of four oxygen atoms."""
    x, y = np.meshgrid(np.linspace(-2.0, 5.0, 141), np.linspace(-2.0, 5.0, 141))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.01)], axis=1)
    density, error = (
        own.reshape(x.shape)
        for own in (
            expected.values(points),
            predicted.values(points) - expected.values(points),
        )
    )
    potential = predicted.potential(points).reshape(x.shape)
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = (
        (np.log10(np.maximum(density, 1e-4)), "log10 of density, 1/Å³", -3.0, 1.0),
        (error, "error of the density, 1/Å³", -0.03, 0.03),
        (potential, "predicted potential, V", -3.0, 3.0),
    )
    for axes, (values, title, low, high) in zip(
        figure.subplots(1, 3), panels, strict=True
    ):
        image = axes.pcolormesh(x, y, values, vmin=low, vmax=high, cmap="RdBu_r")
        figure.colorbar(image, ax=axes)
        axes.set(title=title, xlabel="x, Å", ylabel="y, Å", aspect="equal")
    figure.savefig(OUTPUT / "15_densities.png", dpi=120)
    print(f"wrote {OUTPUT / '15_densities.png'}")


if __name__ == "__main__":
    main()
