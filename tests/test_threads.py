import importlib
import os
import pathlib
import subprocess
import sys

import numba
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from lodekit.threads import FEW_ATOMS, limit_threads, request_threads, threads_for


def blas_threads():
    return {
        pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
    }


def test_limit_holds_inside_the_block_and_ends_with_it():
    importlib.import_module("scipy.linalg")  # brings a BLAS of its own
    with threadpool_limits(2, user_api="blas"):
        before = numba.get_num_threads(), blas_threads()
        assert max(blas_threads()) == 2
        with limit_threads(1):
            assert numba.get_num_threads() == 1
            assert blas_threads() == {1}
        assert (numba.get_num_threads(), blas_threads()) == before


def test_limit_ends_when_the_block_fails():
    before = numba.get_num_threads()
    with pytest.raises(KeyError), limit_threads(1):
        raise KeyError
    assert numba.get_num_threads() == before


def test_more_threads_than_numba_has_are_cut():
    with limit_threads(100_000):
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS


def test_none_changes_nothing():
    before = numba.get_num_threads()
    with limit_threads(None):
        assert numba.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, True])
def test_bad_numbers_of_threads_are_refused(n_threads):
    message = "the number of threads must be a whole number from 1"
    with pytest.raises(ValueError, match=message), limit_threads(n_threads):
        pass


def test_request_is_ignored_once_numba_is_there(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    request_threads(1)
    assert "NUMBA_NUM_THREADS" not in __import__("os").environ


def test_requested_threads_reach_numba():
    code = (
        "from lodekit.threads import request_threads\n"
        "request_threads(1)\n"
        "import numba; print(numba.config.NUMBA_NUM_THREADS)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "1", result.stderr


def test_threads_of_blas_do_not_wait_long_unless_the_user_wants_it(monkeypatch):
    print_it = "import os, lodekit; print(os.environ['OPENBLAS_THREAD_TIMEOUT'])"

    def waiting_time():
        run = subprocess.run(
            [sys.executable, "-c", print_it], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    assert waiting_time() == "4"
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    assert waiting_time() == "20"


def test_few_atoms_get_one_thread():
    before = numba.get_num_threads()
    with threads_for([range(FEW_ATOMS - 1)]):
        assert numba.get_num_threads() == 1
    with threads_for([range(FEW_ATOMS - 1), range(1)]):
        assert numba.get_num_threads() == before


FORKS = """
import multiprocessing, sys
sys.path[:0] = {folders}
import numba, numpy as np
from test_phases import run_kernels
from lodekit.threads import blas_libraries, limit_threads

def work(_):
    with limit_threads(2):
        threads = numba.get_num_threads(), blas_libraries().info()[0]["num_threads"]
    return threads, run_kernels()

before = run_kernels()
with multiprocessing.get_context("fork").Pool(2) as pool:
    for threads, after in pool.map_async(work, range(4)).get(timeout=60):
        assert threads == (1, 1), threads
        for one, two in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, two)
assert numba.get_num_threads() == 2
print("compared", numba.threading_layer())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_processes_forked_after_a_parallel_loop_compute_the_same_on_one_thread():
    if numba.config.DISABLE_JIT:
        pytest.skip("threads need compilation")
    folder = pathlib.Path(__file__).parent
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            FORKS.format(folders=[str(folder), str(folder / "kernels")]),
        ],
        env={**os.environ, "NUMBA_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("compared")
