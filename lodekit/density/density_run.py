"""Densities of many structures, one after the other, in a file that is always whole.

The file holds what has been finished. It is replaced by a longer one every so often, so
that it is never half written, and an interrupted run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.errors import DensityFileError, StructureError
from lodekit.observables.fields import POINT_CHARGES
from lodekit.structures import frame_name, get_target
from lodekit.structures.writing import frame_text
from lodekit.whole_files import check_destination

from .basis import DensityBasis
from .density_set import DensitySet, write_density_file
from .pyscf_density import (
    CalculatedDensity,
    Calculation,
    NotConverged,
    calculate_density,
    check_functional,
)
from .pyscf_molecule import MULTIPLICITY_KEYS
from .pyscf_response import (
    calculate_charge_response,
    calculate_response,
    without_charges,
)

#: Digits of positions in files; what is calculated has no more.
DIGITS = 8
#: Writing takes at most this part of the time.
WRITING_SHARE = 0.05


@dataclass
class DensityRun:
    """Densities of frames by PySCF, collected in one file.

    Parameters
    ----------
    frames : list of ase.Atoms
        Open structures.
    calculation : Calculation
        How densities are calculated.
    basis : DensityBasis
        What they are expanded in.
    path : str or Path
        The file; densities that it has already are kept.
    overwrite : bool
        Whether to begin again where it exists.

    Raises
    ------
    DensityFileError
        If the file has densities that were made in another way, or of other frames.
    """

    frames: list
    calculation: Calculation
    basis: DensityBasis
    path: str | Path
    overwrite: bool = False
    failed: dict = field(default_factory=dict, init=False)

    def __post_init__(self):
        """Check everything that can be wrong, and take over what is finished."""
        self.frames = [rounded(atoms) for atoms in self.frames]
        self.keys = [frame_key(atoms) for atoms in self.frames]
        self.finished: dict = {}
        self.nuclear_charges: dict = {}
        self.write_after = 0.0
        exists = Path(self.path).exists() and not self.overwrite
        # an existing file is read and continued, or refused, in `resume`
        self.path = check_destination(self.path, True, DensityFileError)
        check_functional(self.calculation.functional)
        _ = self.calculation.density_metric
        for number in {int(z) for atoms in self.frames for z in atoms.numbers}:
            self.basis.shells_of(number)
        if exists:
            self.resume(DensitySet.load(self.path))

    @property
    def record(self) -> dict:
        """The record in the file of how densities were made."""
        return {"code": "PySCF", "calculation": self.calculation.to_dict()}

    @property
    def n_finished(self) -> int:
        """Number of frames whose densities are there."""
        return sum(key in self.finished for key in self.keys)

    def resume(self, densities: DensitySet) -> None:
        """Take over the densities of a file."""
        settings = densities.record.get("calculation") or {}
        wanted = self.calculation.to_dict()
        different = [
            name for name, value in wanted.items() if settings.get(name) != value
        ]
        if densities.basis != self.restricted(densities):
            different.append("auxiliary basis")
        if densities.perturbation != self.calculation.response:
            different.append("responses")
        if different:
            raise DensityFileError(
                f"{self.path}: has densities with other settings ("
                f"{', '.join(different)}); choose another output, or overwrite it"
            )
        known = set(self.keys)
        for index, atoms in enumerate(densities.frames):
            key = frame_key(atoms)
            if key not in known:
                raise DensityFileError(
                    f"{self.path}: {frame_name(index)} of it is not among the "
                    "structures; choose another output, or overwrite it"
                )
            self.finished[key] = (
                frame_text(atoms),
                atoms,
                densities.coefficients[index],
                None if densities.responses is None else densities.responses[index],
            )
        self.nuclear_charges = dict(densities.nuclear_charges)

    def restricted(self, densities: DensitySet) -> DensityBasis:
        """Return the basis for the elements that a file has."""
        elements = {
            number: shells
            for number, shells in self.basis.shells.items()
            if number in densities.basis.shells
        }
        return DensityBasis(elements or self.basis.shells, self.basis.name)

    def run(self, advance: Callable[[int], None] = lambda count: None) -> DensitySet:
        """Calculate what is missing, and return all densities that there are.

        Parameters
        ----------
        advance : callable
            Called with the number of frames that are done in addition.

        Raises
        ------
        StructureError
            If a frame cannot be calculated at all; earlier ones are in the file.
        """
        advance(self.n_finished)
        try:
            for index, (atoms, key) in enumerate(
                zip(self.frames, self.keys, strict=True)
            ):
                if key in self.finished:
                    continue
                self.calculate(index, atoms, key)
                advance(1)
                if time.perf_counter() > self.write_after:
                    self.write()
        finally:
            if self.finished:
                self.write()
        return self.collected()

    def calculate(self, index: int, atoms: Atoms, key: tuple) -> None:
        """Calculate one frame; one that does not converge is kept in ``failed``."""
        try:
            result, response, more = self.respond(atoms)
        except NotConverged as problem:
            self.failed[index] = str(problem)
            return
        except StructureError as problem:
            raise StructureError(f"{frame_name(index)}: {problem}") from None
        for number, charge in zip(atoms.numbers, result.nuclear_charges, strict=True):
            if charge != number:
                self.nuclear_charges[int(number)] = float(charge)
        finished = with_results(atoms, result, self.calculation)
        finished.info |= more
        values = result.coefficients, response
        self.finished[key] = (frame_text(finished), finished, *values)

    def respond(
        self, atoms: Atoms
    ) -> tuple[CalculatedDensity, np.ndarray | None, dict]:
        """Return the density of a frame, its change, and what else the frame gets."""
        settings = self.calculation, self.basis
        if self.calculation.response == "charges":
            response = calculate_charge_response(atoms, *settings)
            return calculate_density(without_charges(atoms), *settings), response, {}
        result = calculate_density(atoms, *settings)
        if self.calculation.response is None:
            return result, None, {}
        response, alpha = calculate_response(atoms, *settings)
        return result, response, {"polarizability": alpha.ravel()}

    def collected(self) -> DensitySet:
        """Return the finished densities in the order of the frames."""
        finished = [self.finished[key] for key in self.keys if key in self.finished]
        has_responses = self.calculation.response is not None
        return DensitySet(
            [atoms for _, atoms, _, _ in finished],
            self.basis,
            [coefficients for _, _, coefficients, _ in finished],
            [response for _, _, _, response in finished] if has_responses else None,
            nuclear_charges=self.nuclear_charges,
            record=self.record,
        )

    def write(self) -> None:
        """Replace the file by one with all finished densities."""
        start = time.perf_counter()
        texts = [self.finished[key][0] for key in self.keys if key in self.finished]
        write_density_file(self.path, self.collected(), texts, overwrite=True)
        end = time.perf_counter()
        self.write_after = end + (end - start) / WRITING_SHARE

    def check(self) -> None:
        """Raise an error if frames did not converge.

        Raises
        ------
        NotConverged
            With the frames.
        """
        if not self.failed:
            return
        names = ", ".join(str(index + 1) for index in list(self.failed)[:10])
        dots = ", ..." if len(self.failed) > 10 else ""
        raise NotConverged(
            f"{len(self.failed)} of {len(self.frames)} frames did not converge and are "
            f"not in {self.path.name}: frames {names}{dots}; leave them out or change "
            "their geometry, charge or spin"
        )


def rounded(atoms: Atoms) -> Atoms:
    """Return a copy with the digits of positions that files keep."""
    copy = atoms.copy()
    copy.positions = np.round(copy.positions, DIGITS) + 0.0
    charge = get_target(atoms, "total_charge")
    if charge is not None:
        copy.info["total_charge"] = charge
    return copy


def frame_key(atoms: Atoms) -> tuple:
    """Return the key of a structure: species, positions, charges and spin."""
    positions = tuple(f"{x:.{DIGITS}f}" for x in np.ravel(atoms.positions) + 0.0)
    spins = [str(atoms.info[key]) for key in MULTIPLICITY_KEYS if key in atoms.info]
    charge = get_target(atoms, "total_charge") or 0.0
    beside = get_target(atoms, POINT_CHARGES)
    places = () if beside is None else tuple(np.round(beside, DIGITS).ravel().tolist())
    return (tuple(atoms.numbers.tolist()), positions, charge, *spins[:1], places)


def with_results(
    atoms: Atoms, result: CalculatedDensity, calculation: Calculation
) -> Atoms:
    """Return a frame with energy and dipole of the calculation, and its field."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, energy=result.energy, dipole=result.dipole)
    if any(calculation.field):
        copy.info["field"] = np.array(calculation.field)
    return copy
