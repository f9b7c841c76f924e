"""Private spiking neural networks on FPGAs, from a trained network to the epsilon that the chip really gives.

>>> import numpy as np, spikeveil
>>> layer = spikeveil.LayerSpec(np.eye(4, dtype=int), threshold=1, flip=spikeveil.FlipSpec.for_epsilon(1.0))
>>> network = spikeveil.Network(spikeveil.NetworkSpec([layer]), spikeveil.TriviumSource.generate())
>>> result = network.run(np.ones((2, 16, 4), bool), lease=1)  # (records, steps, inputs)
>>> result.released.shape
(2, 16, 4)

A name is imported when it is first used, so `import spikeveil` costs next to nothing. `python -m spikeveil` is the
command line.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.networks.catalogue import load as load
    from spikeveil.host.privacy import KaryRandomizedResponse as KaryRandomizedResponse
    from spikeveil.host.privacy import Ledger as Ledger
    from spikeveil.host.privacy import RandomizedResponse as RandomizedResponse
    from spikeveil.host.privacy.claim import Claim as Claim
    from spikeveil.pysim import Decision as Decision
    from spikeveil.pysim import FlipSpec as FlipSpec
    from spikeveil.pysim import LayerSpec as LayerSpec
    from spikeveil.pysim import Leak as Leak
    from spikeveil.pysim import LfsrSource as LfsrSource
    from spikeveil.pysim import Network as Network
    from spikeveil.pysim import NetworkSpec as NetworkSpec
    from spikeveil.pysim import OneHotDecision as OneHotDecision
    from spikeveil.pysim import Result as Result
    from spikeveil.pysim import TriviumSource as TriviumSource

__version__ = metadata.version("spikeveil")

#: public name -> the module that defines it
_MODULES = {
    "Claim": "spikeveil.host.privacy.claim",
    "Decision": "spikeveil.pysim",
    "FlipSpec": "spikeveil.pysim",
    "KaryRandomizedResponse": "spikeveil.host.privacy",
    "LayerSpec": "spikeveil.pysim",
    "Leak": "spikeveil.pysim",
    "Ledger": "spikeveil.host.privacy",
    "LfsrSource": "spikeveil.pysim",
    "Network": "spikeveil.pysim",
    "NetworkSpec": "spikeveil.pysim",
    "OneHotDecision": "spikeveil.pysim",
    "RandomizedResponse": "spikeveil.host.privacy",
    "Result": "spikeveil.pysim",
    "TriviumSource": "spikeveil.pysim",
    "load": "spikeveil.host.networks.catalogue",
}

__all__ = ["__version__", *sorted(_MODULES)]  # noqa: PLE0604 # the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
