"""Networks by name: a network file, or the trained example of the package."""

from pathlib import Path

from spikeveil.host.networks import digits_example
from spikeveil.pysim.model.spec import NetworkSpec

DIGITS = "digits"


def load(name: str | Path) -> NetworkSpec:
    """The network in the file `name`; the trained digits network for the word `digits` where no such file exists.

    ValueError for a file that is no network, OSError for one that cannot be read.
    """
    if str(name) == DIGITS and not Path(name).exists():
        return digits_example.load_network()
    return NetworkSpec.load(name)
