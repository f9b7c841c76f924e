"""A network by the name of its file, or by the name of a trained one that comes with the package."""

from pathlib import Path

from spikeveil.host.networks import digits_example
from spikeveil.pysim.model.spec import NetworkSpec

DIGITS = "digits"


def load(name: str | Path) -> NetworkSpec:
    """The network in the file `name`, or the trained digits network for the word `digits` where no such file exists.

    Raises ValueError for a file that is no network, OSError for one that cannot be read.
    """
    if str(name) == DIGITS and not Path(name).exists():
        return digits_example.load_network()
    return NetworkSpec.load(name)
