"""scikit-learn estimators, one file per family."""

from .born_charge_model import BornChargeModel
from .charge_equilibration import ChargeEquilibrationModel
from .charge_model import ChargeModel, DipoleModel
from .electron_density_model import ElectronDensityModel
from .global_potential import GlobalPotential
from .induced_dipole_model import InducedDipoleModel
from .latent_charge_model import LatentChargeModel
from .polarization_model import PolarizationModel
from .sparse_potential import SparsePotential
from .tensor_model import TensorModel
from .wannier_model import WannierModel

__all__ = [
    "BornChargeModel",
    "ChargeEquilibrationModel",
    "ChargeModel",
    "DipoleModel",
    "ElectronDensityModel",
    "GlobalPotential",
    "InducedDipoleModel",
    "LatentChargeModel",
    "PolarizationModel",
    "SparsePotential",
    "TensorModel",
    "WannierModel",
]
