"""Import and export of NIR, and the first difference between two networks. A name is imported when it is first used.

`load_graph` reads a NIR file as a float network, `import_graph` quantises it, and `write_nir` writes a network as a NIR
graph (docs/nir.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.exchange.choices import Choices as Choices
    from spikeveil.host.exchange.compare import NetworkDifference as NetworkDifference
    from spikeveil.host.exchange.compare import Recording as Recording
    from spikeveil.host.exchange.compare import first_difference as first_difference
    from spikeveil.host.exchange.compare import first_unequal_number as first_unequal_number
    from spikeveil.host.exchange.compare import match_layers as match_layers
    from spikeveil.host.exchange.compare import raster as raster
    from spikeveil.host.exchange.compare import recording as recording
    from spikeveil.host.exchange.compare import run_floats as run_floats
    from spikeveil.host.exchange.compare import run_graph as run_graph
    from spikeveil.host.exchange.compare import run_integers as run_integers
    from spikeveil.host.exchange.conventions import CONVENTIONS as CONVENTIONS
    from spikeveil.host.exchange.conventions import Convention as Convention
    from spikeveil.host.exchange.conventions import convention as convention
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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "choices": ["Choices"],
        "compare": [
            "NetworkDifference",
            "Recording",
            "first_difference",
            "first_unequal_number",
            "match_layers",
            "raster",
            "recording",
            "run_floats",
            "run_graph",
            "run_integers",
        ],
        "conventions": ["CONVENTIONS", "Convention", "convention"],
        "exporting": ["export_losses", "restore_network", "without_flippers", "write_nir"],
        "importing": ["Formats", "Imported", "import_graph", "import_report"],
        "lowering": ["lower_graph"],
        "nodes": ["NirFile", "read_nir"],
        "reference": ["FloatGraph", "load_graph"],
    },
)
