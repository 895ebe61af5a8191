"""The states of posteriors put together by hand are named rightly, nearly always, and good ones never called bad."""

import pytest

import bayesgmm as bg
from bayesgmm.posterior.conditions import Condition
from tests.posterior.constructed import KINDS, SETTINGS, make_problem

pytestmark = [pytest.mark.statistical, pytest.mark.exhaustive]  # tests/posterior/test_conditions.py has each kind

LEAST_RIGHT = 0.98


def test_states_are_named_rightly():
    """All kinds in all settings, each with two sets of random numbers."""
    wrong, n_cases = [], 0
    for kind, conditions in KINDS.items():
        for setting in SETTINGS:
            for step in (0, 100):
                diagnosis = bg.diagnose(kind(make_problem(setting.reseeded(step))))
                n_cases += 1
                if set(diagnosis.conditions) != conditions:
                    wrong.append((kind.__name__, setting, [condition.name for condition in diagnosis.conditions]))
                if conditions <= {Condition.MIXED, Condition.SWITCHED}:
                    assert diagnosis.ok, (setting, diagnosis.verdict)
    print(f"{n_cases - len(wrong)} of {n_cases} constructed posteriors are named rightly", *wrong, sep="\n")
    assert n_cases >= 60
    assert n_cases - len(wrong) >= LEAST_RIGHT * n_cases
