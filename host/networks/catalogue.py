"""Networks by name: a network file, or the trained example of the package."""

from pathlib import Path
from typing import Any

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


def origin(name: str | Path) -> dict[str, Any] | None:
    """The note of origin of that network; None where it has none. Raises as `load` does."""
    if str(name) == DIGITS and not Path(name).exists():
        return {"made_by": "examples/digits/train.py", "data": DIGITS, "encoder": "rate"} | {
            "steps": digits_example.STEPS,
            "classes": digits_example.CLASSES,
        }
    return NetworkSpec.origin(name)
