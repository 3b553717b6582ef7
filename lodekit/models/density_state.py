"""A fitted `ElectronDensityModel` as plain settings and arrays, for model files."""

from __future__ import annotations

from dataclasses import asdict

from sklearn.utils.validation import check_is_fitted

from lodekit.density import DensityBasis, DensityMetric
from lodekit.parameters import decode_parameters, encode
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .density_features import DensityFeatures
from .potential_state import read_summary
from .tensor_state import read_kernels

#: Parameters that are written apart.
OBJECTS = ("basis", "metric")


class DensityState:
    """What `ElectronDensityModel` does to become a model file and come back."""

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "weights_")
        store, arrays = PointStore(), {"species": self.species_}
        kernels_by_key = self.features_.kernels
        charges = self.nuclear_charges_.items()
        settings = {
            "parameters": {
                name: encode(value, f"ElectronDensityModel.{name}")
                for name, value in self.get_params(deep=False).items()
                if name not in OBJECTS
            },
            "metric": None if self.metric is None else asdict(self.metric),
            "has_basis": self.basis is not None,
            "basis": self.basis_.to_dict(),
            "nuclear_charges": {str(z): float(charge) for z, charge in charges},
            "terms": [
                {
                    "equivariants": encode(kernel.equivariants, "descriptor"),
                    "covariance": encode(kernel.covariance, "covariance"),
                }
                for kernel in next(iter(kernels_by_key.values()))
            ],
            "kernels": [],
            "summary": self.summary_,
        }
        for (order, sigma), kernels in kernels_by_key.items():
            entry = {"order": order, "sigma": sigma, "terms": []}
            for number, kernel in enumerate(kernels):
                name = f"kernels/{order}/{sigma}/{number}"
                term, more = kernel.get_state(name, store)
                entry["terms"].append(term)
                arrays |= more
            settings["kernels"].append(entry)
        arrays |= {f"means/{z}": own for z, own in self.means_.items()}
        arrays |= {f"weights/{z}/{l}": own for (z, l), own in self.weights_.items()}
        arrays |= store.arrays()
        self.add_range(settings, arrays)
        return {"class": type(self).__name__, "settings": settings, "arrays": arrays}

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`.

        Raises
        ------
        ValueError, KeyError
            If the state contradicts itself, or lacks something.
        """
        stored = StoredModel(state)
        model = cls(**decode_parameters(cls, stored.setting("parameters", dict)))
        model.species_ = stored.species()
        model.basis_ = DensityBasis.from_dict(stored.setting("basis", dict))
        charges = stored.setting("nuclear_charges", dict)
        own = StoredModel({"settings": charges, "arrays": {}})
        if stored.setting("has_basis", bool):
            model.basis = model.basis_
        if stored.has_setting("metric"):
            model.metric = DensityMetric(**stored.setting("metric", dict))
        model.nuclear_charges_ = {int(z): own.positive(z) for z in charges}
        model.features_ = DensityFeatures(
            model.basis_, model.species_, model.is_response
        )
        model.features_.kernels = read_kernels(stored, model.species_)
        if set(model.features_.kernels) != set(model.features_.keys):
            raise ValueError("the orders of the kernels are not those of the basis")
        shapes = model.features_.shapes()
        model.means_ = {
            z: stored.array(f"means/{z}", n_shells)
            for (z, l), (n_shells, _) in shapes.items()
            if l == 0
        }
        model.weights_ = {
            (z, l): stored.array(f"weights/{z}/{l}", *shape)
            for (z, l), shape in shapes.items()
        }
        model.summary_ = read_summary(stored, model.species_)
        model.take_range(stored)
        stored.finish()
        return model
