"""How sure EM's plug-in memberships are: the delta method with the observed information of the fit."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.result import EMResult
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.errors import InputError

Array = NDArray[np.float64]

MOST_PARAMETERS = 1000
"""Free parameters P up to which the (P, P) information is computed without being asked for: a few seconds and 8 MB a matrix."""


class MembershipErrors(NamedTuple):
    """Standard errors of gamma_nk, and what to know about them.

    Attributes
    ----------
    values : (N, K)
        NaN throughout where there are none.
    note : str
        Why they are NaN, or what speaks against them; empty if nothing.
    """

    values: Array
    note: str


def membership_errors(em: EMResult, X: Any, rows: Array) -> MembershipErrors:
    """Standard errors of EM's plug-in memberships of any rows, by the delta method.

    Parameters
    ----------
    em : EMResult
    X : (N, D) array or frame
        The data it was fitted to, without row weights.
    rows : (M, D) float64
        Whose memberships; the data or new rows.

    Returns
    -------
    MembershipErrors
        0 where gamma_nk is 0 or 1 in floating point. NaN, with the reason, where the fit is not at its limit, its information is
        singular or indefinite, a weight is 0, the fit has a prior, an active bound or labels, X is not its data, or it has more
        than 1000 free parameters.

    Notes
    -----
    With s_nk the gradient of ln(pi_k N(x_n; mu_k, Sigma_k)) in the free coordinates theta of the covariance family::

        d gamma_nk / d theta = gamma_nk (s_nk - sum_j gamma_nj s_nj) = gamma_nk d_nk
        se(gamma_nk)^2       = gamma_nk^2 d_nk' I(theta)^{-1} d_nk

    I is the observed information (Boldea and Magnus 2009). This first order says little of a gamma_nk near 0 or 1, whose
    distribution is skewed; it is 0 where the gradient is.
    """
    reason = _why_not(em)
    if not reason:
        try:
            errors = standard_errors(em, X)
        except InputError as error:
            reason = str(error)
    if reason:
        return MembershipErrors(np.full((len(rows), em.params.n_components), np.nan), reason)
    gamma = em.responsibilities(rows)
    with np.errstate(over="ignore", invalid="ignore"):  # squares of rows very far away, whose gamma is 0 or 1
        values = np.where((gamma > 0) & (gamma < 1), errors.responsibilities(rows), 0.0)
    return MembershipErrors(values, "; ".join(errors.notes))


def _why_not(em: EMResult) -> str:
    if not em.converged:
        return f"the fit is not at its limit: {em.status}"
    if em.n_parameters > MOST_PARAMETERS:
        return (
            f"the fit has {em.n_parameters} free parameters, more than {MOST_PARAMETERS}: its information is large; "
            "call standard_errors(em, X).responsibilities(X) if it is wanted all the same"
        )
    return ""
