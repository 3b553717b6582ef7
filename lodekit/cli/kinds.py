"""Kinds of models that ``lodekit fit`` knows."""

ENERGIES = ("energy", "forces", "stress")


class Potential:
    """A `SparsePotential`."""

    #: Targets that can be fitted, and those fitted where the user names none.
    targets = default_targets = ENERGIES
    takes_weights = True

    def default_settings(self, frames, targets):
        """Return complete settings for frames."""
        from lodekit.models.settings import default_settings

        return default_settings(frames, targets)

    def check_settings(self, settings):
        """Return complete settings, or say what is wrong with them."""
        from lodekit.models.settings import check_settings

        return check_settings(settings)

    def build(self, settings):
        """Return an unfitted model."""
        from lodekit.models import settings as models

        return models.build_potential(settings, progress=True)


class Charges:
    """A `ChargeModel`; energies go with it where they are named."""

    targets = ("charges", "dipole", "quadrupole", *ENERGIES)
    default_targets = ("charges", "dipole", "quadrupole")
    takes_weights = False
    name = "ChargeModel"

    def default_settings(self, frames, targets):
        """Return complete settings for frames."""
        from lodekit.models.charge_settings import default_charge_settings

        return default_charge_settings(targets)

    def check_settings(self, settings):
        """Return complete settings, or say what is wrong with them."""
        from lodekit.models.charge_settings import check_charge_settings

        return check_charge_settings(settings)

    def build(self, settings):
        """Return an unfitted model."""
        from lodekit.models.charge_settings import build_charges

        return build_charges(settings, progress=True, kind=self.name)


class Dipoles(Charges):
    """A `DipoleModel`."""

    targets = ("dipole", "quadrupole")
    default_targets = ("dipole",)
    name = "DipoleModel"

    def default_settings(self, frames, targets):
        """Return complete settings for frames."""
        from lodekit.models.charge_settings import default_dipole_settings

        return default_dipole_settings(targets)


KINDS = {"potential": Potential(), "charges": Charges(), "dipole": Dipoles()}
#: Every target of some kind.
ALL_TARGETS = tuple(dict.fromkeys(t for kind in KINDS.values() for t in kind.targets))


def computed_properties(model):
    """Return what a fitted model computes, of what can be compared with targets."""
    return getattr(model, "properties", ENERGIES)
