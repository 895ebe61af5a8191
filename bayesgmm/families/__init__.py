"""The covariance families, by mclust's three-letter names and scikit-learn's."""

from bayesgmm.errors import InputError
from bayesgmm.families.protocol import CovarianceFamily
from bayesgmm.families.unconstrained import Unconstrained

FAMILIES: dict[str, CovarianceFamily] = {"VVV": Unconstrained()}
ALIASES = {"full": "VVV"}

__all__ = ["ALIASES", "FAMILIES", "CovarianceFamily", "family_named"]


def family_named(name: str) -> CovarianceFamily:
    """The family that `name` or alias stands for; InputError naming the choices if there is none."""
    key = ALIASES.get(name, name) if isinstance(name, str) else name
    if not isinstance(key, str) or key not in FAMILIES:
        choices = ", ".join([*FAMILIES, *(f"{alias} (= {target})" for alias, target in ALIASES.items())])
        raise InputError(f"covariance is {name!r}; choose one of: {choices}")
    return FAMILIES[key]
