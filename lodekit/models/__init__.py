"""scikit-learn estimators, one file per family."""

from .charge_equilibration import ChargeEquilibrationModel
from .charge_model import ChargeModel, DipoleModel
from .sparse_potential import SparsePotential

__all__ = ["ChargeEquilibrationModel", "ChargeModel", "DipoleModel", "SparsePotential"]
