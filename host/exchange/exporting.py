"""From a network file to a NIR graph of the same integers, and back to the same fingerprint.

Units: a step is 1 (dt = 1), a potential's unit is the core's own integer unit, and every gain is 1 (r dt = 1, or
r dt/tau = 1), so that the graph's biases and thresholds ARE the integers, and its weights the integers times
2^fraction_bits. What NIR has no field for (leak rounding, initial potentials, saturation, flippers, limits) is JSON in
the graph's metadata, which other tools copy and do not read.
"""

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from spikeveil.host.exchange.nodes import NOTE, NirFile, Node
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model import network_file
from spikeveil.pysim.model.files import write_atomically
from spikeveil.pysim.model.layer_spec import MAX_INT32

UNITS = {"dt": 1, "decay": "euler", "reset_timing": "immediate", "compare": "ge", "potential": "integers of the core"}
NOTED_ARRAYS = ("initial", "reset_potential", "leak_factors")
NEARLY_ONE = 1 - 2.0**-40  # a decay whose tau is finite
LIMIT_FIELDS = ("spike_limit", "step_spike_limit", "input_cap")

Nodes = dict[str, tuple[str, dict[str, Any]]]  # name -> (kind, fields)


def require_spikes(spec: NetworkSpec) -> None:
    """ValueError where the network releases a decision: NIR has none, so what it came back as would release spikes."""
    if spec.decision is not None:
        raise ValueError(f"network decision must be None to be exported, because NIR has none, not {spec.decision}")


def without_flippers(spec: NetworkSpec) -> NetworkSpec:
    """The same network with no flipper in it: not private."""
    require_spikes(spec)
    layers = [
        LayerSpec(**{name: getattr(layer, name) for name in LayerSpec.__dataclass_fields__ if name != "flip"})
        for layer in spec.layers
    ]
    return NetworkSpec(layers, spec.cadence)


def graph_nodes(spec: NetworkSpec) -> tuple[Nodes, list[tuple[str, str]]]:
    """The graph of a network: `affine_0`, `lif_0`, ... in float64, and its edges."""
    nodes: Nodes = {"input": ("Input", {"shape": np.array([spec.inputs])})}
    for index, layer in enumerate(spec.layers):
        fields = {"weight": layer.weights * 2.0**layer.fraction_bits}
        if layer.bias is not None:
            fields["bias"] = layer.bias.astype(np.float64)
        nodes[f"affine_{index}"] = ("Linear" if layer.bias is None else "Affine", fields)
        kind, values = _neurons(layer)
        nodes[f"{kind.lower()}_{index}"] = (kind, values)
    nodes["output"] = ("Output", {"shape": np.array([spec.outputs])})
    names = list(nodes)
    return nodes, list(pairwise(names))


def _neurons(layer: LayerSpec) -> tuple[str, dict[str, Any]]:
    """The neurons of a layer as a node: IF or LIF, or I or LI for a readout."""
    ones, zeros = np.ones(layer.neurons), np.zeros(layer.neurons)
    beta = np.asarray(layer.leak.decay)
    if layer.leak_factors is not None:
        beta = layer.leak_factors / (1 << layer.leak.shift_by)
    fields: dict[str, Any] = {"r": ones}
    leaky = bool((beta < 1).any())
    if leaky:
        beta = np.minimum(beta, NEARLY_ONE)  # a neuron without a leak in a layer with one
        fields = {"tau": ones / (1 - beta), "r": ones / (1 - beta), "v_leak": zeros}
    if not layer.readout:
        fields |= {"v_threshold": np.broadcast_to(np.asarray(layer.threshold, np.float64), (layer.neurons,)).copy()}
        fields |= {"v_reset": zeros if layer.reset_potential is None else layer.reset_potential.astype(np.float64)}
    return ("LI" if leaky else "I") + ("" if layer.readout else "F"), fields


def note(spec: NetworkSpec) -> str:
    """What NIR has no field for, as JSON."""
    header = spec.describe()[0]
    content = {"units": UNITS, "network": header, "fingerprint": spec.fingerprint}
    arrays = [
        {name: getattr(layer, name).tolist() for name in NOTED_ARRAYS if getattr(layer, name) is not None}
        for layer in spec.layers
    ]
    return json.dumps(content | ({"arrays": arrays} if any(arrays) else {}), sort_keys=True)


def write_nir(spec: NetworkSpec, path: Path) -> None:
    """Write the network as a NIR file, whole or not at all. ValueError for one that releases a decision."""
    import nir

    require_spikes(spec)
    nodes, edges = graph_nodes(spec)
    nir_nodes = {name: _nir_node(nir, kind, dict(fields)) for name, (kind, fields) in nodes.items()}
    graph = nir.NIRGraph(nir_nodes, edges, metadata={NOTE: note(spec)}, type_check=False)
    content = io.BytesIO()
    nir.write(content, graph)
    write_atomically(path, content.getvalue())


def _nir_node(nir: Any, kind: str, fields: dict[str, Any]) -> Any:
    if kind in ("Input", "Output"):
        return getattr(nir, kind)(fields["shape"])
    return getattr(nir, kind)(**fields)


def export_losses(spec: NetworkSpec) -> list[str]:
    """A sentence for each property of the core that a tool which reads plain NIR does not reproduce."""
    sentences = []
    for index, layer in enumerate(spec.layers):
        if layer.flip is not None:
            sentences.append(
                f"layer {index}: its flipper ({layer.flip.threshold}/{1 << layer.flip.bits}) is none of NIR's"
            )
        if layer.initial is not None:
            sentences.append(
                f"layer {index}: its initial potentials are none of NIR's, where potentials start at v_leak"
            )
        if layer.leak.kind != "none":
            sentences.append(f"layer {index}: the core's leak {layer.leak} rounds to integers, NIR's does not")
        limits = {name: getattr(layer, name) for name in LIMIT_FIELDS}
        sentences += [f"layer {index}: {name} {limit} is none of NIR's" for name, limit in limits.items() if limit]
        low, high = layer.state_range
        sentences.append(f"layer {index}: the core saturates potentials at {low} and {high}, NIR does not")
    return sentences


def restore_network(file: NirFile) -> NetworkSpec | None:
    """The network that `write_nir` wrote to this file, exactly; None for a file of another tool.

    ValueError, one sentence, where the graph was changed since, or the note.
    """
    if file.note is None:
        return None
    try:
        record = json.loads(file.note)
        header, entries, fingerprint = record["network"], record["network"]["layers"], record["fingerprint"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"NIR graph must hold the note that spikeveil wrote, and it is damaged: {error}") from error
    try:
        arrays = record.get("arrays", [{}] * len(entries))
        layers = [_layer(file, index, entry, arrays[index]) for index, entry in enumerate(entries)]
        spec = NetworkSpec(layers, header["cadence"])
        if spec.fingerprint == fingerprint and _same_graph(file, spec):
            return spec
    except (LookupError, TypeError, ValueError, AttributeError):  # nodes renamed, integers out of their bits
        pass
    raise ValueError(
        "NIR graph must be as spikeveil exported it, and it was changed since: with its note ignored (--ignore-note) "
        "it is a graph like any other"
    )


def _layer(file: NirFile, index: int, entry: dict[str, Any], arrays: dict[str, Any]) -> LayerSpec:
    values: dict[str, Any] = {name: entry[name] for name in network_file.SCALAR_FIELDS}
    values |= {name: arrays[name] for name in NOTED_ARRAYS if name in entry}
    values["fraction_bits"] = fraction_bits = entry.get("fraction_bits", 0)
    affine = file.nodes[f"affine_{index}"]
    values["weights"] = _integers(affine, "weight") >> fraction_bits
    values["bias"] = None if entry["bias"] is None else _integers(affine, "bias")
    values["threshold"] = entry["threshold"]
    if isinstance(entry["threshold"], list):
        kind = "lif" if f"lif_{index}" in file.nodes else "if"
        values["threshold"] = _integers(file.nodes[f"{kind}_{index}"], "v_threshold")
    flip = entry["flip"]
    return LayerSpec(**values, leak=Leak(**entry["leak"]), flip=None if flip is None else FlipSpec(**flip))


def _integers(node: Node, field: str) -> Any:
    values = node.array(field)
    if not (np.abs(values) <= MAX_INT32).all():
        raise ValueError(f"{node} {field} must be integers of the core, within {MAX_INT32}")
    return np.rint(values).astype(np.int64)


def _same_graph(file: NirFile, spec: NetworkSpec) -> bool:
    """Whether the file's graph is the one that `spec` gives, number for number."""
    nodes, edges = graph_nodes(spec)
    if set(nodes) != set(file.nodes) or set(edges) != set(file.edges):
        return False
    return all(
        file.nodes[name].kind == kind
        and all(np.array_equal(np.asarray(file.nodes[name].fields.get(key)), value) for key, value in fields.items())
        for name, (kind, fields) in nodes.items()
    )
