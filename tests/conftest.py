"""What all tests share: compiled functions, and a search for modes that is cut short where a test is not about it."""

import pytest

from bayesgmm.compilation import POSTERIOR, compile_side_by_side
from bayesgmm.evidence import chart

FEW_STARTS = {"random": 4, "k-means++": 2}
"""In the place of `chart.MORE_STARTS`."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile in two processes, before two workers compile the same side by side."""
    starts_workers = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if starts_workers and not config.option.collectonly:
        compile_side_by_side(POSTERIOR, progress=False)


@pytest.fixture(scope="module")
def few_starts():
    """A search for modes from few EM starts: for tests of data whose modes any start finds, or that are not about modes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chart, "MORE_STARTS", FEW_STARTS)
        yield
