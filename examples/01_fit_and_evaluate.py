"""Fit a potential to water clusters, judge it on clusters it has not seen, keep it
================================================================================

Run it with ``python examples/01_fit_and_evaluate.py``.

Prints the audit of the data, the errors and how well the predicted standard deviations
describe them. Writes ``water.lodekit`` and two figures to ``examples/output``.
"""

import pathlib
import time

import numpy as np

from lodekit import load_model, read_structures
from lodekit.analysis.errors import compare, coverage, summarize
from lodekit.analysis.plots import calibration_figure, target_figure
from lodekit.analysis.tables import format_errors
from lodekit.models import SparsePotential
from lodekit.structures import audit_structures, format_audit

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "output"
OUTPUT.mkdir(exist_ok=True)

# %%
# Read the structures and look at them before anything is fitted.
frames = read_structures(HERE / "data" / "water_clusters.xyz")
print(format_audit(audit_structures(frames)))

train = [atoms for atoms in frames if atoms.info["subset"] == "train"]
test = [atoms for atoms in frames if atoms.info["subset"] == "test"]

# %%
# Fit. Without arguments, descriptors, covariances and sparse points are chosen from
# the data; a tenth of the frames chooses the noises and calibrates the deviations.
start = time.perf_counter()
model = SparsePotential(targets=["energy", "forces"]).fit(train)
print(f"\nfitted {len(train)} frames in {time.perf_counter() - start:.0f} s")
print(f"sparse points by term   {model.summary_['n_sparse']}")
print(
    f"weights                 {model.summary_['rank']}, "
    f"{model.summary_['effective_rank']:.0f} of them fixed by the data"
)
print(
    f"noises                  {1e3 * model.noises_['energy']:.2g} meV/atom, "
    f"{1e3 * model.noises_['forces']:.2g} meV/Å"
)

# %%
# Judge it on the test set.
properties = ["energy", "forces", "energy_std", "forces_std"]
sets = {"train": train, "test": test}
results = {name: model.compute(own, properties) for name, own in sets.items()}
comparisons = {name: compare(own, results[name]) for name, own in sets.items()}
print()
print(format_errors({name: summarize(own) for name, own in comparisons.items()}))
for target, comparison in comparisons["test"].items():
    within = coverage(comparison)
    print(
        f"{target} errors in the test set: {100 * within[1.0]:.0f} % within one "
        f"standard deviation, {100 * within[2.0]:.0f} % within two"
    )

# %%
# Save it and load it again: the same model, to the last bit.
path = OUTPUT / "water.lodekit"
model.save(path, overwrite=True)
again = load_model(path).predict(test)
same = np.array_equal(again, [result["energy"] for result in results["test"]])
print(f"\nsaved {path.stat().st_size / 1e6:.1f} MB; ", end="")
print(f"the loaded model predicts {'the same' if same else 'something else'}")

# %%
# Draw predictions against references, and errors against standard deviations.
for target in ("energy", "forces"):
    own = {name: comparisons[name][target] for name in sets}
    figure = target_figure(target, own, sets)
    figure.savefig(OUTPUT / f"01_{target}.png", dpi=120)
calibration_figure(comparisons["test"]).savefig(OUTPUT / "01_deviations.png", dpi=120)
print(f"figures in {OUTPUT.relative_to(HERE.parent)}")
