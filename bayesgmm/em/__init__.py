"""The room of EM. Whoever needs no k-means, labels or Dataset does not wait for scikit-learn, pandas and xarray."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["kmeans", "labels", "record"])
