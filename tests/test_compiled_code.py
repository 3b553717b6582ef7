"""Files of the cache of compiled loops: no state of them stops a computation."""

import importlib.util
import pathlib

import numba
import pytest

import lodekit.kernels  # noqa: F401  (prepares Numba)
from lodekit.compiled_code import (
    LoopCache,
    announced_compilation,
    warn_of_missing_cache,
)

needs_compilation = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="nothing is compiled"
)
LOOP = """
from numba import njit

@njit(cache=True, error_model="numpy")
def double(x):
    return 2.0 * x
"""


def import_loop(folder, name="lodekit.kernels.doubling"):
    """Import the loop as a new process would: machine code can come from files only."""
    path = folder / "doubling.py"
    path.write_text(LOOP)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


def cache_files(loop):
    return sorted(pathlib.Path(loop.stats.cache_path).glob("doubling*.nb?"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    # Numba reads its variables again when it compiles
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@needs_compilation
def test_damaged_cache_files_are_made_anew(folder):
    assert import_loop(folder)(1.5) == 3.0
    for damage in (lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"no" + b):
        for which in (slice(0, 1), slice(1, 2), slice(None)):
            loop = import_loop(folder)
            files = cache_files(loop)
            assert [path.suffix for path in files] == [".nbc", ".nbi"]
            for path in files[which]:
                path.write_bytes(damage(path.read_bytes()))
            assert loop(1.5) == 3.0
            again = import_loop(folder)
            assert again(1.5) == 3.0
            assert sum(again.stats.cache_hits.values()) == 1


@needs_compilation
def test_a_cache_that_cannot_be_written_is_no_error(folder, monkeypatch):
    loop = import_loop(folder)

    def fail(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(loop._cache._files, "save_overload", fail)
    assert loop(1.5) == 3.0
    assert not cache_files(loop)


@needs_compilation
def test_without_a_place_for_the_cache_one_warning_says_so(folder, monkeypatch):
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    warn_of_missing_cache.cache_clear()
    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR to a folder"):
        loop = import_loop(folder)
    assert loop(1.5) == 3.0
    assert import_loop(folder)(1.5) == 3.0  # a second warning would be an error


@needs_compilation
def test_functions_outside_lodekit_are_left_to_numba(folder, monkeypatch):
    from numba.core.caching import CacheImpl

    assert not isinstance(import_loop(folder, "elsewhere")._cache, LoopCache)
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache function"):
        import_loop(folder, "elsewhere")


class EmptyCache:
    """A cache in which nothing is."""

    def load_overload(self, signature, target_context):
        return None


class FullCache:
    """A cache in which everything is."""

    def load_overload(self, signature, target_context):
        return "machine code"


def test_compilation_is_announced_once():
    lines = []
    with announced_compilation(lines.append):
        assert LoopCache(FullCache()).load_overload(None, None) == "machine code"
        assert lines == []
        for _ in range(2):
            assert LoopCache(EmptyCache()).load_overload(None, None) is None
    LoopCache(EmptyCache()).load_overload(None, None)
    assert lines == ["compiling loops, once: the first run takes up to a minute longer"]
