"""What a finished command says to the shell."""

from bayesgmm.compare.comparison import Comparison

DONE, NOT_CONVERGED = 0, 1


def status_of(comparison: Comparison) -> int:
    """DONE, or NOT_CONVERGED where EM or the posterior is not."""
    return DONE if comparison.diagnosis.ok and comparison.em.converged else NOT_CONVERGED
