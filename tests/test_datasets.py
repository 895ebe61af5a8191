"""The shipped data are the published ones: sizes, units and the values by which their known copies differ."""

import json
from pathlib import Path

import numpy as np
import pytest

from bayesgmm.data import require_fittable, validate
from bayesgmm.datasets import load_faithful, load_galaxies, load_iris

REFERENCE = Path(__file__).parent / "reference"


def test_faithful() -> None:
    data = load_faithful()
    assert list(data.columns) == ["eruptions", "waiting"]
    assert data.shape == (272, 2)
    assert data["waiting"].between(43, 96).all()
    # mclust's M-step from a partition: the weighted mean of its means is the mean of R's copy of the data
    fit = json.loads((REFERENCE / "faithful_mclust.json").read_text(encoding="utf-8"))["mstep_hard"]["VVV"]
    np.testing.assert_allclose(data.mean(), np.array(fit["pro"]) @ np.array(fit["mean"]), rtol=1e-13)


def test_galaxies_has_the_corrected_value() -> None:
    data = load_galaxies()
    assert list(data.columns) == ["velocity"]
    assert data.shape == (82, 1)
    assert data["velocity"].iloc[77] == 26.960
    assert (data["velocity"].min(), data["velocity"].max()) == (9.172, 34.279)


def test_iris_is_fishers() -> None:
    data = load_iris()
    assert list(data.columns) == ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    assert data["species"].value_counts().to_dict() == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert data.iloc[34, :4].tolist() == [4.9, 3.1, 1.5, 0.2]
    assert data.iloc[37, :4].tolist() == [4.9, 3.6, 1.4, 0.1]


@pytest.mark.parametrize("data", [load_faithful(), load_galaxies(), load_iris().drop(columns="species")])
def test_they_pass_the_door(data: object) -> None:
    require_fittable(validate(data), 9)


def test_each_call_gives_a_fresh_table() -> None:
    data = load_faithful()
    data.iloc[0, 0] = -1.0
    assert load_faithful().iloc[0, 0] == 3.6
