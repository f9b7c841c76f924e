"""The linear nodes of NIR on arrays (batch, *shape), in the precision of their input.

Convolution, pooling and flattening mean what PyTorch's layers of these names do: zero padding, cross-correlation,
pooling that counts the padding. Shapes are those of one sample, without the batch.
"""

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spikeveil.host.exchange import nodes
from spikeveil.host.exchange.nodes import Node

Floats = NDArray[np.floating[Any]]
Shape = tuple[int, ...]
MAX_RANK = 32  # dimensions of an array


def apply(node: Node, x: Floats) -> Floats:
    """The output (batch, *shape) of a linear node. ValueError, one sentence, where input or fields do not fit."""
    out: Floats = OPERATIONS[node.kind](node, x)
    return out


def parameters(node: Node) -> int:
    """Weights that the file stores for this node."""
    return int(np.size(node.fields["weight"])) if "weight" in node.fields else 0


def multiplies(node: Node, outputs: int) -> int:
    """Multiplications of one pass over a sample, as the node is written, for `outputs` numbers out."""
    if "weight" not in node.fields:
        return 0
    return outputs * int(np.prod(np.shape(node.fields["weight"])[1:]))


def sizes(node: Node, field: str, count: int, low: int) -> tuple[int, ...]:
    """A field as `count` integers of at least `low`; one number stands for all."""
    values = np.atleast_1d(node.array(field)).ravel()
    if values.size == 1:
        values = np.repeat(values, count)
    if values.size != count or (values != np.rint(values)).any() or values.min() < low:
        raise ValueError(f"{node} {field} must be {count} whole numbers of {low} or more, not {values.tolist()}")
    return tuple(int(value) for value in values)


def _linear(node: Node, x: Floats) -> Floats:
    weight = node.array("weight")
    if weight.ndim != 2:
        raise ValueError(f"{node} weight must have shape (outputs, inputs), not {weight.shape}")
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"{node} must be given {weight.shape[1]} numbers, not shape {x.shape[1:]}")
    y: Floats = x @ weight.T.astype(x.dtype)
    return y + _bias(node, weight.shape[0], x) if node.kind == "Affine" else y


def _bias(node: Node, count: int, x: Floats) -> Floats:
    """The bias (count,); a file may leave a convolution's out, or write one zero for all."""
    bias = node.array("bias") if node.kind == "Affine" or "bias" in node.fields else np.zeros(count)
    if bias.shape not in ((count,), (1,), ()):
        raise ValueError(f"{node} bias must have shape ({count},), not {bias.shape}")
    wide: Floats = np.broadcast_to(bias, (count,)).astype(x.dtype)
    return wide


def _scale(node: Node, x: Floats) -> Floats:
    return x * spread(node, "scale", x.shape[1:]).astype(x.dtype)


def spread(node: Node, field: str, shape: Shape) -> Floats:
    """A field as an array of `shape`: one number for all, or an array of that shape, where 1 stands for any length.

    Leading dimensions of 1 may be missing, or one too many, as where a batch was counted; others not, so that (C,) is
    never taken for the width of (C, H, W).
    """
    value = node.array(field)
    if value.ndim == len(shape) + 1 and value.shape[0] == 1:
        value = value[0]
    missing = shape[: max(0, len(shape) - value.ndim)]
    if value.size == 1:
        return np.broadcast_to(value.reshape(()), shape)
    if value.ndim > len(shape) or any(length != 1 for length in missing):
        raise ValueError(f"{node} {field} must have shape {shape}, that of its input, not {value.shape}")
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(f"{node} {field} must have shape {shape}, that of its input, not {value.shape}") from None


def _flatten(node: Node, x: Floats) -> Floats:
    shape = x.shape[1:]
    rank = len(shape)
    (start,), (end,) = (sizes(node, field, 1, -MAX_RANK) for field in ("start_dim", "end_dim"))
    first, last = (dim + rank if dim < 0 else dim for dim in (start, end))
    if not 0 <= first <= last < rank:
        raise ValueError(f"{node} must flatten dimensions of {shape}, which has {rank}, not {start} to {end}")
    return x.reshape(len(x), *shape[:first], -1, *shape[last + 1 :])


def _convolve(node: Node, x: Floats) -> Floats:
    rank = {"Conv1d": 1, "Conv2d": 2}[node.kind]
    weight = node.array("weight")
    (groups,) = sizes(node, "groups", 1, 1)
    if weight.ndim != rank + 2 or weight.shape[0] % groups:
        raise ValueError(f"{node} weight must have {rank + 2} dimensions, the first a multiple of {groups} groups")
    channels = weight.shape[1] * groups
    if x.ndim != rank + 2 or x.shape[1] != channels:
        raise ValueError(f"{node} must be given ({channels} channels, {rank} dimensions), not shape {x.shape[1:]}")
    stride, dilation = sizes(node, "stride", rank, 1), sizes(node, "dilation", rank, 1)
    padding = _padding(node, weight.shape[2:], stride, dilation)
    windows = _windows(node, x, weight.shape[2:], stride, dilation, padding)
    spatial = windows.shape[2 : 2 + rank]
    # (batch, groups, places, inputs of one place), so that each group is one matrix product
    patches = np.moveaxis(windows, 1, 1 + rank).reshape(len(x), int(np.prod(spatial)), groups, -1)
    matrices = weight.reshape(groups, weight.shape[0] // groups, -1).astype(x.dtype)
    y = np.concatenate([patches[:, :, g] @ matrices[g].T for g in range(groups)], axis=2)
    y = y + _bias(node, weight.shape[0], x)
    out: Floats = np.moveaxis(y, 2, 1).reshape(len(x), weight.shape[0], *spatial)
    return out


def _padding(node: Node, kernel: Shape, stride: Shape, dilation: Shape) -> list[tuple[int, int]]:
    """Zeros before and after each dimension."""
    field = node.fields.get("padding")
    if isinstance(field, str):
        if field == "valid":
            return [(0, 0)] * len(kernel)
        if field != "same":
            raise ValueError(f"{node} padding must be numbers, 'same' or 'valid', not {field!r}")
        if any(step != 1 for step in stride):
            raise ValueError(f"{node} stride must be 1 where padding is 'same', not {stride}")
        totals = [step * (size - 1) for step, size in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(size, size) for size in sizes(node, "padding", len(kernel), 0)]


def _windows(
    node: Node, x: Floats, kernel: Shape, stride: Shape, dilation: Shape, padding: list[tuple[int, int]]
) -> Floats:
    """(batch, channels, *places, *kernel): what each place of the output sees of its input."""
    rank = len(kernel)
    lengths = [length + sum(added) for length, added in zip(x.shape[2:], padding, strict=True)]
    if math.prod(x.shape[1:2]) * math.prod(lengths) > nodes.MAX_NUMBERS:
        raise ValueError(f"{node} must be given at most {nodes.MAX_NUMBERS:,} numbers with its padding, not {lengths}")
    padded = np.pad(x, [(0, 0), (0, 0), *padding])
    spans = tuple(step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True))
    if any(length < span for length, span in zip(padded.shape[2:], spans, strict=True)):
        raise ValueError(f"{node} kernel must fit the padded input {padded.shape[2:]}, and it spans {spans}")
    views = sliding_window_view(padded, spans, axis=tuple(range(2, 2 + rank)))
    strides = tuple(slice(None, None, step) for step in stride)
    taps = tuple(slice(None, None, step) for step in dilation)
    out: Floats = views[(slice(None), slice(None), *strides, *taps)]
    return out


def _pool(node: Node, x: Floats) -> Floats:
    if x.ndim != 4:
        raise ValueError(f"{node} must be given (channels, height, width), not shape {x.shape[1:]}")
    kernel, stride = sizes(node, "kernel_size", 2, 1), sizes(node, "stride", 2, 1)
    padding = [(size, size) for size in sizes(node, "padding", 2, 0)]
    summed = _windows(node, x, kernel, stride, (1, 1), padding).sum(axis=(4, 5), dtype=x.dtype)
    mean: Floats = summed / x.dtype.type(kernel[0] * kernel[1])
    return mean if node.kind == "AvgPool2d" else summed


OPERATIONS = {
    "Affine": _linear,
    "Linear": _linear,
    "Scale": _scale,
    "Flatten": _flatten,
    "Conv1d": _convolve,
    "Conv2d": _convolve,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
}
