"""Compilation at first use: what is compiled beforehand is what analyses call, in two processes, once."""

import gc
import os
import sys

import pytest
from numba.core.registry import CPUDispatcher

import bayesgmm as bg
from bayesgmm import compilation
from bayesgmm.compilation import EM_BESIDE, EM_HERE, compile_bridge, compile_relabelling, compile_side_by_side
from bayesgmm.model.native import compile_density
from tests.parts import NOTES, bad_part, first_part, second_part


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """A cache folder with nothing in it; gives the process that compiled each part, by name."""
    monkeypatch.setattr(compilation, "_cache_folder", lambda: tmp_path)
    monkeypatch.setenv(NOTES, str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compile_side_by_side.cache_clear()
    yield lambda: {name: int(path.read_text()) for name in ("first", "second") if (path := tmp_path / name).exists()}
    compile_side_by_side.cache_clear()


def signatures():
    """Of every function that numba compiled for this package."""
    functions = [item for item in gc.get_objects() if type(item) is CPUDispatcher and item.__module__.startswith("bayesgmm")]
    return {(function.__module__, function.__name__): set(function.signatures) for function in functions if function.signatures}


def test_parts_compile_for_the_types_that_an_analysis_passes():
    """Parts that compiled for other types would be in vain, and what they compile would be compiled again."""
    X = bg.load_faithful()
    bg.log_evidence(bg.sample(X, bg.fit_em(X, 2, n_init=2, seed=0), draws=50, chains=2, seed=0, progress=False))
    called = signatures()
    for part in (*EM_HERE, *EM_BESIDE, compile_density, compile_bridge, compile_relabelling):
        part()
    assert signatures() == called


def test_two_processes_compile(noted):
    compile_side_by_side((first_part,), (second_part,), False)
    processes = noted()
    assert processes["first"] == os.getpid()
    assert processes["second"] != os.getpid()


def test_nothing_is_compiled_twice(noted, tmp_path):
    compile_side_by_side((first_part,), (second_part,), False)
    for name in ("first", "second"):
        (tmp_path / name).unlink()
    compile_side_by_side.cache_clear()
    compile_side_by_side((first_part,), (second_part,), False)
    assert noted() == {}


def test_after_a_change_of_the_sources_everything_is(noted, monkeypatch):
    compile_side_by_side((first_part,), (), False)
    compile_side_by_side.cache_clear()
    monkeypatch.setattr(compilation, "FINGERPRINT", "another")
    compile_side_by_side((first_part,), (second_part,), False)
    assert set(noted()) == {"first", "second"}


def test_one_part_needs_no_second_process(noted):
    compile_side_by_side((), (second_part,), False)
    assert noted() == {"second": os.getpid()}


def test_where_no_process_can_be_started_one_does_all(noted, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/not/there")
    compile_side_by_side((first_part,), (second_part,), False)
    assert noted() == {"first": os.getpid(), "second": os.getpid()}


def test_what_fails_in_the_other_process_is_left_to_the_call_that_needs_it(noted):
    compile_side_by_side((first_part,), (bad_part, second_part), False)
    assert set(noted()) == {"first"}
    assert not compilation._is_compiled(bad_part)


def test_an_interruption_ends_both_processes(noted, monkeypatch):
    started = []
    start = compilation._process

    def remembered(parts):
        started.append(start(parts))
        return started[-1]

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(compilation, "_process", remembered)
    with pytest.raises(KeyboardInterrupt):
        compile_side_by_side((interrupted,), (second_part,), False)
    assert started[0].returncode is not None
    noted()
