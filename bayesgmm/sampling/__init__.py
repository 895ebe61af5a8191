"""The sampling room. PyMC takes seconds to import, and JAX with it: who does not use them does not wait for them."""

import lazy_loader

import bayesgmm.posterior  # noqa: F401 - ArviZ first

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["through_pymc"])
