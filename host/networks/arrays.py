"""A network from plain arrays of weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.host.networks import losses
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.scales import formatted_layer
from spikeveil.host.networks.search import Search, format_by_weights, quantise_network
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import Network, NetworkSpec

Numbers = float | Sequence[Any]


def from_arrays(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike | None] | None = None,
    *,
    decay: Numbers = 1.0,
    threshold: Numbers = 1.0,
    reset: str = "subtract",
    compare: str = "ge",
    readout: bool = False,
    data: NDArray[Any] | None = None,
    weight_bits: int = 8,
    state_bits: int = 16,
) -> NetworkSpec:
    """The integer network of float weight matrices.

    | argument | meaning |
    |---|---|
    | `weights` | one (neurons, inputs) a layer, as in torch.nn.Linear |
    | `biases` | one (neurons,) or None a layer |
    | `decay`, `threshold` | one number, or one a layer |
    | `reset`, `compare` | as in `FloatLayer` |
    | `readout` | the last layer does not fire; its potentials are the result |
    | `data` | input spikes (records, steps, inputs) by which the scales are chosen; without them, by the weights |
    | `weight_bits`, `state_bits` | of the integers, 2 to 8 and 2 to 32 |

    ValueError, one sentence, for arrays that do not fit one another.

    >>> import numpy as np, spikeveil
    >>> net = spikeveil.from_arrays([np.eye(4), np.full((2, 4), 0.25)], decay=0.875, threshold=1.0)
    >>> [(layer.inputs, layer.neurons) for layer in net.layers]
    [(4, 4), (4, 2)]
    """
    network = FloatNetwork(tuple(_layers(weights, biases, decay, threshold, reset, compare, readout=readout)))
    return quantised(network, data, weight_bits=weight_bits, state_bits=state_bits)


def quantised(
    network: FloatNetwork,
    data: NDArray[Any] | None,
    *,
    weight_bits: int = 8,
    state_bits: int = 16,
    search: Search | None = None,
    allow_loss: bool = False,
    max_loss: float = losses.MAX_LOSS,
) -> NetworkSpec:
    """The integer network of a float one: formats by input spikes (records, steps, inputs), or by the weights alone.

    Raises SpikeLossError as `quantise_network`; without data where a layer can never spike and its floats can.
    """
    if data is not None:
        return quantise_network(
            network,
            np.asarray(data),
            weight_bits=weight_bits,
            state_bits=state_bits,
            search=search,
            allow_loss=allow_loss,
            max_loss=max_loss,
        ).spec
    layers = []
    for index, floats in enumerate(network.layers):
        layers.append(formatted_layer(floats, format_by_weights(floats, weight_bits, state_bits, search)))
        if not floats.readout and not allow_loss:
            losses.check_reachable(index, layers[-1], floats)
    return NetworkSpec(layers)


def weight_report(network: FloatNetwork, spec: NetworkSpec, data: NDArray[np.bool_] | None) -> list[dict[str, Any]]:
    """A row for each layer: sizes, integers, and with data (records, steps, inputs) how its spikes compare.

    `match`: `SpikeMatch.to_dict` of floats and integers, each network fed by its own layers before; None for a readout
    or without data. `float_rate`, `integer_rate`: spikes per neuron and step.
    """
    floats = None if data is None else network.run(data)
    integers = None if data is None else Network(spec).run(data).raw
    rows = []
    for index, layer in enumerate(spec.layers):
        row: dict[str, Any] = {
            "layer": index,
            "inputs": layer.inputs,
            "neurons": layer.neurons,
            "threshold": None if layer.threshold is None else int(np.max(layer.threshold)),
            "leak": str(layer.leak),
            "match": None,
        }
        if floats is not None and integers is not None and not layer.readout:
            row |= {
                "match": SpikeMatch.of(floats[index], integers[index]).to_dict(),
                "float_rate": float(floats[index].mean()),
                "integer_rate": float(integers[index].mean()),
            }
        rows.append(row)
    return rows


def _layers(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike | None] | None,
    decay: Numbers,
    threshold: Numbers,
    reset: str,
    compare: str,
    *,
    readout: bool,
) -> list[FloatLayer]:
    count = len(weights)
    given = [None] * count if biases is None else list(biases)
    decays, thresholds = _each("decay", decay, count), _each("threshold", threshold, count)
    if not count or len(given) != count:
        raise ValueError(
            f"weights must be one matrix a layer, at least one, and biases as many: {count} and {len(given)}"
        )
    layers: list[FloatLayer] = []
    for index, matrix in enumerate(weights):
        array = np.asarray(matrix, np.float32)
        if array.ndim != 2:
            raise ValueError(f"weights of layer {index} must have shape (neurons, inputs), not {array.shape}")
        if layers and array.shape[1] != layers[-1].neurons:
            before = layers[-1].neurons
            raise ValueError(f"weights of layer {index} must have {before} inputs, not {array.shape[1]}")
        bias = np.zeros(len(array), np.float32) if given[index] is None else np.asarray(given[index], np.float32)
        is_readout = readout and index == count - 1
        layers.append(
            FloatLayer(array, bias, decays[index], reset, thresholds[index], readout=is_readout, compare=compare)
        )
    return layers


def _each(name: str, value: Numbers, count: int) -> list[Any]:
    """One value a layer."""
    if np.ndim(value) == 0:
        return [value] * count
    values = list(value)  # type: ignore[arg-type]
    if len(values) != count:
        raise ValueError(f"{name} must be one number, or {count}, one a layer, not {len(values)}")
    return values
