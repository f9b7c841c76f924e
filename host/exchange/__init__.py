"""Networks to and from NIR, and the first difference of two networks. A name is imported when it is first used.

`load_graph` reads a NIR file as a float network, `import_graph` quantises it, and `write_nir` writes a network as a NIR
graph (docs/nir.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.exchange.choices import Choices as Choices
    from spikeveil.host.exchange.compare import NetworkDifference as NetworkDifference
    from spikeveil.host.exchange.compare import Recording as Recording
    from spikeveil.host.exchange.compare import first_difference as first_difference
    from spikeveil.host.exchange.compare import first_unequal_number as first_unequal_number
    from spikeveil.host.exchange.compare import recording as recording
    from spikeveil.host.exchange.compare import run_floats as run_floats
    from spikeveil.host.exchange.compare import run_graph as run_graph
    from spikeveil.host.exchange.compare import run_integers as run_integers
    from spikeveil.host.exchange.exporting import export_losses as export_losses
    from spikeveil.host.exchange.exporting import restore_network as restore_network
    from spikeveil.host.exchange.exporting import without_flippers as without_flippers
    from spikeveil.host.exchange.exporting import write_nir as write_nir
    from spikeveil.host.exchange.importing import Formats as Formats
    from spikeveil.host.exchange.importing import Imported as Imported
    from spikeveil.host.exchange.importing import import_graph as import_graph
    from spikeveil.host.exchange.importing import import_report as import_report
    from spikeveil.host.exchange.lowering import lower_graph as lower_graph
    from spikeveil.host.exchange.nodes import NirFile as NirFile
    from spikeveil.host.exchange.nodes import read_nir as read_nir
    from spikeveil.host.exchange.reference import FloatGraph as FloatGraph
    from spikeveil.host.exchange.reference import load_graph as load_graph

#: public name -> the module of this package that defines it
_HOMES = {
    "Choices": "choices",
    "FloatGraph": "reference",
    "Formats": "importing",
    "Imported": "importing",
    "NetworkDifference": "compare",
    "NirFile": "nodes",
    "Recording": "compare",
    "export_losses": "exporting",
    "first_difference": "compare",
    "first_unequal_number": "compare",
    "import_graph": "importing",
    "import_report": "importing",
    "load_graph": "reference",
    "lower_graph": "lowering",
    "read_nir": "nodes",
    "recording": "compare",
    "restore_network": "exporting",
    "run_floats": "compare",
    "run_graph": "compare",
    "run_integers": "compare",
    "without_flippers": "exporting",
    "write_nir": "exporting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
