"""The log-posterior of one data set as a function of the unconstrained coordinates."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.coordinates import constrain, from_mixture, to_mixture, unconstrain
from bayesgmm.model.native import Place, log_density_of, native_model, packed
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.structure import Structure
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Target:
    """Data X (N, D), priors with every number given, and the resolution (D,) of the columns: what is sampled from."""

    X: Array
    priors: ResolvedPriors
    resolution: Array

    @property
    def structure(self) -> Structure:
        return self.priors.structure

    @cached_property
    def _packed(self) -> Array:
        size = self.structure.n_coordinates
        return packed(self.X, self.priors, self.resolution, Place(np.zeros(size), np.eye(size), np.zeros(size)))

    def log_density(self, u: Array) -> tuple[float, Array]:
        """ln p(u | X) up to the evidence, and its gradient, at u (P,); -inf where it is not finite."""
        return log_density_of(self._packed, u)

    def native_model(self, place: Place) -> Any:
        """The model for nutpie of a chain at a place; its draws are z in u = place.origin + place.metric z."""
        return native_model(self.X, self.priors, self.resolution, place)

    def coordinates_of(self, params: MixtureParams) -> Array:
        """The coordinates (P,) of a mixture of the family."""
        return unconstrain(from_mixture(params, self.structure), self.structure)

    def mixture_at(self, u: Array) -> MixtureParams:
        """The mixture at u (P,); its covariances are those of the true values."""
        return to_mixture(constrain(u, self.structure), self.structure)

    def rough_scales(self, params: MixtureParams) -> Array:
        """Posterior standard deviations (P,) of the coordinates around `params`, to an order of magnitude."""
        structure = self.structure
        n_components, n_features = structure.n_components, structure.n_features
        rows = np.maximum(params.weights * len(self.X), 1.0)
        out = np.full(structure.n_coordinates, np.sqrt(n_components / len(self.X)))
        means = slice(n_components - 1, n_components - 1 + n_components * n_features)
        out[means] = (params.scales / np.sqrt(rows)[:, None]).ravel()
        return out
