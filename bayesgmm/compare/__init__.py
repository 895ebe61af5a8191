"""The room of comparisons."""

import bayesgmm.posterior  # noqa: F401 - ArviZ first
