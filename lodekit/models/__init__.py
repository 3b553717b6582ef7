"""scikit-learn estimators, one file per family."""

from .charge_equilibration import ChargeEquilibrationModel
from .charge_model import ChargeModel, DipoleModel
from .latent_charge_model import LatentChargeModel
from .sparse_potential import SparsePotential

__all__ = [
    "ChargeEquilibrationModel",
    "ChargeModel",
    "DipoleModel",
    "LatentChargeModel",
    "SparsePotential",
]
