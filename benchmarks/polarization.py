"""Polarization, Born charges and polarizability on data that took no part in the fit.

    python benchmarks/polarization.py CASE ... [--data FOLDER] [--folds N] [--json]

A case prints its errors on frames that were kept, RMSE of components: Born charges in
e, polarizabilities in % of their root mean square, M = P V in e·Å, forces in meV/Å.
Real data are not in the repository (their licences differ); see
`benchmarks/accuracy.py`. Frames are split evenly, every n-th one is kept.
"""

import argparse
import json
import pathlib
import time

import lodekit  # noqa: F401  (before NumPy, for what it says to the threads of BLAS)

# isort: split
import numpy as np
from polarization_cases import CASES, ROOT


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "../shared/data")
    parser.add_argument(
        "--folds", type=int, default=1, help="how many of five folds are fitted"
    )
    parser.add_argument(
        "--every", type=int, default=2, help="every n-th of the boxes of sagpr_water"
    )
    parser.add_argument("--json", action="store_true", help="one object a case")
    arguments = parser.parse_args()
    for name in arguments.cases:
        if name not in CASES:
            parser.error(f"unknown case {name!r}; cases: {', '.join(CASES)}")
        start, processor = time.perf_counter(), time.process_time()
        found = {"case": name, **CASES[name](arguments)}
        found["seconds"] = round(time.perf_counter() - start, 1)
        found["processor_seconds"] = round(time.process_time() - processor, 1)
        if arguments.json:
            print(json.dumps(found, default=float), flush=True)
            continue
        print(name, flush=True)
        for key, value in found.items():
            if key != "case":
                is_number = isinstance(value, (float, np.floating))
                print(f"  {key:26s} {format(value, '.5g') if is_number else value}")


if __name__ == "__main__":
    main()
