"""Sorts the nodes of a NIR graph into a chain, the only topology that the core supports."""

from dataclasses import replace

import numpy as np

from spikeveil.host.exchange.nodes import NirFile, Node

LINEAR = ("Affine", "Linear", "Scale", "Flatten", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d")
FIRING = ("IF", "LIF")
SILENT = ("I", "LI")  # integrate but never fire: only as the readout at the end
SUPPORTED = ("Input", "Output", *LINEAR, *FIRING, *SILENT)
REASONS = {
    "CubaLIF": "the core's neurons have one state, and a synaptic current is a second one",
    "CubaLI": "the core's neurons have one state, and a synaptic current is a second one",
    "Delay": "the core has no delays, other than of 0",
    "Threshold": "the core's neurons integrate",
}


def ordered_nodes(file: NirFile) -> tuple[Node, ...]:
    """The nodes from Input to Output, each the only successor of the one before; nested graphs are inlined.

    ValueError, one sentence that names the node, for an unsupported type, an edge to a missing node, a cycle, several
    inputs or outputs, a branch, a join, or a node off the path from input to output.
    """
    file = inlined(file)
    for node in file.nodes.values():
        if node.kind not in SUPPORTED:
            reason = REASONS.get(node.kind)
            raise ValueError(
                f"{node} must be one of {', '.join(SUPPORTED)}" + (f": {reason}" if reason else f", not {node.kind!r}")
            )
    first, last = (_single(file, kind) for kind in ("Input", "Output"))
    successors, predecessors = _neighbours(file)
    chain = [first]
    while chain[-1].name in successors:
        node = file.nodes[successors[chain[-1].name]]
        if node in chain:
            raise _cycle(node)
        chain.append(node)
    for node in file.nodes.values():
        if node not in chain:
            raise _off_the_chain(node, file, predecessors)
    if chain[-1] is not last:
        raise ValueError(f"{chain[-1]} must lead to the output {last.name!r}, and no edge leaves it")
    _check_silent(chain)
    return tuple(chain)


def inlined(file: NirFile) -> NirFile:
    """The graph with nested graphs replaced by their nodes, named `OUTER.INNER`, and without delays of 0.

    ValueError if a nested graph does not have exactly one input and one output.
    """
    nodes: dict[str, Node] = {}
    edges = list(file.edges)
    bypass: list[str] = []  # nodes whose predecessors and successors are joined
    for name, node in file.nodes.items():
        if node.kind != "NIRGraph":
            nodes[name] = node
            bypass += [name] if _is_identity(node) else []
            continue
        inner = inlined(NirFile(node.fields.get("nodes", {}), node.fields.get("edges", ()), file.sha256, file.version))
        ends = [_single(inner, kind, f"graph {name!r}").name for kind in ("Input", "Output")]
        first, last = (f"{name}.{end}" for end in ends)
        bypass += [first, last]
        nodes |= {f"{name}.{key}": replace(child, name=f"{name}.{key}") for key, child in inner.nodes.items()}
        edges = [(last if a == name else a, first if b == name else b) for a, b in edges]
        edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in inner.edges]
    for name in bypass:
        sources, targets = ([a for a, b in edges if b == name], [b for a, b in edges if a == name])
        edges = [edge for edge in edges if name not in edge] + [(a, b) for a in sources for b in targets]
        del nodes[name]
    return replace(file, nodes=nodes, edges=tuple(edges))


def _is_identity(node: Node) -> bool:
    """Whether a node passes its input on unchanged: a delay of 0."""
    return node.kind == "Delay" and "delay" in node.fields and not np.any(node.array("delay"))


def _single(file: NirFile, kind: str, owner: str = "graph") -> Node:
    matches = [node for node in file.nodes.values() if node.kind == kind]
    if len(matches) != 1:
        names = ", ".join(repr(node.name) for node in matches)
        raise ValueError(f"{owner} must have exactly one {kind}, not {len(matches)}" + (f" ({names})" if names else ""))
    return matches[0]


def _neighbours(file: NirFile) -> tuple[dict[str, str], dict[str, str]]:
    """Successor and predecessor of each node, by name; duplicate edges count once."""
    successors: dict[str, str] = {}
    predecessors: dict[str, str] = {}
    for a, b in sorted(set(file.edges)):
        for name in (a, b):
            if name not in file.nodes:
                raise ValueError(f"edge ({a!r}, {b!r}) must join nodes of the graph, and {name!r} is not one")
        if a == b:
            raise _cycle(file.nodes[a])
        if b in predecessors:
            raise ValueError(
                f"{file.nodes[b]} must have one edge into it, not those of {predecessors[b]!r} and {a!r}: "
                "a recurrent edge, or a sum of two, has no place in a chain"
            )
        if a in successors:
            raise ValueError(
                f"{file.nodes[a]} must have one edge out of it, not those to {successors[a]!r} and {b!r}: "
                "a recurrent edge, or a branch, has no place in a chain"
            )
        successors[a], predecessors[b] = b, a
    return successors, predecessors


def _cycle(node: Node) -> ValueError:
    return ValueError(f"{node} must not lie on a cycle: the core has no recurrent edges")


def _off_the_chain(node: Node, file: NirFile, predecessors: dict[str, str]) -> ValueError:
    """The reason why `node` is not on the chain: it lies on a separate cycle, or no path leads to it."""
    visited, name = {node.name}, node.name
    while name in predecessors:
        name = predecessors[name]
        if name == node.name:
            return _cycle(node)
        if name in visited:
            break
        visited.add(name)
    return ValueError(f"{node} must lie between input and output, and no path from the input leads to it")


def _check_silent(chain: list[Node]) -> None:
    """ValueError if a node that never fires is not the last before the output."""
    for node in chain[:-2]:
        if node.kind in SILENT:
            raise ValueError(
                f"{node} must be the last before the output: it never fires, and what follows takes spikes"
            )
