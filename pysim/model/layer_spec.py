"""The specification of one layer: frozen data, validated when made, and the integer widths that follow from it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.leak import Leak

Reset = Literal["zero", "subtract"]

MAX_POTENTIAL_BITS = 32
MAX_INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False, init=False)
class LayerSpec:
    """One layer of N neurons with M inputs. In one step, for inputs x in {0,1}^M and potentials v::

        u  = leak(v) + W x + bias
        s  = (u >= threshold)
        v' = saturate(reset(u) if s else u)            to state_bits

    | field | value | meaning |
    |---|---|---|
    | `weights` | (N, M) integers | W; two's complement in `weight_bits` |
    | `threshold` | 1 to 2^31 - 1, or an (N,) array | one for the layer, or one a neuron; None for a readout |
    | `leak` | `Leak` | decay of the potential before the sum |
    | `reset` | `zero` or `subtract` | potential after a spike: 0, or u - threshold |
    | `bias` | None or (N,) integers | added in every step |
    | `state_bits` | 2 to 32 | two's complement width of a potential |
    | `weight_bits` | 2 to 8 | two's complement width of a weight |
    | `flip` | None or `FlipSpec` | randomised response on the outgoing spikes, after the reset |
    | `spike_limit` | None or 1 to 2^31 - 1 | most spikes of the layer in one record that reach the flipper |
    | `step_spike_limit` | None or 1 to N | the same for one step |
    | `input_cap` | None or 1 to M | most input spikes of one step that count, lowest index first |
    | `readout` | bool | the layer never fires; its potentials are the result |

    Both spike limits bound the layer's contribution: within a step the lowest neuron indices pass, and a suppressed
    spike still resets its neuron. `input_cap` bounds the work of a step, and so the cadence of a private core.

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
        active_inputs = min(self.input_cap or self.inputs, self.inputs)
        low, high = np.minimum(wide[:, :active_inputs], 0), np.maximum(wide[:, self.inputs - active_inputs :], 0)
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
