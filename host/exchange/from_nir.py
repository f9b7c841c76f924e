"""A NIR file as an integer network, in one call."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.conventions import convention as find_convention
from spikeveil.host.exchange.exporting import restore_network
from spikeveil.host.exchange.importing import Formats, import_graph
from spikeveil.host.exchange.nodes import read_nir
from spikeveil.host.exchange.reference import build_graph
from spikeveil.pysim import NetworkSpec


def from_nir(
    path: str | Path,
    *,
    convention: str | None = None,
    data: NDArray[Any] | None = None,
    weight_bits: int = 8,
    state_bits: int = 16,
    **choices: Any,
) -> NetworkSpec:
    """The integer network of a NIR file.

    | argument | meaning |
    |---|---|
    | `convention` | the library that wrote the file, such as `snntorch`: all that files leave open |
    | `choices` | `dt`, `decay`, `reset`, `reset_timing`, `compare`, `gain`, `initial`: single choices, in its place |
    | `data` | input spikes (records, steps, inputs) by which the scales are chosen; without them, by the weights |
    | `weight_bits`, `state_bits` | of the integers, 2 to 8 and 2 to 32 |

    ValueError, one sentence, for what is no network, or a choice that is missing; OSError for a file that cannot be
    read. A file of `spikeveil export` gives back the same network and needs no choice.
    """
    file = read_nir(Path(path))
    restored = restore_network(file)
    if restored is not None:
        return restored
    made = Choices(**choices) if convention is None else find_convention(convention).with_choices(**choices)
    graph = build_graph(file, made)
    return import_graph(graph, Formats(weight_bits=weight_bits, state_bits=state_bits), data).spec
