"""Errors of predictions against reference values, as arrays and as numbers."""

from dataclasses import dataclass

import numpy as np

from lodekit.observables.branches import fold, polarization_quanta
from lodekit.observables.charges import OBSERVABLES
from lodekit.observables.tensors import is_per_atom, read_tensor
from lodekit.quantities import UNITS, error_units, quantity


@dataclass
class Comparison:
    """Reference and predicted values of one target, one entry per number.

    Attributes
    ----------
    target : str
        A name in `UNITS`, in whose unit the values are, so that energies are per atom;
        or that of any tensor, as it is written.
    reference, predicted : ndarray of shape (n,)
        The values.
    frame : ndarray of shape (n,)
        Which frame, counted from 0, a value belongs to.
    species : ndarray of shape (n,) or None
        Atomic number of the atom that a value belongs to; None for values of frames.
    std : ndarray of shape (n,) or None
        Predicted standard deviations; None when they were not computed.
    """

    target: str
    reference: np.ndarray
    predicted: np.ndarray
    frame: np.ndarray
    species: np.ndarray | None = None
    std: np.ndarray | None = None

    @property
    def unit(self):
        """Unit of values and errors."""
        return unit_of(self.target)

    @property
    def errors(self):
        """Predicted minus reference values."""
        return self.predicted - self.reference

    def subset(self, chosen):
        """Return the comparison of some values, chosen by mask or index."""
        return Comparison(
            self.target,
            self.reference[chosen],
            self.predicted[chosen],
            self.frame[chosen],
            None if self.species is None else self.species[chosen],
            None if self.std is None else self.std[chosen],
        )


def unit_of(target):
    """Return the unit of the errors of a target, nothing where it is not known.

    >>> unit_of("energy"), unit_of("polarizability"), unit_of("something else")
    ('eV/atom', 'Å³', '')
    """
    return error_units([target])[target]


def compare(frames, results, targets=None):
    """Compare predictions with what the frames carry.

    Parameters
    ----------
    frames : list of ase.Atoms
        Structures with reference values.
    results : list of dict
        Predictions for them, as ``model.compute`` returns them.
    targets : list of str, optional
        Targets to compare; those of `UNITS` when left out.

    Returns
    -------
    comparisons : dict of Comparison
        By target; targets that no frame has, or that were not predicted, are left out.
        A polarization counts on the branch nearest to its prediction.
        Frames without a target do not count for it.

    Raises
    ------
    ValueError
        If reference values cannot be right, such as transposed Born charges.
    """
    comparisons = {}
    for target in targets or UNITS:
        if target in OBSERVABLES:
            is_predicted = [target in result for result in results]
            check_references(frames, target, is_predicted)
        parts = [
            _compare_frame(target, index, structure, result)
            for index, (structure, result) in enumerate(
                zip(frames, results, strict=True)
            )
        ]
        parts = [part for part in parts if part is not None]
        if parts:
            comparisons[target] = _join(target, parts)
    return comparisons


def check_references(frames, target, predicted) -> None:
    """Raise ``ValueError`` where reference values of predicted frames are wrong."""
    observable = OBSERVABLES[target]
    pairs = enumerate(zip(frames, predicted, strict=True))
    chosen = [i for i, (atoms, is_p) in pairs if is_p and observable.is_given(atoms)]
    observable.check_references(frames, chosen)


def _compare_frame(target, index, structure, result):
    """Return reference, prediction, frame, species and deviation of each number."""
    if target not in result:
        return None
    values = read_tensor(structure, target)
    if values is None:
        return None
    if target in OBSERVABLES:  # as it is predicted: a quadrupole without the trace
        observable = OBSERVABLES[target]
        values = observable.present(structure, observable.reference(structure))
    if quantity(target).is_lattice and structure.pbc.all():
        quanta = [polarization_quanta(structure)]
        values = fold([values], [result[target]], quanta).values[0]
    scale = 1.0 / len(structure) if target == "energy" else 1.0
    values = scale * np.ravel(values)
    predicted = scale * np.ravel(result[target])
    std = result.get(f"{target}_std")
    numbers = ()
    if quantity(target).per_atom or is_per_atom(structure, target):
        numbers = structure.numbers
    return (
        values,
        predicted,
        np.full(values.size, index),
        np.repeat(numbers, values.size // len(structure)),
        np.full(values.size, np.nan) if std is None else scale * np.ravel(std),
    )


def _join(target, parts):
    reference, predicted, frame, species, std = map(
        np.concatenate, zip(*parts, strict=True)
    )
    return Comparison(
        target,
        reference,
        predicted,
        frame,
        species.astype(int) if species.size else None,
        None if np.isnan(std).any() else std,
    )


def error_statistics(comparison):
    """Return the numbers that summarise one comparison.

    Parameters
    ----------
    comparison : Comparison
        With one value at least.

    Returns
    -------
    statistics : dict
        "rmse", "mae" and "max" (largest absolute error) in "unit"; "r2", the
        coefficient of determination, None when all reference values are equal; "n",
        the number of values: frames for energies, atoms for charges, components for
        vectors and tensors.
    """
    errors = comparison.errors
    spread = np.sum((comparison.reference - comparison.reference.mean()) ** 2)
    squares = float(np.sum(errors**2))
    # Values that differ by rounding only have no spread that could be explained.
    scale = np.finfo(float).eps * np.abs(comparison.reference).max()
    explained = spread > errors.size * scale**2
    return {
        "rmse": float(np.sqrt(squares / errors.size)),
        "mae": float(np.abs(errors).mean()),
        "unit": comparison.unit,
        "n": int(errors.size),
        "max": float(np.abs(errors).max()),
        "r2": float(1.0 - squares / spread) if explained else None,
    }


def summarize(comparisons):
    """Return `error_statistics` for every target."""
    return {
        target: error_statistics(comparison)
        for target, comparison in comparisons.items()
    }


def summarize_by_group(comparisons, labels):
    """Return `error_statistics` for every group of frames and target.

    Parameters
    ----------
    comparisons : dict of Comparison
        From `compare`.
    labels : list of str
        Group of each frame.

    Returns
    -------
    summary : dict of dict
        By group in alphabetical order, then by target.
    """
    labels = np.asarray(labels)
    summary = {}
    for label in np.unique(labels):
        statistics = {}
        for target, comparison in comparisons.items():
            chosen = labels[comparison.frame] == label
            if chosen.any():
                statistics[target] = error_statistics(comparison.subset(chosen))
        if statistics:
            summary[str(label)] = statistics
    return summary


def summarize_by_element(comparisons):
    """Return `error_statistics` of the targets of atoms for every element.

    Returns
    -------
    summary : dict of dict
        By chemical symbol in the order of atomic numbers, then by target.
    """
    from ase.data import chemical_symbols

    summary = {}
    for target, comparison in comparisons.items():
        if comparison.species is None:
            continue
        for number in np.unique(comparison.species):
            of_element = comparison.subset(comparison.species == number)
            element = summary.setdefault(chemical_symbols[number], {})
            element[target] = error_statistics(of_element)
    return summary


def subtract_composition(frames, comparison):
    """Return energies per atom relative to a fit to the composition of the frames.

    What is left is what a model can be wrong about; energies of different compositions
    can be shown on one axis.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures that were compared.
    comparison : Comparison
        Of the energy.

    Returns
    -------
    relative : Comparison
        With the least-squares composition energy of the reference values taken away
        from reference and prediction alike.
    """
    numbers = sorted({int(z) for structure in frames for z in structure.numbers})
    fractions = np.array(
        [
            [np.mean(frames[index].numbers == z) for z in numbers]
            for index in comparison.frame
        ]
    )
    energies = np.linalg.lstsq(fractions, comparison.reference, rcond=None)[0]
    relative = comparison.subset(slice(None))
    relative.reference = comparison.reference - fractions @ energies
    relative.predicted = comparison.predicted - fractions @ energies
    return relative


def coverage(comparison, levels=(1.0, 2.0)):
    """Return the fraction of errors within ``level`` predicted standard deviations.

    Returns
    -------
    fractions : dict of float
        By level; 0.68 and 0.95 are expected of one and two for Gaussian errors.
    """
    ratios = np.abs(comparison.errors) / comparison.std
    return {level: float(np.mean(ratios <= level)) for level in levels}
