"""Kinds of models that ``lodekit fit`` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lodekit.quantities import CHARGES, ENERGIES, family, quantity

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.density.density_set import DensitySet
    from lodekit.models.model import Model

    from .names_of_types import Settings

    Frames = list[Atoms] | DensitySet

#: Targets of charges that are fitted where nothing is named.
USUAL = tuple(name for name in CHARGES if quantity(name).by_default)


class Kind(Protocol):
    """A kind of model on the command line.

    Attributes
    ----------
    targets, default_targets : tuple of str
        Targets that can be fitted, any where there are none, and those that are fitted
        where the user names none.
    needs_total_charge : bool
    """

    targets: tuple[str, ...]
    default_targets: tuple[str, ...]
    needs_total_charge: bool

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        ...

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        ...

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        ...


class Potential:
    """A `SparsePotential`."""

    #: Targets that can be fitted, and those fitted where the user names none.
    targets = default_targets = ENERGIES
    needs_total_charge = False

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        from lodekit.settings.potential import default_settings

        return default_settings(frames, targets)

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        from lodekit.settings.potential import check_settings

        return check_settings(settings)

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.settings import potential as models

        return models.build_potential(settings, progress=True)


class Charges:
    """A model of charges; energies go with it where they are named.

    Parameters
    ----------
    name : str
        Class in `lodekit.models`.
    default_targets : tuple of str
        Targets that are fitted where the user names none.
    """

    targets = (*CHARGES, *ENERGIES)
    needs_total_charge = True

    def __init__(self, name: str, default_targets: tuple[str, ...] = USUAL) -> None:
        self.name = name
        self.default_targets = default_targets

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        from lodekit.settings.charges import default_charge_settings

        return default_charge_settings(self.name, frames, targets)

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        from lodekit.settings.charges import check_charge_settings

        return check_charge_settings(self.name, settings)

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.settings.charges import build_charge_model

        return build_charge_model(self.name, settings, progress=True)


class Tensors:
    """A `TensorModel` of any tensors that the frames have."""

    #: Any name is a target.
    targets: tuple[str, ...] = ()
    default_targets: tuple[str, ...] = family("tensors")
    needs_total_charge = False

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        from lodekit.settings.tensors import default_tensor_settings

        return default_tensor_settings(targets)

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        from lodekit.settings.tensors import check_tensor_settings

        return check_tensor_settings(settings)

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.settings.tensors import build_tensor_model

        return build_tensor_model(settings, progress=True)


class BornCharges(Tensors):
    """A `BornChargeModel`."""

    targets: tuple[str, ...] = ("born_effective_charges",)
    default_targets = targets
    needs_total_charge = True

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.models.born_charge_model import BornChargeModel

        tensors = super().build(settings).get_params(deep=False)
        known = BornChargeModel().get_params(deep=False)
        return BornChargeModel(**{n: v for n, v in tensors.items() if n in known})


class Polarization:
    """A model of polarization, with a potential where energies are fitted.

    Parameters
    ----------
    name : str
        Class in `lodekit.models`.
    targets : tuple of str
    told_by_fields : tuple of str
        Targets that frames in electric fields tell without having them; the first is
        fitted wherever there are such frames.
    """

    needs_total_charge = True

    def __init__(
        self, name: str, targets: tuple[str, ...], told_by_fields: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.targets = self.default_targets = targets
        self.told_by_fields = told_by_fields

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        from lodekit.settings.polarization import default_polarization_settings

        return default_polarization_settings(self.name, frames, targets)

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        from lodekit.settings.polarization import check_polarization_settings

        return check_polarization_settings(self.name, settings)

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.settings.polarization import build_polarization_model

        return build_polarization_model(self.name, settings, progress=True)


class Densities:
    """An `ElectronDensityModel` of a file of densities."""

    #: One of them: the density, or its change in a field.
    targets = family("coefficients")
    default_targets = targets[:1]
    needs_total_charge = False

    def default_settings(self, frames: Frames, targets: list[str]) -> Settings:
        """Return complete settings for frames."""
        from lodekit.settings.densities import default_density_settings

        return default_density_settings(targets)

    def check_settings(self, settings: Settings) -> Settings:
        """Return complete settings, or say what is wrong with them."""
        from lodekit.settings.densities import check_density_settings

        return check_density_settings(settings)

    def build(self, settings: Settings) -> Model:
        """Return an unfitted model."""
        from lodekit.settings.densities import build_density_model

        return build_density_model(settings, progress=True)


INDUCED = (*ENERGIES, *family("polarization"))
POLARIZATION = (*INDUCED, *family("nonlinear responses"))
KINDS: dict[str, Kind] = {
    "potential": Potential(),
    "charges": Charges("ChargeModel"),
    "dipole": Charges("DipoleModel", ("dipole",)),
    "kqeq": Charges("ChargeEquilibrationModel"),
    "latent-charges": Charges("LatentChargeModel", ENERGIES),
    "tensor": Tensors(),
    "polarization": Polarization(
        "PolarizationModel", POLARIZATION, family("field responses")
    ),
    "wannier": Polarization("WannierModel", (*POLARIZATION, *family("wannier"))),
    "born-charges": BornCharges(),
    "induced-dipoles": Polarization("InducedDipoleModel", INDUCED),
    "density": Densities(),
}
#: Every target of some kind, but for the names of tensors.
ALL_TARGETS = tuple(
    dict.fromkeys(
        (
            *(*ENERGIES, *CHARGES, *POLARIZATION),
            *(*family("wannier"), *family("coefficients")),
        )
    )
)
