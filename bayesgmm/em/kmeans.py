"""k-means by scikit-learn."""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def kmeans_labels(X: Array, row_weights: Array, n_clusters: int, seed: int) -> Labels:
    """Labels (N,) of Lloyd's k-means from one k-means++ start."""
    return KMeans(n_clusters, n_init=1, random_state=seed).fit(X, sample_weight=row_weights).labels_


def far_rows(X: Array, row_weights: Array, n_rows: int, seed: int) -> Array:
    """Rows (n_rows, D) of X chosen far apart by k-means++ (Arthur and Vassilvitskii 2007)."""
    rows, _ = kmeans_plusplus(X, n_rows, sample_weight=row_weights, random_state=seed)
    return rows
