"""The one door: whatever a user passes as data or as a number becomes a checked value here, or an InputError."""

from bayesgmm.data.arguments import check_count, check_probability, check_row_weights, check_seed, is_number
from bayesgmm.data.dataset import Dataset, check_columns, require_fittable
from bayesgmm.data.read import validate
from bayesgmm.data.resolution import check_resolution, detect_resolution

__all__ = [
    "Dataset",
    "check_columns",
    "check_count",
    "check_probability",
    "check_resolution",
    "check_row_weights",
    "check_seed",
    "detect_resolution",
    "is_number",
    "require_fittable",
    "validate",
]
