"""The model room. PyMC takes seconds to import, and JAX with it where there is one: who does not use it does not wait for it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["through_pymc"])
