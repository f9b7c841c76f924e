"""Float networks, their quantisation, and networks by name. A name is imported when it is first used.

`load` reads a network file, or gives the trained example by its name; `quantise_network` makes a float network one of
integers. Nothing in here needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.networks.catalogue import load as load
    from spikeveil.host.networks.dense import dense_matrix as dense_matrix
    from spikeveil.host.networks.float_model import FloatLayer as FloatLayer
    from spikeveil.host.networks.float_model import FloatNetwork as FloatNetwork
    from spikeveil.host.networks.scales import LayerReport as LayerReport
    from spikeveil.host.networks.scales import Quantised as Quantised
    from spikeveil.host.networks.scales import closest_leak as closest_leak
    from spikeveil.host.networks.scales import fitting_exponent as fitting_exponent
    from spikeveil.host.networks.scales import integer_layer as integer_layer
    from spikeveil.host.networks.scales import quantise_network as quantise_network
    from spikeveil.host.networks.scales import with_output as with_output

#: public name -> the module of this package that defines it
_HOMES = {
    "FloatLayer": "float_model",
    "FloatNetwork": "float_model",
    "LayerReport": "scales",
    "Quantised": "scales",
    "closest_leak": "scales",
    "dense_matrix": "dense",
    "fitting_exponent": "scales",
    "integer_layer": "scales",
    "load": "catalogue",
    "quantise_network": "scales",
    "with_output": "scales",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
