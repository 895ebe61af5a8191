"""One EM run: its trace, when it stops, and how it ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.data import validate
from bayesgmm.datasets import load_faithful
from bayesgmm.em.initialise import STARTS, start_from_memberships, start_from_rows, start_sample
from bayesgmm.em.run import EMRun, EMStatus, estimated_gain, increment_ratio, run_em
from bayesgmm.em.step import MStep, em_step
from bayesgmm.errors import InternalError
from bayesgmm.families import FAMILIES, ONE_COLUMN, family_named
from bayesgmm.kernels.reference import responsibilities
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.score import score_of_trils
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=15)
VVV = MStep(family_named("VVV"))


def problem(seed: int, n_components: int = 2, n_features: int = 2, n_samples: int = 300) -> tuple[Array, MixtureParams]:
    """Data and the mixture they come from, standardised."""
    rng = np.random.default_rng(seed)
    params = random_params(rng, n_components, n_features)
    X, _ = random_data(rng, params, n_samples)
    location, scale = X.mean(axis=0), X.std(axis=0)
    return (X - location) / scale, params.affine(1 / scale, -location / scale)


class TestEstimatedGain:
    @pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.999])
    @pytest.mark.parametrize("limit", [-1000.0, 0.0, 3.5])
    def test_exact_for_geometric_convergence(self, rate: float, limit: float) -> None:
        values = [limit - 8.0 * rate**i for i in range(3)]
        gain = estimated_gain(values[2] - values[1], increment_ratio(*values))
        # The rate comes from differences of values of size |limit|: their rounding, over 1 - rate, is what remains.
        tolerance = 4 * np.spacing(max(abs(limit), 8.0)) / (1 - rate) ** 2
        assert abs(gain - 8.0 * rate**2) <= tolerance + 1e-14

    @pytest.mark.parametrize("rate", [1.0, 1.5, 1e9])
    def test_infinite_while_increments_do_not_shrink(self, rate: float) -> None:
        assert estimated_gain(1.0, rate) == np.inf

    @given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3))
    @settings(derandomize=True, deadline=None, max_examples=50)
    def test_never_negative_for_a_rising_trace(self, increment: float, rate: float) -> None:
        assert estimated_gain(increment, rate) >= 0


class TestTrace:
    @LAW
    @given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
    def test_strictly_increases(self, seed: int, n_components: int, n_features: int) -> None:
        X, params = problem(seed, n_components, n_features)
        finished = run_em(rows_of(X), params, VVV, tol=0.0, max_iter=100)
        assert (np.diff(finished.trace) > 0).all()
        assert finished.n_iter == len(finished.trace) - 1

    def test_holds_the_log_likelihood_of_every_iterate(self) -> None:
        X, params = problem(0)
        finished = run_em(rows_of(X), params, VVV, tol=0.0, max_iter=5, accelerate=False)
        expected = []
        for _ in range(6):
            following, moments = em_step(params, rows_of(X), VVV)
            expected.append(moments.log_likelihood)
            last = params
            assert isinstance(following, MixtureParams)
            params = following
        np.testing.assert_array_equal(finished.trace, expected)
        assert finished.params == last
        assert finished.log_likelihood == expected[-1]


class TestEnd:
    def test_no_iteration_returns_the_start(self) -> None:
        X, params = problem(0)
        finished = run_em(rows_of(X), params, VVV, tol=1e-8, max_iter=0)
        assert finished.params == params
        assert (finished.n_iter, finished.status, len(finished.trace)) == (0, EMStatus.MAX_ITER, 1)
        assert finished.reason == "not converged after 0 iterations"
        assert not finished.converged

    @pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-8])
    def test_tol_is_the_distance_to_the_limit(self, tol: float) -> None:
        """Aitken's estimate is asymptotic: allow it a factor of 2."""
        for seed in range(3):
            X, params = problem(seed)
            limit = run_em(rows_of(X), params, VVV, tol=0.0, max_iter=100_000).log_likelihood
            finished = run_em(rows_of(X), params, VVV, tol=tol, max_iter=100_000)
            assert finished.status is EMStatus.CONVERGED
            assert -1e-10 <= limit - finished.log_likelihood <= 2 * tol

    def test_the_limit_is_a_stationary_point(self) -> None:
        X, params = problem(0)
        limit = run_em(rows_of(X), params, VVV, tol=0.0, max_iter=100_000).params
        assert limit is not None
        arrays = [getattr(limit, name).copy() for name in ("weights", "means", "scale_trils")]
        _, d_weights, d_means, d_scale_trils = score_of_trils(X, *arrays, np.ones(len(X)))
        # An increase below rounding (1e-13 of 1e3 nats) leaves a gradient of about the root of it times the curvature, N = 300.
        np.testing.assert_allclose(d_weights, len(X), atol=1e-2)  # the multiplier of sum_k pi_k = 1
        np.testing.assert_allclose(d_means, 0.0, atol=1e-2)
        np.testing.assert_allclose(d_scale_trils, 0.0, atol=1e-2)

    def test_a_collapse_keeps_the_trace_and_gives_the_reason(self) -> None:
        X = np.vstack([problem(0)[0], [[9.0, 9.0], [9.0, 9.1]]])
        start = MixtureParams(np.array([0.99, 0.01]), np.array([[0.0, 0.0], [9.0, 9.05]]), np.array([np.eye(2)] * 2))
        finished = run_em(rows_of(X), start, VVV, tol=1e-8, max_iter=1000, init="mine")
        assert finished.status is EMStatus.COLLAPSED
        assert finished.params is None
        assert np.isnan(finished.log_likelihood)
        assert finished.init == "mine"
        assert finished.reason == "component 1 shrank onto a point, line or plane (it holds 2 rows)"
        assert len(finished.trace) >= 1
        assert (np.diff(finished.trace) > 0).all()

    def test_a_falling_log_likelihood_is_our_bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        X, params = problem(0)
        worse = params.affine(np.full(2, 3.0), np.zeros(2))
        monkeypatch.setattr(MStep, "maximise", lambda *_: worse)
        with pytest.raises(InternalError, match=r"the log-likelihood fell from -\S+ to -\S+ .* please report this"):
            run_em(rows_of(X), params, VVV, tol=0.0, max_iter=3)

    def test_the_text_of_a_status_is_the_advice(self) -> None:
        assert "raise max_iter" in str(EMStatus.MAX_ITER)
        assert "fewer components" in str(EMStatus.COLLAPSED)
        assert all(str(status) == status.value for status in EMStatus)


def test_runs_are_compared_by_value() -> None:
    X, params = problem(0)
    first, second, other = (run_em(rows_of(X), params, VVV, tol=0.0, max_iter=n) for n in (3, 3, 4))
    assert first == second
    assert first != other
    assert first != "first"
    collapsed = [EMRun(None, np.nan, np.array([1.0]), EMStatus.COLLAPSED, "random", "why") for _ in range(2)]
    assert collapsed[0] == collapsed[1]


class TestAcceleration:
    @pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ONE_COLUMN])
    def test_it_ends_where_em_ends(self, name: str) -> None:
        """Overlapping components, where EM is slow, from rough partitions."""
        m_step = MStep(family_named(name))
        for seed in range(3):
            X, params = problem(seed, n_components=3, n_features=2, n_samples=200)
            rough = 0.5 * responsibilities(X, params.weights, params.means, params.scale_trils) + 0.5 / 3
            start = start_from_rows(rows_of(X), rough, m_step)
            assert isinstance(start, MixtureParams)
            plain, fast = (run_em(rows_of(X), start, m_step, tol=1e-9, max_iter=50_000, accelerate=a) for a in (False, True))
            assert plain.status is EMStatus.CONVERGED
            assert fast.status is EMStatus.CONVERGED
            np.testing.assert_allclose(fast.log_likelihood, plain.log_likelihood, rtol=0, atol=4e-9)
            assert (np.diff(fast.trace) > 0).all()

    def test_it_takes_far_fewer_iterations_where_em_is_slow(self) -> None:
        """Old Faithful with four components: EM takes some 280 iterations from the hierarchical start."""
        sample = start_sample(validate(load_faithful()), None, np.random.default_rng(0))
        start = start_from_memberships(sample.scaled, STARTS["hierarchical"](sample, 4, np.random.default_rng(0)), VVV)
        assert isinstance(start, MixtureParams)
        rows = rows_of(sample.scaled)
        plain, fast = (run_em(rows, start, VVV, tol=1e-8, max_iter=50_000, accelerate=a) for a in (False, True))
        np.testing.assert_allclose(fast.log_likelihood, plain.log_likelihood, rtol=0, atol=4e-8)
        assert plain.n_iter > 200
        assert fast.n_iter < plain.n_iter / 2

    def test_from_random_responsibilities_too(self) -> None:
        """The hardest starts: next to a saddle, many optima about."""
        X = standardised(load_faithful().to_numpy())
        for seed in range(12):
            start = start_from_rows(rows_of(X), np.random.default_rng(seed).dirichlet(np.full(4, 0.2), len(X)), VVV)
            assert isinstance(start, MixtureParams)
            plain, fast = (run_em(rows_of(X), start, VVV, tol=1e-7, max_iter=50_000, accelerate=a) for a in (False, True))
            np.testing.assert_allclose(fast.log_likelihood, plain.log_likelihood, rtol=0, atol=4e-7)


def standardised(X: Array) -> Array:
    return (X - X.mean(axis=0)) / X.std(axis=0)
