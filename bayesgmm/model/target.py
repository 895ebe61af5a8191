"""The log-posterior of one data set as a function of the unconstrained coordinates."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.kernels.c_functions import log_density_of, pack
from bayesgmm.kernels.draws import log_likelihood_of_draws
from bayesgmm.model.coordinates import constrain, covariances, from_draws, from_mixture, log_jacobian, to_mixture, unconstrain
from bayesgmm.model.density import density_arguments
from bayesgmm.model.native import Place, native_model
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
        return pack(self.X, *density_arguments(self.priors, self.resolution), np.zeros(size), np.eye(size))

    def log_density(self, u: Array) -> tuple[float, Array]:
        """ln p(u | X) up to the evidence, and its gradient, at u (P,); -inf where it is not finite."""
        return log_density_of(self._packed, u)

    def log_densities(self, u: Array) -> Array:
        """`log_density` without gradient at many points u (S, P), shape (S,), in threads."""
        structure = self.structure
        parameters = constrain(u, structure)
        recorded = covariances(parameters, structure) + np.diag(self.resolution**2 / 12)
        try:
            scale_trils = np.linalg.cholesky(recorded)
        except np.linalg.LinAlgError:  # some covariance is singular in floating point
            return np.array([self.log_density(point)[0] for point in u])
        out = log_likelihood_of_draws(self.X, parameters.weights, parameters.means, scale_trils)
        out += sum(self.priors.log_density(parameters).values()) + log_jacobian(parameters, structure)
        return np.where(np.isfinite(out), out, -np.inf)

    def native_model(self, place: Place) -> Any:
        """The model for nutpie of a chain at a place; its draws are z in u = place.origin + place.metric z."""
        return native_model(self.X, self.priors, self.resolution, place)

    def coordinates_of(self, params: MixtureParams) -> Array:
        """The coordinates (P,) of a mixture of the family."""
        return unconstrain(from_mixture(params, self.structure), self.structure)

    def coordinates_of_draws(self, weights: Array, means: Array, scale_trils: Array) -> Array:
        """The coordinates (S, P) of many mixtures (S, K), (S, K, D), (S, K, D, D)."""
        if self.structure.axes == "rotations":
            return np.array([self.coordinates_of(MixtureParams(*draw)) for draw in zip(weights, means, scale_trils, strict=True)])
        return unconstrain(from_draws(weights, means, scale_trils, self.structure), self.structure)

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
