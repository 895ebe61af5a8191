"""The data sets on which evidence is tested: those that the package ships, and two that the reference figures carry."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import bayesgmm as bg

REFERENCE = Path(__file__).parent / "reference"


def data_set(name: str) -> np.ndarray:
    """X (N, D) of iris, faithful, galaxies, acidity or crabs."""
    if name == "acidity":
        return np.asarray(json.loads((REFERENCE / "mstep_acidity.json").read_text())["X"], dtype=np.float64).reshape(-1, 1)
    if name == "crabs":
        return pd.read_csv(REFERENCE / "crabs.csv").select_dtypes("number").to_numpy(dtype=np.float64)
    loaders = {"iris": bg.load_iris, "faithful": bg.load_faithful, "galaxies": bg.load_galaxies}
    return loaders[name]().select_dtypes("number").to_numpy(dtype=np.float64)
