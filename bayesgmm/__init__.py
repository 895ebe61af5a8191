"""Gaussian mixtures, fitted twice: by EM and by NUTS, set side by side.

The public names are listed in `__init__.pyi`. Each is imported on first use, so that a point estimate does not wait for PyMC.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
