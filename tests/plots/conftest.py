import pytest

from bayesgmm.compare.comparison import Comparison
from tests.fake_comparison import HOSTILE_COLUMNS, make_comparison


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    return make_comparison(2, 2)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param({"n_components": 2, "n_features": 2}, id="two-by-two"),
        pytest.param({"n_components": 3, "n_features": 1, "n_samples": 90}, id="one-feature"),
        pytest.param(
            {"n_components": 3, "n_features": 4, "columns": HOSTILE_COLUMNS},
            marks=pytest.mark.slow,
            id="four-features-hostile-names",
        ),
        pytest.param({"n_components": 1, "n_features": 2, "n_chains": 1}, marks=pytest.mark.slow, id="one-component-one-chain"),
        pytest.param(
            {"n_components": 2, "n_features": 7, "n_samples": 2100, "n_draws": 20},
            marks=pytest.mark.slow,
            id="seven-features-many-rows",
        ),
    ],
)
def any_comparison(request: pytest.FixtureRequest) -> Comparison:
    return make_comparison(**request.param)
