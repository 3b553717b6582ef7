"""Compiled loops give the same bits with one thread and with two."""

import os
import pathlib
import subprocess
import sys

import numba
import pytest

CODE = """
import sys
sys.path[:0] = {folders}
import numba, numpy as np
from {module} import run_kernels
results = []
for n_threads in (1, 2):
    numba.set_num_threads(n_threads)
    results.append(run_kernels())
for one, two in zip(*results, strict=True):
    np.testing.assert_array_equal(one, two)
print("compared", len(results[0]))
"""


def assert_same_bits(file):
    """Compare the arrays of ``run_kernels()`` in a test file.

    It runs in a process of its own: this one may have a single thread.
    """
    if numba.config.DISABLE_JIT:
        pytest.skip("threads need compilation")
    path = pathlib.Path(file)
    folders = [str(path.parent), str(path.parents[1])]
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(folders=folders, module=path.stem)],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("compared")
