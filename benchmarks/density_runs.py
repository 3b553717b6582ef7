"""What the cases of ``density.py`` share: descriptors, timed fits, and files."""

import pathlib
import resource
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
from lodekit.density import DensitySet
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    SphericalExpansion,
)
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance

ROOT = pathlib.Path(__file__).resolve().parents[1]
REPOSITORY_DATA = ROOT / "examples" / "data"


def soap(max_angular=6, max_radial=7, width=0.3, cutoff=4.0, smoothing=0.5):
    """The expansion of SALTED's water example: cutoff 4 Å, width 0.3 Å, 8 radial."""
    return SphericalExpansion(
        cutoff={
            "radius": cutoff,
            "smoothing": {"type": "ShiftedCosine", "width": smoothing},
        },
        density={"type": "Gaussian", "width": width},
        basis={
            "type": "TensorProduct",
            "max_angular": max_angular,
            "radial": {"type": "Gto", "max_radial": max_radial},
        },
    )


def lode(max_angular=3, max_radial=2, smearing=1.2, radius=3.0, exponent=1):
    """The potential of all atoms around each of them."""
    return LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": smearing, "exponent": exponent},
        basis={
            "type": "TensorProduct",
            "max_angular": max_angular,
            "radial": {"type": "Gto", "max_radial": max_radial, "radius": radius},
        },
    )


def peer_model(n_sparse=100, **arguments):
    """The descriptor settings of SALTED's example; the rest is lodekit's."""
    return ElectronDensityModel(
        EquivariantPowerSpectrum(soap()),
        EquivariantCovariance(zeta=2),
        n_sparse,
        **arguments,
    )


def timed_fit(model, densities):
    """Return the fitted model, seconds on the wall, and of the processor."""
    wall, own = time.perf_counter(), time.process_time()
    model.fit(densities)
    return model, time.perf_counter() - wall, time.process_time() - own


def compile_loops(densities):
    """Fit to a few densities, so that no loop is compiled later."""
    model = ElectronDensityModel(n_sparse=2, n_channels=5, validation_fraction=0.5)
    model.fit(densities.select(range(min(4, len(densities)))))


def fit_and_judge(model, train, test):
    """Return a row of numbers: errors on kept densities, seconds, weights."""
    model, seconds, processor = timed_fit(model, train)
    start = time.perf_counter()
    model.predict(test.frames)
    per_atom = (time.perf_counter() - start) / sum(map(len, test.frames))
    errors = judge_densities(model, test)
    return model, {
        "density_error_percent": errors["density"]["rmse"],
        "seconds": seconds,
        "processor_seconds": processor,
        "predict_ms_per_atom": 1e3 * per_atom,
        "n_weights": model.summary_["rank"],
        "strength": model.summary_["strength"],
        "held_out_percent": model.summary_["held_out_percent"],
        "dipole_rmse": errors["dipole"]["rmse"],
        "hartree_rmse": errors["hartree_energy"]["rmse"],
        "steps": model.summary_["seconds"],
    }


def peak_gb():
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def find_densities(folder, names, smaller, source):
    """Return densities, and a note where they are not the first ones asked for.

    Parameters
    ----------
    folder : pathlib.Path
    names : list of str
        Files, of which the first one that is there is read.
    smaller : str
        File of the repository that takes their place.
    source : str
        Where the first file comes from.
    """
    found = [folder / name for name in names if (folder / name).exists()]
    if found and found[0].name == names[0]:
        return DensitySet.load(found[0]), None
    file = found[0] if found else REPOSITORY_DATA / smaller
    return DensitySet.load(file), missing(folder / names[0], source, file)


def missing(path, source, file):
    """Return the note on a file that is not there."""
    return f"there is no {path} ({source}); this is a smaller run on {file.name}"
