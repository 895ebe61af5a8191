"""Every exception of the library. Results that did not converge are no exceptions: their status says so."""


class BayesGMMError(Exception):
    """Whatever this library raises on its own account."""


class InputError(BayesGMMError, ValueError):
    """Data or an argument that cannot be used; the message names the column, row, component or argument."""


class FitError(BayesGMMError, RuntimeError, ValueError):
    """Every restart of a fit failed; the message lists the reasons. A ValueError too, which scikit-learn's users catch."""


class InternalError(BayesGMMError, RuntimeError):
    """A law the code relies on was broken, for example a log-likelihood that fell: a bug in this library."""


class FileFormatError(BayesGMMError, ValueError):
    """A file that is truncated or was not written by this library."""


class MissingDependencyError(BayesGMMError, ImportError):
    """An optional package is needed and not installed; the message gives the command that installs it."""


class SamplingError(BayesGMMError, RuntimeError):
    """A chain could not be started or run; the message names the chain and where it started."""


class PriorWarning(UserWarning):
    """A prior under which the posterior may be improper on the data at hand."""


class SamplingWarning(UserWarning):
    """Posterior draws that something speaks against; the tree's attributes list the same sentences."""
