"""fit_mle: the mixture of labelled data, in closed form."""

from dataclasses import replace
from typing import Any

import numpy as np

from bayesgmm.data import check_row_weights, validate
from bayesgmm.em.fit import make_problem, result_of
from bayesgmm.em.initialise import start_from_rows
from bayesgmm.em.labels import label_codes
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.em.step import Collapsed
from bayesgmm.errors import FitError
from bayesgmm.families import family_named


def fit_mle(X: Any, labels: Any, *, covariance: str = "VVV", sample_weight: Any = None) -> EMResult:
    """Maximum likelihood where the component of every row is known.

    The weights are the shares of the labels (the multinomial MLE), the means and covariances the Gaussian MLE of each group, with
    the covariances tied as the family says. `predict` and `responsibilities` then classify new rows: linear discriminant analysis
    for "EEE", quadratic for "VVV", and so on.

    Parameters
    ----------
    X : (N, D) array or frame
    labels : (N,) array_like
        Any values that can be sorted; component k of the result is the k-th distinct one, and `result.labels` lists them.
    covariance : str
        As in `fit_em`.
    sample_weight : (N,), optional
        Non-negative weights of the rows; a whole number counts as that many copies of the row.

    Returns
    -------
    EMResult
        With status CLOSED_FORM. Its `log_likelihood` is, as everywhere, that of X alone under the mixture: sum_n ln p(x_n).

    Raises
    ------
    InputError
        Bad data or arguments, missing labels.
    FitError
        A group whose covariance is singular in this family; the message names its label.
    """
    dataset = validate(X)
    distinct, codes = label_codes(np.asarray(labels), dataset.n_samples, "labels")
    row_weights = None if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    problem = make_problem(dataset, len(distinct), family_named(covariance), row_weights=row_weights)
    params = start_from_rows(problem.rows, np.eye(len(distinct))[codes], problem.m_step)
    if isinstance(params, Collapsed):
        raise FitError(
            f"the group labelled {str(distinct[params.component])!r} has no proper covariance in family "
            f"{problem.m_step.family.name}: it {params.what} ({params.count:.3g} rows in {dataset.n_features} columns). "
            "Use a family with fewer parameters, such as EEE or VVI, or merge the group with another"
        )
    log_likelihood = problem.m_step.moments(problem.rows, params).log_likelihood
    run = EMRun(params, log_likelihood, np.array([log_likelihood]), EMStatus.CLOSED_FORM, "labels")
    return replace(result_of(problem, [run]), labels=tuple(str(label) for label in distinct))
