"""Small real data sets that ship with the package; where each comes from stands in PROVENANCE.md beside them."""

from importlib.resources import files

import pandas as pd

__all__ = ["load_faithful", "load_galaxies", "load_iris"]


def load_faithful() -> pd.DataFrame:
    """Old Faithful: 272 eruptions, columns eruptions (duration, minutes) and waiting (to the next one, minutes)."""
    return _load("faithful.csv")


def load_galaxies() -> pd.DataFrame:
    """Corona Borealis: 82 galaxies, column velocity (recession, thousand km/s), with the 78th corrected to 26.960."""
    return _load("galaxies.csv")


def load_iris() -> pd.DataFrame:
    """Anderson's irises: 150 flowers, four lengths and widths (cm) and the column species (text, three of 50 each)."""
    return _load("iris.csv")


def _load(name: str) -> pd.DataFrame:
    with files(__name__).joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file)
