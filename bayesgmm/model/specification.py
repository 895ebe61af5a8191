"""From what a user passes to a model with every choice made: data, EM fit, family, priors, resolution."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from bayesgmm.data import Dataset, check_columns, check_count, check_resolution, require_fittable, validate
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, PriorWarning
from bayesgmm.families import family_named, require_dimension
from bayesgmm.model.coordinates import centred_on
from bayesgmm.model.priors import Priors
from bayesgmm.model.properness import improper_reasons
from bayesgmm.model.target import Target


@dataclass(frozen=True, eq=False)
class Specification:
    """A validated data set, the EM fit that was passed, if any, and what is sampled from."""

    dataset: Dataset
    em: EMResult | None
    target: Target

    def started_at(self, em: EMResult) -> "Specification":
        """With an EM fit of the same data and family, whose axes the coordinates of rotations are relative to."""
        priors = replace(self.target.priors, structure=centred_on(self.target.structure, em.params))
        return Specification(self.dataset, em, replace(self.target, priors=priors))


def specify(
    X: Any,
    em_or_n_components: EMResult | int,
    covariance: str | None,
    priors: Priors | None,
    resolution: float | ArrayLike | None,
) -> Specification:
    """The checked and completed arguments of `build_model` and `sample`; InputError where they do not fit together."""
    dataset = validate(X)
    em = em_or_n_components if isinstance(em_or_n_components, EMResult) else None
    if em is not None:
        n_components, family = em.params.n_components, _family_of(em, covariance)
        _check_same_data(em, dataset)
    else:
        n_components, family = check_count(em_or_n_components, "n_components"), family_named(covariance or "VVV").name
    require_dimension(family_named(family), dataset.n_features)
    require_fittable(dataset, n_components)
    given = em.resolution if resolution is None and em is not None and any(em.resolution) else resolution
    steps = check_resolution(given, dataset)
    if not isinstance(priors, Priors | None):
        raise InputError(f"priors must be a bayesgmm.Priors; got {priors!r:.80}")
    resolved = (priors or Priors()).resolved(dataset.X, n_components, family)
    target = Target(dataset.X, resolved, steps)
    _check_proper(target, dataset)
    specification = Specification(dataset, None, target)
    return specification if em is None else specification.started_at(em)


def _family_of(em: EMResult, covariance: str | None) -> str:
    if covariance is not None and family_named(covariance).name != em.covariance:
        raise InputError(f"covariance is {covariance!r} but the EM fit has {em.covariance!r}; leave it out, or fit again")
    return em.covariance


def _check_same_data(em: EMResult, dataset: Dataset) -> None:
    check_columns(dataset, em.columns)
    if em.n_samples != dataset.n_samples:
        raise InputError(f"the EM fit has {em.n_samples} rows, X has {dataset.n_samples}: pass the data it was fitted to")
    if em.total_weight != em.n_samples:
        raise InputError(
            f"the EM fit has row weights (their sum is {em.total_weight:g}, there are {em.n_samples} rows), which the "
            "posterior does not take: fit again without sample_weight"
        )


def _check_proper(target: Target, dataset: Dataset) -> None:
    """Refuse a scale prior under which two tied values are enough; warn where correlations are at fault."""
    for reason in improper_reasons(dataset.X, target.priors, target.resolution, dataset.columns):
        if reason.cause == "scales":
            raise InputError(reason.sentence)
        warnings.warn(reason.sentence, PriorWarning, stacklevel=4)
