"""The specification of a network: frozen data, validated when made. Everything else is held to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.leak import Leak

Reset = Literal["zero", "subtract"]

MAX_LAYERS = 1 << 8  # the layer index is eight bits of the cipher's IV
MAX_POTENTIAL_BITS = 32
MAX_INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False, init=False)
class LayerSpec:
    """One layer of N neurons with M inputs. In one step, for inputs x in {0,1}^M and potentials v::

        u  = leak(v) + W x + bias
        s  = (u >= threshold)
        v' = saturate(reset(u) if s else u)            to state_bits

    - `weights`: (N, M) integers of `weight_bits` (2 to 8), two's complement.
    - `threshold`: 1 to 2^31 - 1, one for the layer or (N,); None for a readout.
    - `reset`: `zero`, or `subtract` (u - threshold).
    - `bias`: None or (N,) integers, added every step.
    - `flip`: randomised response on the outgoing spikes; the neurons' own reset does not see it.
    - `spike_limit`: at most this many spikes of the layer reach the flipper in one record (contribution
      bounding); `step_spike_limit`: in one step. Within a step the lowest neuron index comes first.
      A suppressed spike still resets its neuron.
    - `input_cap`: in one step only the first `input_cap` input spikes, by index, count; the rest are dropped.
      It bounds the work of a step, and so the fixed cadence of a private core.
    - `readout`: the layer never fires; its potentials are the result.

    Raises ValueError, one sentence, for anything outside these bounds, or where u would need more than 32 bits.
    """

    weights: NDArray[np.int32]
    threshold: int | NDArray[np.int32] | None = None
    leak: Leak = field(default_factory=Leak.none)
    reset: Reset = "zero"
    bias: NDArray[np.int32] | None = None
    state_bits: int = 16
    weight_bits: int = 8
    flip: FlipSpec | None = None
    spike_limit: int | None = None
    step_spike_limit: int | None = None
    input_cap: int | None = None
    readout: bool = False

    def __init__(
        self,
        weights: ArrayLike,
        threshold: ArrayLike | None = None,
        leak: Leak | None = None,
        reset: Reset = "zero",
        bias: ArrayLike | None = None,
        state_bits: int = 16,
        weight_bits: int = 8,
        flip: FlipSpec | None = None,
        spike_limit: int | None = None,
        step_spike_limit: int | None = None,
        input_cap: int | None = None,
        readout: bool = False,
    ) -> None:
        bits = checks.integer("layer weight_bits", weight_bits, 2, 8)
        matrix = checks.integers(
            "layer weights", weights, ("neurons", "inputs"), -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        )
        neurons, inputs = matrix.shape
        values: dict[str, Any] = {
            "weights": matrix,
            "weight_bits": bits,
            "state_bits": checks.integer("layer state_bits", state_bits, 2, 32),
            "readout": checks.flag("layer readout", readout),
            "reset": checks.choice("layer reset", reset, ("zero", "subtract")),
            "leak": Leak.none() if leak is None else checks.instance("layer leak", leak, Leak),
            "flip": None if flip is None else checks.instance("layer flip", flip, FlipSpec),
            "bias": None if bias is None else checks.integers("layer bias", bias, (neurons,), -MAX_INT32, MAX_INT32),
            "spike_limit": checks.optional_integer("layer spike_limit", spike_limit, MAX_INT32),
            "step_spike_limit": checks.optional_integer("layer step_spike_limit", step_spike_limit, neurons),
            "input_cap": checks.optional_integer("layer input_cap", input_cap, inputs),
        }
        values["threshold"] = _threshold(threshold, neurons, values["readout"])
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for name in ("flip", "spike_limit", "step_spike_limit"):
            if self.readout and getattr(self, name) is not None:
                raise ValueError(f"layer {name} must be None for a readout, which does not fire, not {values[name]!r}")
        if self.potential_bits > MAX_POTENTIAL_BITS:
            raise ValueError(
                f"layer potentials must fit {MAX_POTENTIAL_BITS} bits, and leak(v) + W x + bias needs "
                f"{self.potential_bits}"
            )

    @property
    def neurons(self) -> int:
        """N, the number of neurons."""
        return int(self.weights.shape[0])

    @property
    def inputs(self) -> int:
        """M, the number of inputs."""
        return int(self.weights.shape[1])

    @property
    def state_range(self) -> tuple[int, int]:
        """The lowest and highest potential that saturation allows."""
        return -(1 << (self.state_bits - 1)), (1 << (self.state_bits - 1)) - 1

    @cached_property
    def current_range(self) -> tuple[int, int]:
        """Bounds of every partial sum of W x, over all neurons, inputs under the cap, and orders of addition."""
        wide = np.sort(self.weights.astype(np.int64), axis=1)
        most = min(self.input_cap or self.inputs, self.inputs)
        low, high = np.minimum(wide[:, :most], 0), np.maximum(wide[:, self.inputs - most :], 0)
        return int(low.sum(axis=1).min()), int(high.sum(axis=1).max())

    @property
    def accumulator_bits(self) -> int:
        """Two's complement width in which W x is exact, whatever the order of its additions."""
        return signed_bits(*self.current_range)

    @cached_property
    def potential_bits(self) -> int:
        """Two's complement width in which u = leak(v) + W x + bias is exact."""
        low, high = (state + current for state, current in zip(self.state_range, self.current_range, strict=True))
        if self.bias is not None:
            low, high = low + min(0, int(self.bias.min())), high + max(0, int(self.bias.max()))
        return signed_bits(low, high)


@dataclass(frozen=True, eq=False, init=False)
class NetworkSpec:
    """A chain of layers: the spikes a layer releases are the inputs of the next; only the last may be a readout.

    `cadence`: clock cycles from one released step to the next in a private core; None leaves it to the build,
    which then takes the worst case of its own schedule. Two specifications are equal when their fingerprints are.
    """

    layers: tuple[LayerSpec, ...]
    cadence: int | None = None

    def __init__(self, layers: Sequence[LayerSpec], cadence: int | None = None) -> None:
        chain = tuple(checks.instance("network layer", layer, LayerSpec) for layer in layers)
        if not 1 <= len(chain) <= MAX_LAYERS:
            raise ValueError(f"network layers must number 1 to {MAX_LAYERS}, not {len(chain)}")
        for index, (before, after) in enumerate(pairwise(chain)):
            if before.readout:
                raise ValueError(f"network layer {index} must not be a readout: only the last of {len(chain)} may be")
            if after.inputs != before.neurons:
                raise ValueError(
                    f"network layer {index + 1} must have {before.neurons} inputs, the neurons of layer {index}, "
                    f"not {after.inputs}"
                )
        object.__setattr__(self, "layers", chain)
        object.__setattr__(self, "cadence", checks.optional_integer("network cadence", cadence, MAX_INT32))

    @property
    def inputs(self) -> int:
        """Input spikes a step."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Neurons of the last layer."""
        return self.layers[-1].neurons

    @property
    def flipped(self) -> tuple[int, ...]:
        """Indices of the layers that have a flipper."""
        return tuple(index for index, layer in enumerate(self.layers) if layer.flip is not None)

    @property
    def private(self) -> bool:
        """Whether a flipper stands between the input and the output; in a chain, one is enough."""
        return bool(self.flipped)

    def require_private(self, *, unsafe: bool = False) -> None:
        """Raise ValueError where nothing stands between the private input and the output, unless `unsafe`."""
        if not self.private and not unsafe:
            raise ValueError(
                f"network flip must be set in at least one of the {len(self.layers)} layers, not none of them: the "
                "input would reach the output unflipped (epsilon infinite); building it all the same needs `unsafe`"
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every number of the specification, as 64 hexadecimal digits."""
        from spikeveil.pysim.model import storage

        return storage.fingerprint(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkSpec) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def save(self, path: str | Path) -> None:
        """Write the specification to one file, whole or not at all; the same specification gives the same bytes."""
        from spikeveil.pysim.model import storage

        storage.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "NetworkSpec":
        """Read a file that `save` wrote; ValueError for a truncated, altered, foreign or newer one."""
        from spikeveil.pysim.model import storage

        return storage.load(Path(path))


def signed_bits(low: int, high: int) -> int:
    """Bits of the narrowest two's complement integer that holds both bounds."""
    return 1 + max(high.bit_length(), (~low).bit_length() if low < 0 else 0)


def _threshold(threshold: ArrayLike | None, neurons: int, readout: bool) -> int | NDArray[np.int32] | None:
    if readout:
        if threshold is not None:
            raise ValueError(f"layer threshold must be None for a readout, which does not fire, not {threshold!r}")
        return None
    if threshold is None or np.ndim(threshold) == 0:
        return checks.integer("layer threshold", threshold, 1, MAX_INT32)
    return checks.integers("layer threshold", threshold, (neurons,), 1, MAX_INT32)
