"""The room of posteriors. ArviZ is imported before anything else that takes long.

It asks lazy-loader for JAX, and lazy-loader, where JAX is not installed, looks up each caller on the stack among all modules
imported so far: half of a second where it comes last.
"""

import arviz_base  # noqa: F401
