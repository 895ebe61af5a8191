"""The public names, on one screen; `__init__.py` imports each on first use."""

from .analyze import analyze
from .compare.calibration import Calibration, calibration
from .compare.comparison import Comparison, compare
from .data import Dataset
from .datasets import load_faithful, load_galaxies, load_iris
from .em.bootstrap_lrt import bootstrap_lrt
from .em.estimator import GaussianMixture
from .em.fit import fit_em
from .em.mle import fit_mle
from .em.modes import EMMode
from .em.prior import ConjugatePrior
from .em.result import EMResult
from .em.run import EMRun, EMStatus
from .em.select import Selection, select
from .em.standard_errors import StandardErrors, standard_errors
from .errors import (
    BayesGMMError,
    FileFormatError,
    FitError,
    InputError,
    InternalError,
    MissingDependencyError,
    PriorWarning,
    SamplingError,
    SamplingWarning,
)
from .io import load, save
from .model.build import build_model
from .model.prior_predictive import sample_prior
from .model.priors import Priors
from .params import MixtureParams
from .partitions.ball import CredibleBall
from .plots.calibration import plot_calibration
from .plots.density import plot_density
from .plots.diagnostics import plot_diagnostics
from .plots.entropy import plot_entropy
from .plots.evidence import plot_evidence
from .plots.forest import plot_forest
from .plots.memberships import plot_memberships
from .plots.modes import plot_modes
from .plots.n_components import plot_n_components
from .plots.predictive import plot_predictive
from .plots.prior_predictive import plot_prior_predictive
from .plots.selection import plot_selection
from .plots.similarity import plot_similarity
from .posterior.assignments import assignments, flips
from .posterior.conditions import Condition
from .posterior.diagnose import Diagnosis, diagnose
from .posterior.occupied import occupied_components
from .posterior.partition import EMPlace, Partition, partition
from .posterior.pool import chain_weights, pool
from .posterior.relabel import relabel
from .posterior.similarity import similarity
from .report.html import render_report, write_report
from .report.terminal import print_summary
from .sampling.extend import extend
from .sampling.log_evidence import Evidence, log_evidence
from .sampling.n_components import NComponentsPosterior, n_components_posterior
from .sampling.sample import sample
from .version import __version__

__all__ = [
    "BayesGMMError",
    "Calibration",
    "Comparison",
    "Condition",
    "ConjugatePrior",
    "CredibleBall",
    "Dataset",
    "Diagnosis",
    "EMMode",
    "EMPlace",
    "EMResult",
    "EMRun",
    "EMStatus",
    "Evidence",
    "FileFormatError",
    "FitError",
    "GaussianMixture",
    "InputError",
    "InternalError",
    "MissingDependencyError",
    "MixtureParams",
    "NComponentsPosterior",
    "Partition",
    "PriorWarning",
    "Priors",
    "SamplingError",
    "SamplingWarning",
    "Selection",
    "StandardErrors",
    "__version__",
    "analyze",
    "assignments",
    "bootstrap_lrt",
    "build_model",
    "calibration",
    "chain_weights",
    "compare",
    "diagnose",
    "extend",
    "fit_em",
    "fit_mle",
    "flips",
    "load",
    "load_faithful",
    "load_galaxies",
    "load_iris",
    "log_evidence",
    "n_components_posterior",
    "occupied_components",
    "partition",
    "plot_calibration",
    "plot_density",
    "plot_diagnostics",
    "plot_entropy",
    "plot_evidence",
    "plot_forest",
    "plot_memberships",
    "plot_modes",
    "plot_n_components",
    "plot_predictive",
    "plot_prior_predictive",
    "plot_selection",
    "plot_similarity",
    "pool",
    "print_summary",
    "relabel",
    "render_report",
    "sample",
    "sample_prior",
    "save",
    "select",
    "similarity",
    "standard_errors",
    "write_report",
]
