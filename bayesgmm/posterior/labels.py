"""Names of scalar parameters, such as "means[0, waiting]", in the order of tables and plots."""

from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class ParameterLabel:
    """One scalar parameter of the mixture: its kind ("weights", "means", "scales" or "correlations") and its place."""

    kind: str
    cluster: int
    feature: str | None = None
    feature_bis: str | None = None

    @property
    def text(self) -> str:
        place = [str(self.cluster), *(name for name in (self.feature, self.feature_bis) if name is not None)]
        return f"{self.kind}[{', '.join(place)}]"

    def select(self, dataset: xr.Dataset) -> xr.DataArray:
        """The values of this parameter in a dataset with the schema's variables."""
        columns = [str(name) for name in dataset["feature"].values]  # feature_bis may have no names of its own
        features = {"feature": self.feature, "feature_bis": self.feature_bis}
        place = {"cluster": self.cluster} | {dim: columns.index(name) for dim, name in features.items() if name is not None}
        return dataset[self.kind].isel(place).reset_coords(drop=True)


def parameter_labels(posterior: xr.Dataset) -> list[ParameterLabel]:
    """Every free scalar parameter: weights, means, marginal standard deviations, correlations above the diagonal."""
    n_components = posterior.sizes["cluster"]
    columns = [str(name) for name in posterior["feature"].values]
    clusters = range(n_components)
    pairs = [(a, b) for i, a in enumerate(columns) for b in columns[i + 1 :]]
    return [
        *(ParameterLabel("weights", k) for k in clusters),
        *(ParameterLabel(kind, k, a) for kind in ("means", "scales") for k in clusters for a in columns),
        *(ParameterLabel("correlations", k, a, b) for k in clusters for a, b in pairs),
    ]
