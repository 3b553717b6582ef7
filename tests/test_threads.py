import importlib
import subprocess
import sys

import numba
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from lodekit.threads import limit_threads, request_threads


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
