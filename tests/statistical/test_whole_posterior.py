"""The posterior of several modes is the same whatever the seed, and so is its evidence."""

import numpy as np
import pytest

import bayesgmm as bg
from tests.data_sets import data_set
from tests.representatives import representative_values, representatives

pytestmark = [
    pytest.mark.statistical,
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.SamplingWarning"),  # judged by what the seeds give
]

HARD = [("iris", 4), ("faithful", 4), ("galaxies", 6), ("acidity", 4), ("crabs", 4)]


def moments(tree):
    """Means and standard deviations of all parameters, labels sorted out by the weights' EM order, in one row each."""
    posterior = tree["posterior"].to_dataset()
    values = np.concatenate(
        [
            posterior[name].values.reshape(posterior.sizes["chain"] * posterior.sizes["draw"], -1)
            for name in ("weights", "means", "scales", "correlations")
        ],
        axis=1,
    )
    return values.mean(axis=0), values.std(axis=0)


@pytest.mark.parametrize("n_seeds", representative_values([3, 20], 0))
def test_seeds_give_one_posterior_of_iris(n_seeds):
    """Shares of the modes within 0.05, means within 0.1 posterior standard deviations of the mean over all seeds."""
    X = data_set("iris")
    em = bg.fit_em(X, 3, seed=0)
    found, shares = [], []
    for seed in range(n_seeds):
        tree = bg.sample(X, em, seed=seed, progress=False)
        found.append(moments(tree))
        occupied = bg.occupied_components(tree)["probability"]
        shares.append([float(occupied[2]), float(occupied[3])])
        print(f"seed {seed}: two, three occupied {shares[-1][0]:.4f}, {shares[-1][1]:.4f}", flush=True)
    means, spreads = (np.array(part) for part in zip(*found, strict=True))
    moving = spreads.mean(axis=0) > 0
    apart = np.abs(means - means.mean(axis=0))[:, moving] / spreads.mean(axis=0)[moving]
    print(f"means differ from their mean by {apart.max():.3f} posterior sd at most, shares by {np.ptp(shares, axis=0).max():.4f}")
    assert apart.max() < 0.1
    assert np.ptp(shares, axis=0).max() < 0.05


@pytest.mark.parametrize(("name", "n_components"), representatives(HARD, 3))
def test_five_seeds_give_one_evidence(name, n_components):
    """Standard deviation below 0.15 nats, and no larger than the standard errors allow; ten: docs/scripts/evidence_figures.py."""
    X = data_set(name)
    evidences = []
    for seed in range(5):
        em = bg.fit_em(X, n_components, seed=seed)
        evidences.append(bg.log_evidence(bg.sample(X, em, seed=seed, progress=False), seed=seed))
    values, errors = np.array([(evidence.log_value, evidence.standard_error) for evidence in evidences]).T
    spread = values.std(ddof=1)
    print(f"{name}, {n_components}: {values.mean():.3f}, sd of five {spread:.3f}, mean standard error {errors.mean():.3f}")
    assert spread < 0.15
    assert spread < 2 * np.sqrt((errors**2).mean())
