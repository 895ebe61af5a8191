"""What the commands of the command line do, from parsed options to an exit status; each is imported when it is called."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"analysis": ["demo", "fit"], "first_use": ["begin_compilation"], "saved": ["report"], "selection": ["select"]},
)
