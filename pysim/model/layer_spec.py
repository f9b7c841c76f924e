"""The specification of one layer: frozen data, validated when made, and the integer widths that follow from it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.leak import Leak

Reset = Literal["zero", "subtract", "value"]
RESETS: tuple[Reset, ...] = ("zero", "subtract", "value")

MAX_POTENTIAL_BITS = 32
MAX_INT32 = (1 << 31) - 1
MAX_FRACTION_BITS = 16


@dataclass(frozen=True, eq=False, init=False)
class LayerSpec:
    """One layer of N neurons with M inputs. In one step, for inputs x in {0,1}^M and potentials v::

        u  = leak(v) + W x * 2^fraction_bits + bias
        s  = (u >= threshold)
        v' = saturate(reset(u) if s else u)            to state_bits

    | field | value | meaning |
    |---|---|---|
    | `weights` | (N, M) integers | W; two's complement in `weight_bits` |
    | `threshold` | 1 to 2^31 - 1, or an (N,) array | one for the layer, or one a neuron; None for a readout |
    | `leak` | `Leak` | decay of the potential before the sum |
    | `reset` | `zero`, `subtract` or `value` | potential after a spike: 0, u - threshold, or `reset_potential` |
    | `bias` | None or (N,) integers | added in every step |
    | `state_bits` | 2 to 32 | two's complement width of a potential |
    | `weight_bits` | 2 to 8 | two's complement width of a weight |
    | `flip` | None or `FlipSpec` | randomised response on the outgoing spikes, after the reset |
    | `spike_limit` | None or 1 to 2^31 - 1 | most spikes of the layer in one record that reach the flipper |
    | `step_spike_limit` | None or 1 to N | the same for one step |
    | `input_cap` | None or 1 to M | most input spikes of one step that count, lowest index first |
    | `readout` | bool | the layer never fires; its potentials are the result |
    | `fraction_bits` | 0 to 16 | potential, bias and threshold count in 2^-fraction_bits of a weight's unit |
    | `initial` | None or (N,) in `state_bits` | potentials before the first step of a record; None: 0 |
    | `reset_potential` | None or (N,) in `state_bits` | with reset `value`, and only then |
    | `leak_factors` | None or (N,) integers | of a `scale` leak: a factor for each neuron, in place of `leak.factor` |

    One number for `initial` or `reset_potential` stands for all neurons. With `leak_factors`, `leak.factor` becomes
    the largest of them.

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
    fraction_bits: int = 0
    initial: NDArray[np.int32] | None = None
    reset_potential: NDArray[np.int32] | None = None
    leak_factors: NDArray[np.int32] | None = None

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
        fraction_bits: int = 0,
        initial: ArrayLike | None = None,
        reset_potential: ArrayLike | None = None,
        leak_factors: ArrayLike | None = None,
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
            "reset": checks.choice("layer reset", reset, RESETS),
            "leak": Leak.none() if leak is None else checks.instance("layer leak", leak, Leak),
            "flip": None if flip is None else checks.instance("layer flip", flip, FlipSpec),
            "bias": None if bias is None else checks.integers("layer bias", bias, (neurons,), -MAX_INT32, MAX_INT32),
            "spike_limit": checks.optional_integer("layer spike_limit", spike_limit, MAX_INT32),
            "step_spike_limit": checks.optional_integer("layer step_spike_limit", step_spike_limit, neurons),
            "input_cap": checks.optional_integer("layer input_cap", input_cap, inputs),
            "fraction_bits": checks.integer("layer fraction_bits", fraction_bits, 0, MAX_FRACTION_BITS),
        }
        values["threshold"] = _threshold(threshold, neurons, values["readout"])
        potentials = {"initial": initial, "reset_potential": reset_potential}
        values |= {name: _potentials(name, given, neurons, values["state_bits"]) for name, given in potentials.items()}
        values |= _leak_factors(values["leak"], leak_factors, neurons)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for name in ("flip", "spike_limit", "step_spike_limit"):
            if self.readout and getattr(self, name) is not None:
                raise ValueError(f"layer {name} must be None for a readout, which does not fire, not {values[name]!r}")
        if self.readout and self.reset == "value":
            raise ValueError("layer reset must be 'zero' or 'subtract' for a readout, which never resets, not 'value'")
        if (self.reset == "value") != (self.reset_potential is not None):
            given = "without one" if self.reset_potential is None else f"with {self.reset!r}"
            raise ValueError(f"layer reset_potential must be given with reset 'value', and only then, not {given}")
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
        """Two's complement width in which u = leak(v) + W x * 2^fraction_bits + bias is exact."""
        low, high = (
            state + (current << self.fraction_bits)
            for state, current in zip(self.state_range, self.current_range, strict=True)
        )
        if self.bias is not None:
            low, high = low + min(0, int(self.bias.min())), high + max(0, int(self.bias.max()))
        return signed_bits(low, high)

    @property
    def leak_text(self) -> str:
        """The leak in words: its formula, and the range of the factors where each neuron has its own."""
        if self.leak_factors is None:
            return str(self.leak)
        low, high = int(self.leak_factors.min()), int(self.leak_factors.max())
        return str(self.leak).replace(f"* {high}", f"* {low}..{high}")

    @property
    def extended(self) -> bool:
        """Whether the layer uses a number that files of version 2 do not know."""
        arrays = (self.initial, self.reset_potential, self.leak_factors)
        return self.leak.rounding != "floor" or bool(self.fraction_bits) or any(array is not None for array in arrays)


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


def _potentials(name: str, given: ArrayLike | None, neurons: int, state_bits: int) -> NDArray[np.int32] | None:
    """One potential a neuron; one number stands for all."""
    if given is None:
        return None
    low, high = -(1 << (state_bits - 1)), (1 << (state_bits - 1)) - 1
    if np.ndim(given) == 0:
        given = np.full(neurons, checks.integer(f"layer {name}", given, low, high))
    return checks.integers(f"layer {name}", given, (neurons,), low, high)


def _leak_factors(leak: Leak, given: ArrayLike | None, neurons: int) -> dict[str, Any]:
    """`leak_factors` as checked, and the leak with the largest of them."""
    if given is None:
        return {"leak_factors": None}
    if leak.kind != "scale":
        raise ValueError(f"layer leak_factors must be None for a leak that is no 'scale', not given with {leak.kind!r}")
    factors = checks.integers("layer leak_factors", given, (neurons,), 0, 1 << leak.shift_by)
    return {"leak_factors": factors, "leak": replace(leak, factor=int(factors.max()))}
