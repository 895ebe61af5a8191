"""Mixtures with more components than groups, on purpose: with a small concentration the superfluous ones hold no rows.

Rousseau and Mengersen (2011); Malsiner-Walli, Frühwirth-Schnatter and Grün (2016). p(m components hold rows | X, K) is held to
posteriors known exactly, and to evidences of m components. With Dirichlet(a) weights, and components alike a priori,

    p(m of K hold rows | X, K) p(X | K) = C(K, m) c(K, m) p(X | m) P(all m hold rows | X, m),
    c(K, m) = Gamma(K a) Gamma(N + m a) / (Gamma(m a) Gamma(N + K a)),

because the components of K that hold no row do not touch the rows, and leave a mixture of the others.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

import bayesgmm as bg
from tests.representatives import representative_values
from tests.statistical.exact import random_problem, solve

pytestmark = [
    pytest.mark.statistical,
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.SamplingWarning"),  # empty components are funnels; judged by the figures
]

SEED = 20_261_122
SPARSE = bg.Priors(concentration=0.01)  # as sparse as Malsiner-Walli et al. take it
MANY = 6


def groups(centres, n_samples, seed):
    """Rows about centres (K, D), in turn, with standard deviation 1."""
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres, dtype=float)
    return centres[np.arange(n_samples) % len(centres)] + rng.normal(size=(n_samples, centres.shape[1]))


DATA = {
    "two groups in a column": (groups([[0], [7]], 80, SEED), 2),
    "three groups in a column": (groups([[0], [8], [16]], 90, SEED), 3),
    "three groups in a plane": (groups([[0, 0], [7, 0], [0, 7]], 90, SEED), 3),
}


@pytest.mark.parametrize("name", representative_values(DATA, 2))
def test_superfluous_components_are_empty(name):
    X, n_groups = DATA[name]
    table = bg.occupied_components(bg.sample(X, MANY, priors=SPARSE, seed=SEED, progress=False))
    print(f"\n{name}, seed {SEED}: p(m of {MANY} hold rows)", table["probability"].round(4).tolist())
    assert table["probability"].idxmax() == n_groups
    assert table["probability"][n_groups] > 0.85
    assert table["probability"][: n_groups - 1].sum() < 0.001


@pytest.mark.exhaustive
def test_old_faithful_has_two_or_three():
    """A third component that holds rows is not excluded; chains seldom go between that and two, and the errors say so."""
    table = bg.occupied_components(bg.sample(bg.load_faithful(), 4, priors=SPARSE, seed=SEED, progress=False))
    print(f"\nOld Faithful, seed {SEED}: p(m of 4 hold rows)", table.round(4).to_dict("list"))
    assert table["probability"][1] < 0.001
    assert table["probability"][4] < 0.1


@pytest.mark.parametrize("concentration", representative_values([0.1, 0.2, 0.4], 1))
@pytest.mark.parametrize("covariance", representative_values(["VVV", "VVI"], 0))
def test_exactly_known_posteriors(concentration, covariance):
    rng = np.random.default_rng([SEED, round(10 * concentration), len(covariance)])
    problem = random_problem(rng, covariance=covariance, n_features=1 + (covariance == "VVI"), n_components=3)
    problem = replace(problem, priors=replace(problem.priors, concentration=concentration))
    known = solve(problem)
    tree = bg.sample(
        problem.X,
        3,
        covariance=covariance,
        priors=problem.priors,
        resolution=problem.resolution,
        draws=4000,
        tune=500,
        target_accept=0.95,
        seed=SEED,
        progress=False,
    )
    table = bg.occupied_components(tree)
    evidence = bg.log_evidence(tree, seed=SEED)
    z = (table["probability"] - known.occupied) / table["standard_error"]
    z_of_evidence = (evidence.log_value - known.log_evidence) / evidence.standard_error
    found, exact = table["probability"].round(4).tolist(), known.occupied.round(4).tolist()
    print(f"\n{covariance}, concentration {concentration}, seed {SEED}: {found}, exact {exact}, z {z.round(2).tolist()}")
    print(f"ln p(X) {evidence.log_value:.4f} +- {evidence.standard_error:.4f}, exact {known.log_evidence:.4f}")
    notable = known.occupied > 0.01
    assert abs(z[notable]).max() < 4
    assert (abs(table["probability"] - known.occupied)[~notable] < 0.002).all()  # the error of what was not met is not known
    assert abs(z_of_evidence) < 4


def from_evidences(found, n_components, concentration, n_samples):
    """p(m of K hold rows | X, K) from the evidences and occupied components of fewer, and its standard errors."""
    sizes = np.arange(1, n_components + 1)
    whole, part = n_components * concentration, sizes * concentration
    log_c = gammaln(whole) + gammaln(n_samples + part) - gammaln(part) - gammaln(n_samples + whole)
    log_choices = gammaln(n_components + 1) - gammaln(sizes + 1) - gammaln(n_components - sizes + 1)
    values, errors = (found.table.loc[sizes, name].to_numpy() for name in ("log_evidence", "standard_error"))
    tables = [bg.occupied_components(found.trees[size]).loc[size] for size in sizes]
    all_occupied, error = np.array([[table["probability"], table["standard_error"]] for table in tables]).T
    factor = np.exp(log_choices + log_c + values - values[-1])
    return factor * all_occupied, factor * np.hypot(error, all_occupied * np.hypot(errors, errors[-1]))


@pytest.mark.parametrize("concentration", representative_values([0.05, 0.3], 1))
def test_occupied_components_and_evidences_agree(concentration):
    X, _ = DATA["two groups in a column"]
    priors = bg.Priors(concentration=concentration)
    found = bg.n_components_posterior(X, range(1, 5), priors=priors, draws=5000, seed=SEED, progress=False)
    own = bg.occupied_components(found.trees[4])
    expected, expected_error = from_evidences(found, 4, concentration, len(X))
    notable = expected > 0.01
    error = np.hypot(own["standard_error"], expected_error)
    print(f"\nconcentration {concentration}, seed {SEED}: p(m of 4 hold rows) {own['probability'].round(4).tolist()}")
    print(f"from evidences {expected.round(4).tolist()}, standard errors {error.round(4).tolist()}")
    assert notable.sum() >= 2
    assert (abs(own["probability"] - expected) < 4 * error + 1e-4)[notable].all()


def test_a_large_concentration_fills_more_components():
    """The same data, the same K: what is found depends on the prior of the weights."""
    X, _ = DATA["two groups in a column"]
    means = []
    for concentration in (0.05, 1.0, 4.0):
        tree = bg.sample(X, 4, priors=bg.Priors(concentration=concentration), seed=SEED, progress=False)
        table = bg.occupied_components(tree)
        means.append(float(table.index @ table["probability"]))
    print(f"\nmean number that hold rows, seed {SEED}: {np.round(means, 3).tolist()}")
    assert means[0] < means[1] < means[2]
    assert means[2] > 3.5
