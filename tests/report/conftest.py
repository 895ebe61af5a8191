import dataclasses

import numpy as np
import pytest

from bayesgmm.compare.comparison import Comparison
from bayesgmm.report.html import render_report
from tests.fake_comparison import HOSTILE_COLUMNS, make_comparison


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """Two components and features, known labels, and three observations whose label EM sets differently."""
    made = make_comparison(2, 2, known_labels=True, n_draws=400)
    flips = made.assignments["flips"].copy(data=np.arange(made.em.n_samples) < 3)
    return dataclasses.replace(made, assignments=made.assignments.assign(flips=flips))


@pytest.fixture(scope="session")
def page(comparison: Comparison) -> str:
    return render_report(comparison, title="Geysers & <others>")


@pytest.fixture(scope="session")
def hostile() -> Comparison:
    return make_comparison(2, 4, columns=HOSTILE_COLUMNS, converged=False, known_labels=True)


@pytest.fixture(scope="session")
def hostile_page(hostile: Comparison) -> str:
    return render_report(hostile)
