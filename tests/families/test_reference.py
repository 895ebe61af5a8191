"""M-steps from fixed responsibilities against mclust; tests/reference/README.md says how its figures were made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesgmm.datasets import load_faithful, load_galaxies, load_iris
from bayesgmm.families import FAMILIES
from bayesgmm.families.common_orientation import orientation_gradient_norm
from tests.families.cases import expected_log_likelihood
from tests.problems import Array

FOLDER = Path(__file__).parents[1] / "reference"
MCLUST: dict[str, dict[str, Any]] = {
    name: json.loads((FOLDER / f"mstep_{name}.json").read_text(encoding="utf-8"))
    for name in ("faithful", "iris", "galaxies", "acidity")
}
DATA: dict[str, Array] = {
    "faithful": load_faithful().to_numpy(),
    "iris": load_iris().drop(columns="species").to_numpy(),
    "galaxies": load_galaxies().to_numpy(),
    "acidity": np.array(MCLUST["acidity"]["X"]),
}
CELLS = [(data, cell, name) for data in MCLUST for cell in ("mstep_hard", "mstep_soft") for name in MCLUST[data][cell]]
TOLERANCE = {"VEE": 1e-6, "EVE": 2e-6}
"""Where mclust's inner iterations stop short; 1e-11 elsewhere."""


def problem(data: str, cell: str) -> tuple[Array, Array]:
    """Counts and scatters of the cell's responsibilities."""
    X, theirs = DATA[data], MCLUST[data]
    labels = np.array(theirs["labels"]) - 1
    responsibilities = np.eye(labels.max() + 1)[labels] if cell == "mstep_hard" else np.array(theirs["z_soft"])
    counts = responsibilities.sum(axis=0)
    deviations = X[:, None, :] - (responsibilities.T @ X / counts[:, None])
    return counts, np.ascontiguousarray(np.einsum("nk,nki,nkj->kij", responsibilities, deviations, deviations))


def mclusts(data: str, cell: str, name: str) -> Array:
    """Its covariances (K, D, D)."""
    fit = MCLUST[data][cell][name]
    if "sigma" in fit:
        return np.array(fit["sigma"])
    n_components = max(MCLUST[data]["labels"])
    return np.broadcast_to(np.array(fit["sigmasq"])[:, None, None], (n_components, 1, 1))


@pytest.mark.parametrize(("data", "cell", "name"), [case for case in CELLS if case[2] != "VVE"])
def test_an_m_step_is_mclusts(data: str, cell: str, name: str) -> None:
    counts, scatters = problem(data, cell)
    ours, theirs = FAMILIES[name].maximise(counts, scatters), mclusts(data, cell, name)
    scales = np.sqrt(np.diagonal(theirs, axis1=1, axis2=2))
    difference = np.abs(ours - theirs) / (scales[:, :, None] * scales[:, None, :])
    assert difference.max() < TOLERANCE.get(name, 1e-11)


@pytest.mark.parametrize(("data", "cell", "name"), CELLS)
def test_an_m_step_is_no_worse_than_mclusts(data: str, cell: str, name: str) -> None:
    counts, scatters = problem(data, cell)
    ours, theirs = FAMILIES[name].maximise(counts, scatters), mclusts(data, cell, name)
    value = expected_log_likelihood(counts, scatters, ours)
    assert value >= expected_log_likelihood(counts, scatters, theirs) - 1e-13 * abs(value)


@pytest.mark.parametrize("name", ["VEE", "EVE", "VVE"])
@pytest.mark.parametrize(
    ("data", "cell"), [(data, cell) for data in ("faithful", "iris") for cell in ("mstep_hard", "mstep_soft")]
)
def test_where_mclust_differs_it_is_not_stationary(data: str, cell: str, name: str) -> None:
    counts, scatters = problem(data, cell)
    theirs = orientation_gradient_norm(counts, scatters, mclusts(data, cell, name))
    ours = orientation_gradient_norm(counts, scatters, FAMILIES[name].maximise(counts, scatters))
    assert ours < 1e-11
    assert theirs > (0.05 if name == "VVE" else 3e-9)


@pytest.mark.parametrize(("data", "cell"), [("faithful", "mstep_hard"), ("iris", "mstep_hard"), ("iris", "mstep_soft")])
def test_vve_gains_on_mclust_from_its_own_answer(data: str, cell: str) -> None:
    counts, scatters = problem(data, cell)
    theirs = mclusts(data, cell, "VVE")
    ours = FAMILIES["VVE"].maximise(counts, scatters, theirs.copy())
    gain = expected_log_likelihood(counts, scatters, ours) - expected_log_likelihood(counts, scatters, theirs)
    assert gain > 0.01


@pytest.mark.parametrize("data", MCLUST)
def test_numbers_of_free_parameters(data: str) -> None:
    n_features = DATA[data].shape[1]
    for name, numbers in MCLUST[data]["df"].items():
        for n_components, theirs in enumerate(numbers, start=1):
            ours = FAMILIES[name].n_covariance_parameters(n_components, n_features)
            assert theirs in {None, ours + n_components * n_features + n_components - 1}, (name, n_components)
