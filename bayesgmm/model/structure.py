"""What is free in the covariances of each family, as the model parametrises them.

Sigma_k = T_k T_k'. Either T_k = diag(s_k) A_k, where s_kd are the marginal standard deviations and A_k is the Cholesky factor of
a correlation matrix, or T_k = A_k diag(s_k), where s_kd are semi-axes and A_k is a rotation. In both

    ln s_kd = ln scales + log_volumes_k + log_shapes_kd

with `log_volumes` of sum 0 over the components, and `log_shapes` of sum 0 over the components and over the columns.
"""

from dataclasses import dataclass
from math import lgamma, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bayesgmm.families import family_named

Array = NDArray[np.float64]
Axes = Literal["columns", "correlations", "rotations"]


@dataclass(frozen=True, eq=False)
class Structure:
    """The free parts of the K covariances.

    Attributes
    ----------
    family : str
        mclust's name.
    n_components, n_features : int
    cluster_scales, feature_scales : bool
        Whether `scales` has an axis for the components, and one for the columns.
    own_volumes, own_shapes : bool
        Whether there are log_volumes, and log_shapes.
    axes : "columns", "correlations" or "rotations"
        What A_k is: the identity, a Cholesky factor of a correlation matrix, or a rotation.
    own_axes : bool
        Whether each component has its own A_k.
    equal_determinants : bool
        Whether correlations leave all |Sigma_k| equal: the scales of component k are then divided by |R_k|^(1 / 2D), relative to
        the geometric mean of these factors.
    reference_axes : (n_axes, D, D)
        Where the axes are rotations, A_k is one of these times a rotation whose coordinates are small near the estimate. The
        prior is uniform, and so the same whatever they are. Identities, before `coordinates.centred_on`.
    """

    family: str
    n_components: int
    n_features: int
    cluster_scales: bool
    feature_scales: bool
    own_volumes: bool
    own_shapes: bool
    axes: Axes
    own_axes: bool
    equal_determinants: bool
    reference_axes: Array

    @property
    def n_pairs(self) -> int:
        return self.n_features * (self.n_features - 1) // 2

    @property
    def scales_shape(self) -> tuple[int, int]:
        """Components and columns with scales of their own; 1 where they share."""
        return self.n_components if self.cluster_scales else 1, self.n_features if self.feature_scales else 1

    @property
    def n_axes(self) -> int:
        """How many A_k there are: 0, 1 or K."""
        if self.axes == "columns":
            return 0
        return self.n_components if self.own_axes else 1

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int]:
        """Coordinates of weights, means, scales, log_volumes, log_shapes and axes, in this order."""
        n_components, n_features = self.n_components, self.n_features
        of_components, of_columns = self.scales_shape
        return (
            n_components - 1,
            n_components * n_features,
            of_components * of_columns,
            n_components - 1 if self.own_volumes else 0,
            (n_components - 1) * (n_features - 1) if self.own_shapes else 0,
            self.n_axes * self.n_pairs,
        )

    @property
    def log_rotation_copies(self) -> float:
        """ln of how many rotations, with the semi-axes in the order that goes with them, give the same covariances.

        Axes have two signs each, but for one that the determinant fixes, and any order, the same one in all components.
        """
        if self.axes != "rotations":
            return 0.0
        return lgamma(self.n_features + 1) + self.n_axes * (self.n_features - 1) * log(2)

    @property
    def n_coordinates(self) -> int:
        """Number of free parameters, and of coordinates."""
        return sum(self.sizes)


_AXES: dict[str, tuple[Axes, bool]] = {"I": ("columns", False), "E": ("correlations", False), "V": ("correlations", True)}
ROTATED = ("EVE", "VVE", "EEV", "VEV")
"""Families whose axes can only be said by a rotation: volumes and shapes are those of the axes, not of the columns."""


def structure_of(family: str, n_components: int, n_features: int) -> Structure:
    """The structure of a family, by any of its names; InputError for a name that there is not.

    In one column only the volume is left: every family is E (EII) or V (VII) there.
    """
    name = family_named(family).name
    if n_features == 1 or name in ("E", "V"):
        name = f"{name[0]}II"
    volume, shape, orientation = tuple(name)
    axes, own_axes = _AXES[orientation]
    n_references = 0
    if name in ROTATED:
        axes, n_references = "rotations", n_components if own_axes else 1
    return Structure(
        family=family_named(family).name,
        n_components=n_components,
        n_features=n_features,
        cluster_scales=volume == "V" and shape in "IV",
        feature_scales=shape != "I" or n_features == 1,
        own_volumes=volume == "V" and shape == "E" and n_components > 1,
        own_shapes=volume == "E" and shape == "V" and n_components > 1,
        axes=axes,
        own_axes=own_axes,
        equal_determinants=name == "EVV" and n_components > 1,
        reference_axes=np.tile(np.eye(n_features), (n_references, 1, 1)),
    )
