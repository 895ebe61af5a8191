"""The covariance families, by mclust's three-letter names (volume, shape, orientation) and scikit-learn's."""

from bayesgmm.errors import InputError
from bayesgmm.families.axis_aligned import AxisAligned
from bayesgmm.families.common_orientation import CommonAxes, CommonShape, pooled_covariances, proportional_covariances
from bayesgmm.families.own_orientation import OwnAxes, OwnShape, equal_volume_covariances, scaled_scatters
from bayesgmm.families.protocol import CovarianceFamily
from bayesgmm.families.spherical import Spherical
from bayesgmm.families.volume_shape import EE, EV, VE, VV

FAMILIES: dict[str, CovarianceFamily] = {
    "EII": Spherical("EII", EE),
    "VII": Spherical("VII", VV),
    "EEI": AxisAligned("EEI", EE),
    "VEI": AxisAligned("VEI", VE),
    "EVI": AxisAligned("EVI", EV),
    "VVI": AxisAligned("VVI", VV),
    "EEE": CommonShape("EEE", EE, pooled_covariances),
    "VEE": CommonShape("VEE", VE, proportional_covariances),
    "EVE": CommonAxes("EVE", EV),
    "VVE": CommonAxes("VVE", VV),
    "EEV": OwnAxes("EEV", EE),
    "VEV": OwnAxes("VEV", VE),
    "EVV": OwnShape("EVV", EV, equal_volume_covariances),
    "VVV": OwnShape("VVV", VV, scaled_scatters),
    "E": Spherical("E", EE),
    "V": Spherical("V", VV),
}
ALIASES = {"spherical": "VII", "diag": "VVI", "tied": "EEE", "full": "VVV"}
ONE_COLUMN = {"E": "EII", "V": "VII"}
"""Families for a single column, and what they are called for any number of columns."""

__all__ = ["ALIASES", "FAMILIES", "ONE_COLUMN", "CovarianceFamily", "family_named", "require_dimension"]


def family_named(name: str) -> CovarianceFamily:
    """The family that `name` or alias stands for; InputError naming the choices if there is none."""
    key = ALIASES.get(name, name) if isinstance(name, str) else name
    if not isinstance(key, str) or key not in FAMILIES:
        choices = ", ".join([*FAMILIES, *(f"{alias} (= {target})" for alias, target in ALIASES.items())])
        raise InputError(f"covariance is {name!r}; choose one of: {choices}")
    return FAMILIES[key]


def require_dimension(family: CovarianceFamily, n_features: int) -> None:
    """InputError if the family is for one column and the data have more."""
    if family.name in ONE_COLUMN and n_features != 1:
        raise InputError(
            f"covariance is {family.name!r}, which is for one column; X has {n_features}: use {ONE_COLUMN[family.name]!r} instead"
        )
