"""The numbers that the compiled log-posterior is given: sizes, priors, and the constant that it leaves out."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayesgmm.kernels import log_posterior
from bayesgmm.kernels.log_posterior import Hyperparameters, Layout, scale_log_prior
from bayesgmm.model.axes import cayley_log_constant, lkj_log_constant
from bayesgmm.model.coordinates import contrasts
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.scale_priors import SCALE_PARAMETERS, HierarchicalGamma
from bayesgmm.model.structure import Structure

Array = NDArray[np.float64]

_KINDS = {
    "inverse_gamma": log_posterior.INVERSE_GAMMA,
    "half_normal": log_posterior.HALF_NORMAL,
    "half_student_t": log_posterior.HALF_STUDENT_T,
    "log_normal": log_posterior.LOG_NORMAL,
    "hierarchical_gamma": log_posterior.HIERARCHICAL_GAMMA,
}
_AXES = {"columns": log_posterior.COLUMNS, "correlations": log_posterior.CORRELATIONS, "rotations": log_posterior.ROTATIONS}


def density_arguments(priors: ResolvedPriors, resolution: Array) -> tuple[Layout, Hyperparameters]:
    """The arguments of `log_posterior` that say what model it is."""
    structure = priors.structure
    n_components, n_features = structure.n_components, structure.n_features
    n_volumes, n_shapes = structure.sizes[3:5]
    scale_params = np.zeros((3, structure.scales_shape[1]))
    for row, name in enumerate(SCALE_PARAMETERS[priors.scale_prior]):
        scale_params[row] = priors.scale_params[name]
    kind = _KINDS[priors.scale_prior]
    layout = Layout(
        n_components,
        n_features,
        *structure.scales_shape,
        n_volumes + n_shapes,
        structure.n_axes,
        _AXES[structure.axes],
        int(structure.equal_determinants),
        int(structure.axes != "rotations" and not resolution.any()),
        kind,
    )
    scalars = np.array([priors.log_ratio_scale, priors.lkj_eta, _log_constant(priors, kind, scale_params)])
    return layout, Hyperparameters(
        priors.concentration,
        priors.mean_loc,
        priors.mean_scale,
        scale_params,
        resolution**2 / 12,
        _scale_map(structure),
        np.ascontiguousarray(structure.reference_axes),
        scalars,
    )


def _scale_map(structure: Structure) -> Array:
    """Row, column and value (n, 3) of what is not 0 in the matrix from coordinates of scales, volumes and shapes to ln s_kd."""
    n_components, n_features = structure.n_components, structure.n_features
    by_component, by_feature = np.ones((n_components, 1)), np.ones((n_features, 1))
    own_rows = np.eye(n_components) if structure.cluster_scales else by_component
    own_columns = np.eye(n_features) if structure.feature_scales else by_feature
    blocks = [np.kron(own_rows, own_columns)]
    if structure.own_volumes:
        blocks.append(np.kron(contrasts(n_components), by_feature))
    if structure.own_shapes:
        blocks.append(np.kron(contrasts(n_components), contrasts(n_features)))
    matrix = np.hstack(blocks)
    rows, columns = matrix.nonzero()
    return np.column_stack([rows, columns, matrix[rows, columns]])


def _scale_log_constant(priors: ResolvedPriors, kind: int, scale_params: Array) -> float:
    distribution, rows = priors.scale_distribution, priors.structure.scales_shape[0]
    if isinstance(distribution, HierarchicalGamma):
        return distribution.log_constant(rows).sum()
    unnormalised = [scale_log_prior(kind, first, second, 1.0)[0] for first, second in scale_params[:2].T]
    return rows * (distribution.logpdf(np.ones(len(unnormalised))) - unnormalised).sum()


def _log_constant(priors: ResolvedPriors, kind: int, scale_params: Array) -> float:
    """What `log_posterior` leaves out of the normalised priors and the Jacobian."""
    structure = priors.structure
    n_components, n_features = structure.n_components, structure.n_features
    constant = gammaln(priors.concentration.sum()) - gammaln(priors.concentration).sum() + np.log(n_components)
    constant -= n_components * (0.5 * np.log(2 * np.pi) + np.log(priors.mean_scale)).sum()
    constant += _scale_log_constant(priors, kind, scale_params)
    n_ratios = structure.sizes[3] + structure.sizes[4]
    constant -= n_ratios * (0.5 * np.log(2 * np.pi) + np.log(priors.log_ratio_scale))
    if structure.axes == "correlations":
        constant += structure.n_axes * lkj_log_constant(priors.lkj_eta, n_features)
    elif structure.axes == "rotations":
        constant += structure.n_axes * cayley_log_constant(n_features)
    return float(constant)
