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
from .model.extend import extend
from .model.prior_predictive import sample_prior
from .model.priors import Priors
from .model.sample import sample
from .params import MixtureParams
from .plots.calibration import plot_calibration
from .plots.density import plot_density
from .plots.diagnostics import plot_diagnostics
from .plots.entropy import plot_entropy
from .plots.forest import plot_forest
from .plots.memberships import plot_memberships
from .plots.modes import plot_modes
from .plots.predictive import plot_predictive
from .plots.prior_predictive import plot_prior_predictive
from .plots.selection import plot_selection
from .posterior.assignments import assignments, flips
from .posterior.diagnose import Diagnosis, diagnose
from .posterior.pool import chain_weights, pool
from .posterior.relabel import relabel
from .report.html import render_report, write_report
from .report.terminal import print_summary

__version__: str

__all__ = [
    "BayesGMMError",
    "Calibration",
    "Comparison",
    "ConjugatePrior",
    "Dataset",
    "Diagnosis",
    "EMMode",
    "EMResult",
    "EMRun",
    "EMStatus",
    "FileFormatError",
    "FitError",
    "GaussianMixture",
    "InputError",
    "InternalError",
    "MissingDependencyError",
    "MixtureParams",
    "PriorWarning",
    "Priors",
    "SamplingError",
    "SamplingWarning",
    "Selection",
    "StandardErrors",
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
    "plot_calibration",
    "plot_density",
    "plot_diagnostics",
    "plot_entropy",
    "plot_forest",
    "plot_memberships",
    "plot_modes",
    "plot_predictive",
    "plot_prior_predictive",
    "plot_selection",
    "pool",
    "print_summary",
    "relabel",
    "render_report",
    "sample",
    "sample_prior",
    "save",
    "select",
    "standard_errors",
    "write_report",
]
