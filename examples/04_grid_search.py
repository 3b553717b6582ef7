"""Choose settings of a potential with the tools of scikit-learn
=============================================================

Run it with ``python examples/04_grid_search.py``.

Searches the power of the covariance, the number of sparse points and the cutoff by
cross-validation, judges the best on clusters of a size that took no part in the fit,
and puts it into a pipeline that starts from a file.
"""

import os
import pathlib
import time

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneGroupOut,
    cross_val_predict,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lodekit import read_structures
from lodekit.descriptors import PowerSpectrum, SphericalExpansion
from lodekit.metrics import NegativeRMSE
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance

SMALL = os.environ.get("LODEKIT_EXAMPLES") == "small"  # as for the pages
RADII = (3.0, 4.5) if SMALL else (3.0, 4.5, 6.0)
PATH = pathlib.Path(__file__).resolve().parent / "data" / "water_clusters.xyz"


def cutoff(radius):
    """Return a cutoff (Å) that is smooth over its last 2 Å."""
    return {"radius": radius, "smoothing": {"type": "ShiftedCosine", "width": 2.0}}


def read_subset(source):
    """Return the structures of a subset; ``source`` is a path and its name."""
    path, subset = source
    return [atoms for atoms in read_structures(path) if atoms.info["subset"] == subset]


# %%
# A potential of one SOAP term; noises are given, so that no frames are held out.
soap = SphericalExpansion(
    cutoff=cutoff(4.5),
    density={
        "type": "Gaussian",
        "width": 0.3,
        "scaling": {"type": "Willatt2018", "exponent": 6, "rate": 1.0, "scale": 1.5},
    },
    basis={
        "type": "TensorProduct",
        "max_angular": 4,
        "radial": {"type": "Gto", "max_radial": 5},
    },
)
potential = SparsePotential(
    PowerSpectrum(soap),
    PolynomialCovariance(zeta=2),
    n_sparse=100,
    energy_noise=1e-4,
    force_noise=3e-3,
    validation_fraction=0.0,
)

# %%
# All combinations, each fitted three times and judged on the third left out.
train = read_subset((PATH, "train"))
grid = {
    "covariance__zeta": [1, 2],
    "n_sparse": [50, 150],
    "descriptor__left__cutoff": [cutoff(radius) for radius in RADII],
}
start = time.perf_counter()
search = GridSearchCV(
    potential,
    grid,
    scoring=NegativeRMSE("energy", "forces"),
    refit="forces",
    cv=KFold(3, shuffle=True, random_state=0),
    error_score="raise",
)
search.fit(train)
table = search.cv_results_
print(
    f"{len(train)} clusters, {3 * len(table['params'])} fits in "
    f"{time.perf_counter() - start:.0f} s"
)
print(f"{'zeta':>4}{'n_sparse':>10}{'cutoff':>8}{'energy':>10}{'forces':>10}{'fit':>8}")
print(f"{'Å':>22}{'meV/atom':>10}{'meV/Å':>10}{'s':>8}")
for place in np.argsort(table["rank_test_forces"], kind="stable"):
    chosen = table["params"][place]
    print(
        f"{chosen['covariance__zeta']:4}{chosen['n_sparse']:10}"
        f"{chosen['descriptor__left__cutoff']['radius']:8.1f}"
        f"{-1e3 * table['mean_test_energy'][place]:10.3f}"
        f"{-1e3 * table['mean_test_forces'][place]:10.1f}"
        f"{table['mean_fit_time'][place]:8.1f}"
    )

# %%
# Sizes that took no part in the fit: energies are sums over atoms, so that a model
# of small clusters can be asked about large ones.
sizes = np.array([atoms.info["n_molecules"] for atoms in train])
energies = np.array([atoms.get_potential_energy() for atoms in train])
predicted = cross_val_predict(
    search.best_estimator_, train, groups=sizes, cv=LeaveOneGroupOut()
)
print("\nclusters of one size, predicted from all other sizes")
for size in np.unique(sizes):
    errors = (predicted - energies)[sizes == size] / (3 * size)
    print(
        f"{size} molecules, {errors.size:2} clusters: RMSE "
        f"{1e3 * np.sqrt(np.mean(errors**2)):.2f} meV/atom"
    )

# %%
# From a file to predictions in one object.
pipeline = Pipeline(
    [
        ("read", FunctionTransformer(read_subset)),
        ("potential", clone(search.best_estimator_)),
    ]
)
pipeline.fit((PATH, "train"))
print(
    f"\npipeline: R² of the test energies per atom {pipeline.score((PATH, 'test')):.6f}"
)
print(f"first predicted energy {pipeline.predict((PATH, 'test'))[0]:.4f} eV")
