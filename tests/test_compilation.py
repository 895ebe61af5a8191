"""Compilation at first use: what is compiled beforehand is what analyses call, in two processes, once."""

import gc
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

import bayesgmm as bg
from bayesgmm import compilation
from bayesgmm.compilation import POSTERIOR, compile_side_by_side, start_compilation
from bayesgmm.kernels.log_posterior import add_priors, fill_mixture
from tests.parts import NOTES, bad_part, first_part, second_part, slow_part, third_part

ROOT = Path(__file__).parents[1]
NAMES = ("first", "second", "third")


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """A cache folder with nothing in it; gives the process that compiled each part, by name, in the order of their times."""
    monkeypatch.setattr(compilation, "_cache_folder", lambda: tmp_path)
    monkeypatch.setenv(NOTES, str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    forget()
    yield lambda: {name: int((tmp_path / name).read_text()) for name in NAMES if (tmp_path / name).exists()}
    forget()


def forget():
    """What this process remembers of compilations."""
    start_compilation.cache_clear()
    compilation._finish.cache_clear()


def signatures():
    """Of every function that numba compiled for this package."""
    functions = [item for item in gc.get_objects() if type(item) is CPUDispatcher and item.__module__.startswith("bayesgmm")]
    return {(function.__module__, function.__name__): set(function.signatures) for function in functions if function.signatures}


@pytest.mark.slow
def test_parts_compile_for_the_types_that_an_analysis_passes():
    """Parts that compiled for other types would be in vain, and what they compile would be compiled again."""
    X = bg.load_faithful()
    bg.log_evidence(bg.sample(X, bg.fit_em(X, 2, n_init=2, seed=0), draws=50, chains=2, seed=0, progress=False))
    called = signatures()
    for part in POSTERIOR:
        part()
    compiled = signatures()
    assert {function: compiled[function] for function in called} == called


@pytest.mark.parametrize("function", [fill_mixture, add_priors], ids=lambda function: function.__name__)
def test_both_halves_of_the_density_are_what_it_is_built_on(function):
    """On disk there is one form of each, not one from its part and one that the density asked for."""
    for part in POSTERIOR:
        part()
    assert len(function._cache._cache_file._load_index()) == 1


def test_two_processes_compile(noted):
    compile_side_by_side((first_part, second_part), False)
    assert len(set(noted().values())) == 2
    assert os.getpid() in noted().values()


def test_the_other_process_begins_before_it_is_waited_for(noted):
    compilation = start_compilation((first_part, second_part))
    compilation._feeder.join()
    assert set(noted()) == {"first", "second"}
    assert os.getpid() not in noted().values()
    compile_side_by_side((first_part, second_part), False)
    assert compilation._process.returncode is not None


def test_nothing_is_compiled_twice(noted, tmp_path):
    compile_side_by_side((first_part, second_part), False)
    for name in ("first", "second"):
        (tmp_path / name).unlink()
    forget()
    compile_side_by_side((first_part, second_part), False)
    assert noted() == {}


def test_after_a_change_of_the_sources_everything_is(noted, monkeypatch):
    compile_side_by_side((first_part,), False)
    forget()
    monkeypatch.setattr(compilation, "FINGERPRINT", "another")
    compile_side_by_side((first_part, second_part), False)
    assert set(noted()) == {"first", "second"}


def test_one_part_needs_no_second_process(noted):
    compile_side_by_side((second_part,), False)
    assert noted() == {"second": os.getpid()}


def test_a_part_begins_when_what_it_is_built_on_is_done(noted, monkeypatch, tmp_path):
    monkeypatch.setitem(compilation.BUILT_ON, third_part, (first_part, second_part))
    compile_side_by_side((third_part, first_part, second_part), False)
    assert set(noted()) == set(NAMES)
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in NAMES}
    assert times["third"] > max(times["first"], times["second"])


def test_where_no_process_can_be_started_one_does_all(noted, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/not/there")
    compile_side_by_side((first_part, second_part), False)
    assert noted() == {"first": os.getpid(), "second": os.getpid()}


def test_what_fails_in_the_other_process_is_left_to_the_call_that_needs_it(noted):
    """And what is built on it begins all the same; the rest is compiled here."""
    started = start_compilation((bad_part, first_part, second_part))
    started._feeder.join()
    compile_side_by_side((bad_part, first_part, second_part), False)
    assert noted() == {"first": os.getpid(), "second": os.getpid()}
    assert not compilation._stamp(bad_part).exists()


def test_what_fails_here_keeps_nothing_waiting(noted, monkeypatch):
    """The error is the caller's; a later call goes on with the rest."""
    monkeypatch.setattr(sys, "executable", "/not/there")
    monkeypatch.setitem(compilation.BUILT_ON, third_part, (bad_part,))
    for _ in range(2):
        with suppress(RuntimeError):
            compile_side_by_side((bad_part, third_part), False)
    assert set(noted()) == {"third"}


def test_an_interruption_ends_both_processes(noted):
    def interrupted():
        raise KeyboardInterrupt

    parts = (slow_part, interrupted, second_part)
    started = start_compilation(parts)
    while slow_part not in started._queue._begun:
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt):
        compile_side_by_side(parts, False)
    assert started._process.returncode is not None
    assert noted() == {}


def test_a_process_that_ends_early_takes_the_other_one_with_it(noted):
    """What `start_compilation` began does not go on for a command that failed."""
    code = (
        "from bayesgmm.compilation import start_compilation; from tests.parts import slow_part, first_part;"
        "print(start_compilation((slow_part, first_part))._process.pid)"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not child.stderr
    assert not Path(f"/proc/{int(child.stdout)}").exists()
    assert noted() == {}
