"""Float networks, their quantisation, and networks by name. A name is imported when it is first used.

`load` reads a network file or returns the trained example by its name. `quantise_network` converts a float network to
integers. This package does not need torch.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.networks.catalogue import load as load
    from spikeveil.host.networks.dense import dense_matrix as dense_matrix
    from spikeveil.host.networks.float_model import FloatLayer as FloatLayer
    from spikeveil.host.networks.float_model import FloatNetwork as FloatNetwork
    from spikeveil.host.networks.losses import SpikeLossError as SpikeLossError
    from spikeveil.host.networks.scales import LayerFormat as LayerFormat
    from spikeveil.host.networks.scales import closest_leak as closest_leak
    from spikeveil.host.networks.scales import fitting_exponent as fitting_exponent
    from spikeveil.host.networks.scales import formatted_layer as formatted_layer
    from spikeveil.host.networks.scales import integer_layer as integer_layer
    from spikeveil.host.networks.scales import with_output as with_output
    from spikeveil.host.networks.search import LayerReport as LayerReport
    from spikeveil.host.networks.search import Quantised as Quantised
    from spikeveil.host.networks.search import Search as Search
    from spikeveil.host.networks.search import quantise_network as quantise_network
    from spikeveil.host.networks.spike_match import SpikeMatch as SpikeMatch
    from spikeveil.host.networks.trade import format_trade as format_trade

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "catalogue": ["load"],
        "dense": ["dense_matrix"],
        "float_model": ["FloatLayer", "FloatNetwork"],
        "losses": ["SpikeLossError"],
        "scales": [
            "LayerFormat",
            "closest_leak",
            "fitting_exponent",
            "formatted_layer",
            "integer_layer",
            "with_output",
        ],
        "search": ["LayerReport", "Quantised", "Search", "quantise_network"],
        "spike_match": ["SpikeMatch"],
        "trade": ["format_trade"],
    },
)
