"""Deliberate errors in a copy of the package, each of which a quick test must catch.

Tests run in a process of their own on the copy, without compilation (NUMBA_DISABLE_JIT, a plugin for the C function): an error in
compiled code is one in the Python that it is compiled from.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bayesgmm.kernels.threads import available_threads

pytestmark = pytest.mark.statistical

ROOT = Path(__file__).parents[2]
PLUGIN = """
from ctypes import POINTER, c_double, cast
from bayesgmm.kernels import c_functions as c
c._by_address = lambda: lambda dim, *at: c._density(dim, *(cast(address, POINTER(c_double)) for address in at))
"""
DENSITY = "tests/model/test_density.py::test_density_is_likelihood_plus_priors_plus_jacobian"
COORDINATES = "tests/model/test_coordinates.py::"
AXES = "tests/model/test_axes.py::"
PRIORS = "tests/model/test_priors.py::"


@dataclass(frozen=True)
class Mutant:
    """An error: in a file of the package, `old`, which stands there once, becomes `new`; and the test that sees it."""

    error: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "Jacobian of the scales missing",
        "kernels/log_posterior.py",
        "value += prior + u[at + e]",
        "value += prior",
        f"{DENSITY}[1-3-VVI-half_normal]",
    ),
    Mutant(
        "Jacobian of the correlations missing",
        "kernels/log_posterior.py",
        "n_features - (i + 1.0) + (i + 2.0)",
        "n_features - (i + 1.0)",
        f"{DENSITY}[2-2-VVV-log_normal]",
    ),
    Mutant(
        "Jacobian of the simplex missing, or Dirichlet exponents one too low",
        "kernels/log_posterior.py",
        "value += concentration[k] * np.log(weights[k])",
        "value += (concentration[k] - 1.0) * np.log(weights[k])",
        f"{DENSITY}[2-2-EII-log_normal]",
    ),
    Mutant(
        "constant of the simplex's Jacobian forgotten",
        "model/coordinates.py",
        "out = np.log(n_components) + np.log(parameters.weights)",
        "out = np.log(parameters.weights)",
        f"{COORDINATES}test_log_jacobian_is_that_of_the_map[2-2-EII]",
    ),
    Mutant(
        "power of the correlations' Jacobian one too low",
        "model/coordinates.py",
        "(np.arange(n_features) + 2) * log_diagonal",
        "(np.arange(n_features) + 1) * log_diagonal",
        f"{COORDINATES}test_log_jacobian_is_that_of_the_map[2-2-VVV]",
    ),
    Mutant(
        "eta once where it stands twice",
        "kernels/log_posterior.py",
        "exponent = 2.0 * lkj_eta - 2.0",
        "exponent = lkj_eta - 1.0",
        f"{DENSITY}[2-2-VVV-half_student_t]",
    ),
    Mutant(
        "LKJ's constant for another dimension",
        "model/axes.py",
        "beta = eta + (n_features - 1 - k) / 2",
        "beta = eta + (n_features - k) / 2",
        f"{AXES}test_lkj_density_integrates_to_one",
    ),
    Mutant(
        "LKJ drawn for another eta",
        "model/axes.py",
        "rng.beta(i / 2, eta + (n_features - 1 - i) / 2, size=size)",
        "rng.beta(i / 2, eta + (n_features - i) / 2, size=size)",
        f"{AXES}test_lkj_draws_have_beta_marginals",
    ),
    Mutant(
        "rotations' density with a power one too high",
        "model/axes.py",
        "return cayley_log_constant(n_features) - (n_features - 1) * log_determinant",
        "return cayley_log_constant(n_features) - n_features * log_determinant",
        f"{AXES}test_in_three_columns_the_density_integrates_to_one",
    ),
    Mutant(
        "rotation transposed in the density",
        "kernels/log_posterior.py",
        "work[i, j] = np.sinh(x[at])",
        "work[i, j] = -np.sinh(x[at])",
        f"{DENSITY}[3-3-VVE-half_normal]",
    ),
    Mutant(
        "rotation transposed in the covariances",
        "model/coordinates.py",
        "cayley(parameters.rotations, structure.n_features) * scales",
        "cayley(parameters.rotations, structure.n_features).swapaxes(-1, -2) * scales",
        f"{COORDINATES}test_every_member_of_the_family_has_coordinates[3-3-VEV]",
    ),
    Mutant(
        "prior of the first column for the scales of all",
        "kernels/log_posterior.py",
        "column = e % layout.scale_columns",
        "column = 0",
        f"{DENSITY}[2-2-VVV-inverse_gamma]",
    ),
    Mutant(
        "prior mean ignored",
        "kernels/log_posterior.py",
        "deviation = (means[k, i] - hyper.mean_loc[i]) / hyper.mean_scale[i]",
        "deviation = means[k, i] / hyper.mean_scale[i]",
        f"{DENSITY}[2-2-EII-half_student_t]",
    ),
    Mutant(
        "half of the data",
        "model/target.py",
        "return pack(self.X, ",
        "return pack(self.X[::2], ",
        f"{DENSITY}[1-3-EEI-log_normal]",
    ),
    Mutant(
        "resolution ignored",
        "model/density.py",
        "        resolution**2 / 12,\n",
        "        0 * resolution,\n",
        f"{DENSITY}[2-2-VII-inverse_gamma]",
    ),
    Mutant(
        "components and columns swapped in the relative shapes",
        "model/coordinates.py",
        "w.reshape(*batch, n_components - 1, n_features - 1)",
        "w.reshape(*batch, n_features - 1, n_components - 1).swapaxes(-1, -2)",
        f"{COORDINATES}test_coordinates_round_trip_over_batches[3-3-EVI]",
    ),
    Mutant(
        "contrasts that are not orthonormal",
        "model/coordinates.py",
        "out[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))",
        "out[:, column] /= column + 2.0",
        f"{COORDINATES}test_contrasts_are_orthonormal_and_sum_to_zero",
    ),
    Mutant(
        "determinants equal with the sign reversed",
        "model/coordinates.py",
        "out = out - relative_log_determinants(parameters.correlation_trils)",
        "out = out + relative_log_determinants(parameters.correlation_trils)",
        f"{COORDINATES}test_covariances_are_members_of_the_family[2-2-EVV]",
    ),
    Mutant(
        "gradient without the Jacobian's",
        "kernels/log_posterior.py",
        "gradient[at + e] = d_prior * sigma + 1.0",
        "gradient[at + e] = d_prior * sigma",
        f"{DENSITY}[1-1-VVV-log_normal]",
    ),
    Mutant(
        "half-t drawn with the tail of a t",
        "model/scale_priors.py",
        "return stats.t(self.nu, scale=self.sigma).ppf((1 + q) / 2)",
        "return stats.t(self.nu, scale=self.sigma).ppf((2 + q) / 3)",
        f"{PRIORS}test_draws_follow_their_priors[half_student_t]",
    ),
    Mutant(
        "labels permuted by the inverse",
        "posterior/relabel.py",
        "variable.isel(cluster=permutation.variable)",
        "variable.isel(cluster=permutation.variable.copy(data=permutation.values.argsort(axis=-1)))",
        "tests/posterior/test_relabel.py::test_scrambled_labels_come_back[3]",
    ),
    Mutant(
        "log-likelihood of the draws without the rounding",
        "posterior/schema.py",
        "return flat_draws(posterior, np.diag(resolution_of(tree) ** 2) / 12)",
        "return flat_draws(posterior)",
        "tests/posterior/test_resolution.py::test_densities_are_those_of_the_widened_mixture",
    ),
)


def copied(folder):
    """The package and its tests, copied without compiled files."""
    for name in ("bayesgmm", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "plain_density.py").write_text(PLUGIN, encoding="utf-8")
    return folder


def run(folder, tests):
    """pytest's exit status, 0 where all tests passed and 1 where some failed, and what it said."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-x", "-p", "no:cacheprovider", "-p", "plain_density", *tests]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """By the number of each mutant, status and output; under -1 those of all tests on the package as it is."""

    def mutated(number):
        folder = copied(tmp_path_factory.mktemp(f"mutant{number}-"))
        mutant = MUTANTS[number]
        path = folder / "bayesgmm" / mutant.file
        path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        return run(folder, [mutant.test])

    with ThreadPoolExecutor(available_threads()) as pool:
        sound = pool.submit(run, copied(tmp_path_factory.mktemp("sound")), sorted({mutant.test for mutant in MUTANTS}))
        found = dict(enumerate(pool.map(mutated, range(len(MUTANTS)))))
        return found | {-1: sound.result()}


def test_the_package_as_it_is_passes(outcomes):
    status, output = outcomes[-1]
    assert status == 0, output


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=[mutant.error for mutant in MUTANTS])
def test_an_error_is_caught(outcomes, number):
    mutant = MUTANTS[number]
    assert (ROOT / "bayesgmm" / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    status, output = outcomes[number]
    assert status == 1, output  # other statuses: nothing was run
    assert " failed" in output
