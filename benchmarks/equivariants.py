"""Time equivariant features of lodekit and of featomic, side by side in one run.

    python benchmarks/equivariants.py [--max-lambda 4] [--molecules 64] [--repeats 10]

A box of water, one thread: lambda-SOAP up to an order, tensors and pseudotensors
(cutoff 4 Å, width 0.3 Å), by featomic with its default layout and with one block for
all neighbours, by lodekit as the same TensorMap, as the arrays that models read, with a
tenth of the channels, and with the reverse pass. The shortest CPU time of the repeats
counts, so that other jobs on the machine do not. The largest difference of the values
comes first.
"""

import argparse
import os

for _name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np

SPECIES = np.array([1, 8])
#: max_angular and max_radial.
SIZES = [(4, 5), (6, 7)]


def density(max_angular, max_radial):
    return {
        "cutoff": {"radius": 4.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        "density": {"type": "Gaussian", "width": 0.3},
        "basis": {
            "type": "TensorProduct",
            "max_angular": max_angular,
            "radial": {"type": "Gto", "max_radial": max_radial},
        },
    }


def water_box(n_molecules):
    """Return molecules on a rattled grid, each turned at random, 1 g/cm³."""
    from ase import Atoms
    from ase.build import molecule

    rng = np.random.default_rng(0)
    size = round(n_molecules ** (1 / 3))
    box = Atoms(cell=3 * [3.107 * size], pbc=True)
    for place in np.ndindex(size, size, size):
        water = molecule("H2O")
        water.rotate(360 * rng.random(), rng.normal(size=3), center="COM")
        water.translate(3.107 * np.array(place) + rng.normal(scale=0.1, size=3))
        box += water
    return box


def best_time(function, repeats):
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def largest_difference(ours, theirs):
    return max(
        abs(np.asarray(ours.block(key).values) - np.asarray(block.values)).max()
        for key, block in theirs.items()
    )


def evaluate_all(descriptor, batch):
    features = descriptor.evaluate(batch, SPECIES)
    for order, sigma in descriptor.keys:
        for center in SPECIES:
            features.block(order, sigma, center)
    return features


def reverse_all(descriptor, batch, adjoints):
    return evaluate_all(descriptor, batch).reverse(adjoints)


def show(name, milliseconds, reference, note=""):
    ratio = f"{reference / milliseconds:7.1f} x" if reference else " " * 9
    print(f"  {name:44s}{milliseconds:9.2f} ms {ratio}  {note}", flush=True)


def time_size(box, max_lambda, repeats, *size):
    import featomic
    from featomic.clebsch_gordan import EquivariantPowerSpectrum as Theirs
    from metatensor import Labels

    from lodekit.descriptors import EquivariantPowerSpectrum, SphericalExpansion
    from lodekit.structures.batch import StructureBatch

    print(f"max_angular {size[0]}, {size[1] + 1} radial functions, {len(box)} atoms")
    theirs = Theirs(featomic.SphericalExpansion(**density(*size)))
    wanted = Labels(["o3_lambda"], np.arange(max_lambda + 1)[:, None])
    ours = EquivariantPowerSpectrum(
        SphericalExpansion(**density(*size)), max_lambda=max_lambda
    )
    batch = StructureBatch.from_frames([box])

    def run_theirs(in_properties):
        return theirs.compute(
            box, selected_keys=wanted, neighbors_to_properties=in_properties
        )

    difference = largest_difference(ours.compute(box), run_theirs(False))
    print(f"  largest difference of values {difference:.1e}")
    references = {}
    for in_properties, layout in ((False, "pair blocks"), (True, "one block")):
        few = max(1, repeats // 5)
        references[layout] = best_time(lambda p=in_properties: run_theirs(p), few)
        show(f"featomic, {layout}", references[layout], None)
        seconds = best_time(lambda p=in_properties: ours.compute(box, p), repeats)
        show(f"lodekit, the same, {layout}", seconds, references[layout])
    both = references.values()
    seconds = best_time(lambda: evaluate_all(ours, batch), repeats)
    show(
        "lodekit, arrays", seconds, max(both), f"{min(both) / seconds:.1f} x one block"
    )
    features = evaluate_all(ours, batch)
    adjoints = {
        (order, sigma, z): np.ones_like(features.block(order, sigma, z))
        for order, sigma in ours.keys
        for z in SPECIES
    }
    seconds = best_time(lambda: reverse_all(ours, batch, adjoints), repeats)
    show("lodekit, arrays and reverse pass", seconds, max(both))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-lambda", type=int, default=4)
    parser.add_argument("--molecules", type=int, default=64, help="a cube of a number")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    box = water_box(arguments.molecules)
    for size in SIZES:
        time_size(box, arguments.max_lambda, arguments.repeats, *size)


if __name__ == "__main__":
    main()
