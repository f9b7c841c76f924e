"""Private spiking neural networks on FPGAs: from a trained network to a bitstream and its privacy guarantee.

>>> import numpy as np, spikeveil
>>> layer = spikeveil.LayerSpec(np.eye(4, dtype=int), threshold=1, flip=spikeveil.FlipSpec.for_epsilon(1.0))
>>> network = spikeveil.Network(spikeveil.NetworkSpec([layer]), spikeveil.TriviumSource.generate())
>>> result = network.run(np.ones((2, 16, 4), bool), lease=1)  # (records, steps, inputs)
>>> result.released.shape
(2, 16, 4)

A name is imported when it is first used, so `import spikeveil` is fast. `python -m spikeveil` is the command line.
"""

from importlib import metadata
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.chip.chip import Chip as Chip
    from spikeveil.host.exchange.from_nir import from_nir as from_nir
    from spikeveil.host.networks.arrays import from_arrays as from_arrays
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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "host.chip.chip": ["Chip"],
        "host.exchange.from_nir": ["from_nir"],
        "host.networks.arrays": ["from_arrays"],
        "host.networks.catalogue": ["load"],
        "host.privacy": ["KaryRandomizedResponse", "Ledger", "RandomizedResponse"],
        "host.privacy.claim": ["Claim"],
        "pysim": [
            "Decision",
            "FlipSpec",
            "LayerSpec",
            "Leak",
            "LfsrSource",
            "Network",
            "NetworkSpec",
            "OneHotDecision",
            "Result",
            "TriviumSource",
        ],
    },
)
