"""Priors of the standard deviations: their parameters, what these are by default, densities and draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import gammaln, logsumexp

Array = NDArray[np.float64]

SCALE_PARAMETERS: dict[str, tuple[str, ...]] = {
    "inverse_gamma": ("alpha", "beta"),
    "half_normal": ("sigma",),
    "half_student_t": ("nu", "sigma"),
    "log_normal": ("mu", "sigma"),
    "hierarchical_gamma": ("alpha", "g", "h"),
}
"""Priors on the marginal standard deviations and their parameters, named as in PyMC, or in the paper; see `HierarchicalGamma`."""

DEFAULT_SCALES = {
    "inverse_gamma": "alpha=2, beta=s/2",
    "half_normal": "sigma=s",
    "half_student_t": "nu=4, sigma=s",
    "log_normal": "mu=ln(0.3 s), sigma=0.8",
    "hierarchical_gamma": "alpha=2, g=0.2, h=10/R^2",
}
"""`default_scale_params` in words."""


@dataclass(frozen=True)
class HalfStudentT:
    """Student's t folded at 0, with SciPy's method names (SciPy has none of its own)."""

    nu: Array
    sigma: Array

    def logpdf(self, x: Array) -> Array:
        return np.log(2) + stats.t(self.nu, scale=self.sigma).logpdf(x)

    def ppf(self, q: Array) -> Array:
        return stats.t(self.nu, scale=self.sigma).ppf((1 + q) / 2)


@dataclass(frozen=True)
class HierarchicalGamma:
    """Standard deviations of components whose precisions are Gamma(alpha, rate beta), with one beta ~ Gamma(g, rate h) for all.

    With beta integrated out, K of them in a column have the exchangeable density

        2^K h^g Gamma(g + K alpha) / (Gamma(g) Gamma(alpha)^K)
            (prod_k sigma_k)^-(2 alpha + 1) (h + sum_k sigma_k^-2)^-(g + K alpha).

    Each parameter is one number or one for each column. Richardson and Green (1997), J. R. Statist. Soc. B 59, section 2.4.
    """

    alpha: Array
    g: Array
    h: Array

    def ppf(self, q: ArrayLike) -> Array:
        """Quantiles of any one of them: h sigma^2 is beta prime with parameters g and alpha."""
        return np.sqrt(stats.betaprime(self.g, self.alpha).ppf(q) / self.h)

    def joint_logpdf(self, x: Array) -> Array:
        """ln density (..., D) of the standard deviations (..., K, D) of K components."""
        log_x, n_components = np.log(x), x.shape[-2]
        total = np.logaddexp(np.log(self.h), logsumexp(-2 * log_x, axis=-2))
        exponent = self.g + n_components * self.alpha
        return self.log_constant(n_components) - (2 * self.alpha + 1) * log_x.sum(axis=-2) - exponent * total

    def log_constant(self, n_components: int) -> Array:
        """ln of the factors of the density of K standard deviations that depend on none of them."""
        shapes = gammaln(self.g + n_components * self.alpha) - gammaln(self.g) - n_components * gammaln(self.alpha)
        return n_components * np.log(2) + self.g * np.log(self.h) + shapes

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Standard deviations (..., K, D), with one beta for each of (..., D)."""
        beta = rng.gamma(self.g, 1 / self.h, size=(*shape[:-2], 1, shape[-1]))
        return np.sqrt(beta / rng.gamma(self.alpha, size=shape))


def default_scale_params(scale_prior: str, scale: Any, extent: Any) -> dict[str, Any]:
    """The parameters of a prior on standard deviations for columns with standard deviation `scale` and range `extent`."""
    defaults: dict[str, dict[str, Any]] = {
        "inverse_gamma": {"alpha": 2.0, "beta": scale / 2},
        "half_normal": {"sigma": scale},
        "half_student_t": {"nu": 4.0, "sigma": scale},
        "log_normal": {"mu": np.log(0.3 * scale), "sigma": 0.8},
        "hierarchical_gamma": {"alpha": 2.0, "g": 0.2, "h": 10 / extent**2},
    }
    return defaults[scale_prior]


def scale_distribution(scale_prior: str, values: Mapping[str, Any]) -> Any:
    """A prior on one standard deviation as a frozen SciPy distribution, or as like one, of the shape of its parameters."""
    if scale_prior == "inverse_gamma":
        return stats.invgamma(values["alpha"], scale=values["beta"])
    if scale_prior == "half_normal":
        return stats.halfnorm(scale=values["sigma"])
    if scale_prior == "half_student_t":
        return HalfStudentT(values["nu"], values["sigma"])
    if scale_prior == "hierarchical_gamma":
        return HierarchicalGamma(values["alpha"], values["g"], values["h"])
    return stats.lognorm(values["sigma"], scale=np.exp(values["mu"]))


def joint_log_density(distribution: Any, scales: Array) -> Array:
    """ln prior (...) of the standard deviations (..., K, D) of all components."""
    if isinstance(distribution, HierarchicalGamma):
        return distribution.joint_logpdf(scales).sum(axis=-1)
    return distribution.logpdf(scales).sum(axis=(-1, -2))


def draw_scales(distribution: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard deviations of all components, of shape (..., K, D)."""
    if isinstance(distribution, HierarchicalGamma):
        return distribution.draw(rng, shape)
    return distribution.ppf(rng.uniform(size=shape))
