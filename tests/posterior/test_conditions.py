"""Posteriors put together by hand are called what they are."""

import pytest

import bayesgmm as bg
from bayesgmm.posterior.conditions import Condition
from tests.posterior.constructed import KINDS, SETTINGS, make_problem
from tests.representatives import representative_values

AGREEMENT = {Condition.MIXED, Condition.STUCK, Condition.SLOW, Condition.SHORT}
WORDS = {
    Condition.STUCK: "the chains are steady in different ",
    Condition.SLOW: "the draws move too slowly for the chains to agree",
    Condition.SHORT: "effective draws, fewer than 400: sample longer",
    Condition.SEVERAL: "are no permutation of the reference's structure",
    Condition.COLLAPSED: "a component is narrower than 0.0001 of the data's spread",
    Condition.SWITCHED: "labels switched",
    Condition.EMPTY: "a component holds fewer than two expected rows",
    Condition.COINCIDING: "two components all but coincide",
}


@pytest.mark.parametrize("kind", representative_values(KINDS, 0, 4, 9, others=pytest.mark.slow), ids=lambda kind: kind.__name__)
def test_named_rightly_in_words_and_by_name(kind):
    diagnosis = bg.diagnose(kind(make_problem(SETTINGS[0])))
    assert set(diagnosis.conditions) == KINDS[kind]
    assert len(AGREEMENT & set(diagnosis.conditions)) == 1
    assert diagnosis.conditions[0] in AGREEMENT
    failures = {Condition.STUCK, Condition.SLOW, Condition.SHORT, Condition.COLLAPSED} & set(diagnosis.conditions)
    assert diagnosis.ok == (not failures)
    said = {condition for condition, words in WORDS.items() if words in " ".join(repr(diagnosis).split())}
    apart = {Condition.SEVERAL} if Condition.STUCK in diagnosis.conditions else set()  # each chain in one structure
    assert said - apart == set(diagnosis.conditions) - {Condition.MIXED}
    only = set(diagnosis.conditions) == {Condition.MIXED, Condition.SWITCHED}
    assert ("labels switched, nothing else" in diagnosis.verdict) == only
