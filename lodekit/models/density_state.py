"""A fitted `ElectronDensityModel` as plain settings and arrays, for model files."""

from __future__ import annotations

from dataclasses import asdict, fields

from lodekit.density import DensityBasis, DensityMetric
from lodekit.density.features import DensityFeatures
from lodekit.density.uncertainty import DensityCovariance
from lodekit.parameters import encode
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .tensor_state import kernel_state, read_kernels

#: Parameters that are written apart.
OBJECTS = ("basis", "metric")


class DensityState:
    """The part of `ElectronDensityModel` that writes model files and reads them."""

    def encoded_parameters(self) -> dict:
        """Return the parameters but for objects that have settings of their own."""
        return {
            name: encode(value, f"ElectronDensityModel.{name}")
            for name, value in self.get_params(deep=False).items()
            if name not in OBJECTS
        }

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add basis, kernels, means and weights."""
        store = PointStore()
        kernels, more = kernel_state(self.features_.kernels, store)
        charges = self.nuclear_charges_.items()
        settings |= {
            "metric": None if self.metric is None else asdict(self.metric),
            "has_basis": self.basis is not None,
            "basis": self.basis_.to_dict(),
            "nuclear_charges": {str(z): float(charge) for z, charge in charges},
            **kernels,
        }
        arrays |= more
        arrays |= {f"means/{z}": array for z, array in self.means_.items()}
        arrays |= {f"weights/{z}/{l}": array for (z, l), array in self.weights_.items()}
        arrays |= store.arrays()
        if self.covariance_ is not None:
            settings["covariance"], more = self.covariance_.get_state()
            arrays |= more

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.basis_ = DensityBasis.from_dict(stored.setting("basis", dict))
        charges = stored.setting("nuclear_charges", dict)
        nuclear = StoredModel({"settings": charges, "arrays": {}})
        if stored.setting("has_basis", bool):
            self.basis = self.basis_
        self.metric = read_metric(stored)
        self.nuclear_charges_ = {int(z): nuclear.positive(z) for z in charges}
        self.features_ = DensityFeatures(self.basis_, self.species_, self.perturbation)
        self.features_.kernels = read_kernels(stored, self.species_)
        if set(self.features_.kernels) != set(self.features_.keys):
            raise ValueError("the orders of the kernels are not those of the basis")
        shapes = self.features_.shapes()
        self.means_ = {
            z: stored.array(f"means/{z}", n_shells)
            for (z, l), (n_shells, _) in shapes.items()
            if l == 0
        }
        self.weights_ = {
            (z, l): stored.array(f"weights/{z}/{l}", *shape)
            for (z, l), shape in shapes.items()
        }
        self.covariance_ = None
        if stored.has_setting("covariance"):
            self.covariance_ = DensityCovariance.from_stored(stored, shapes)


def read_metric(stored: StoredModel) -> DensityMetric | None:
    """Return the metric that was a parameter of the model, if any."""
    if stored.settings["metric"] is None:
        return None
    metric = StoredModel({"settings": stored.setting("metric", dict), "arrays": {}})
    if set(metric.settings) != {field.name for field in fields(DensityMetric)}:
        raise ValueError(f"the metric is {metric.settings!r:.60}")
    weights = [metric.positive(name, least=0.0) for name in ("overlap", "coulomb")]
    return DensityMetric(*weights, metric.positive("accuracy", largest=1.0))
