"""Starts of K + 1 components from K: how many, of which family, and where."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data import validate
from bayesgmm.em.fit import make_problem
from bayesgmm.em.refinements import refinements
from bayesgmm.em.step import Collapsed
from bayesgmm.families import family_named


@pytest.mark.parametrize("name", ["EII", "EVI", "EEE", "VVE", "VEV", "VVV"])
def test_refinements_are_two_for_each_component_and_of_the_family(name):
    data, rng = validate(bg.load_faithful()), np.random.default_rng(8)
    problem = make_problem(data, 3, family_named(name))
    scale, location = problem.rows.scale, problem.rows.location
    null = bg.fit_em(bg.load_faithful(), 2, covariance=name, n_init=1, seed=0).params.affine(1 / scale, -location / scale)
    Z = (data.X - location) / scale
    starts = list(refinements(Z, np.ones(len(Z)), null, problem.m_step, rng))
    assert len(starts) == 4
    for _, start in starts:
        assert not isinstance(start, Collapsed)
        assert start.n_components == 3
        if name[0] == "E":
            volumes = np.linalg.det(start.covariances)
            np.testing.assert_allclose(volumes, volumes[0], rtol=1e-6)


def test_a_new_component_is_put_where_the_data_exceed_the_density():
    rng = np.random.default_rng(9)
    X = np.concatenate([rng.normal(size=(200, 1)), rng.normal(6.0, 0.5, size=(15, 1))])
    problem = make_problem(validate(X), 2, family_named("V"))
    Z = (X - problem.rows.location) / problem.rows.scale
    null = bg.fit_em(Z[:200], 1, covariance="V", seed=0).params
    starts = dict(refinements(Z, np.ones(len(Z)), null, problem.m_step, rng))
    assert starts["a component like 0 added"].means[1, 0] == pytest.approx(Z[200:].mean(), abs=0.3)
