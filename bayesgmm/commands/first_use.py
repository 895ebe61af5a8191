"""What the first command on a machine does before it imports anything that takes long."""

from bayesgmm.compilation import POSTERIOR, start_compilation


def begin_compilation() -> None:
    """Have another process begin to compile what an analysis needs, where nothing is compiled yet."""
    start_compilation(POSTERIOR)
