"""999 bootstrap replicates against mclust's 999: standard errors within Monte-Carlo error."""

import pytest

from bayesgmm.em.fit import fit_em
from bayesgmm.em.standard_errors import standard_errors
from tests.em.test_standard_errors_reference import DATA, MCLUST, chance, excess, their_estimate

pytestmark = pytest.mark.statistical

SEED = 20_261_122


@pytest.mark.parametrize(
    ("name", "method", "components"),
    [
        ("iris", "bs", [0, 1]),
        ("faithful", "wlbs", [0, 1, 2]),
        ("faithful", "bs", [1]),  # where mclust's EM is at its limit: see tests/reference/README.md
    ],
)
def test_bootstrap_errors(name, method, components):
    X, theirs = DATA[name], MCLUST[name]
    em = fit_em(X, theirs["G"], covariance=theirs["model"], init=their_estimate(name))
    ours = {"bs": "bootstrap", "wlbs": "weighted_bootstrap"}[method]
    errors = standard_errors(em, X, method=ours, seed=SEED)
    assert errors.n_failed == 0
    kinds = ["weights", "means", "covariances"] if len(components) == theirs["G"] else ["weights", "means"]
    for kind, ratio, error in zip(kinds, excess(errors, name, method), chance(errors, theirs[method]["nboot"]), strict=False):
        z = ((ratio - 1) / error)[components]
        print(f"{name}, {method}, {kind}: largest |z| {abs(z).max():.2f}, ratios {ratio[components].round(3).tolist()}")
        assert abs(z).max() < 4
