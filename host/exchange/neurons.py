"""The neurons of a NIR file as float32 numbers of one step, and the step itself in the order that torch computes it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.exchange import operations
from spikeveil.host.exchange.chain import FIRING
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.nodes import Node

Single = NDArray[np.float32]
Double = NDArray[np.float64]

MOST_DIGITS = 5  # of a number that somebody typed
MOST_VALUES = 4096  # more different ones in a layer were trained, not typed


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one shape; every array is float32 of that shape. In one step, for input x and potentials v::

        u = beta v + drive + gain x          with  drive = (1 - beta) v_leak
        s = u > threshold, or u >= threshold
        v = after_reset (`zero`), or u - threshold (`subtract`), where s

    A delayed reset does the last line before the next step's first; `Choices.reset_timing` says it exactly.
    `threshold` is None where the neurons never fire. `initial` is v before the first step.
    """

    node: Node
    beta: Single
    gain: Single
    drive: Single
    threshold: Single | None
    after_reset: Single
    initial: Single
    choices: Choices

    def fires(self, u: Single) -> NDArray[np.bool_]:
        """Where a potential passes the threshold."""
        if self.threshold is None:
            return np.zeros(u.shape, np.bool_)
        return u > self.threshold if self.choices.compare == "gt" else u >= self.threshold

    def run(self, current: Single) -> tuple[NDArray[np.bool_], Single]:
        """Spikes s and potentials u before an immediate reset, for inputs (records, steps, *shape)."""
        spikes, potentials = np.zeros(current.shape, np.bool_), np.empty_like(current)
        v = np.broadcast_to(self.initial, current[:, 0].shape)
        for t in range(current.shape[1]):
            potentials[:, t], spikes[:, t], v = self._step(v, current[:, t])
        return spikes, potentials

    def _step(self, v: Single, x: Single) -> tuple[Single, NDArray[np.bool_], Single]:
        delayed = self.choices.reset_timing in ("delayed", "snntorch")
        subtract = self.choices.reset == "subtract"
        owed = self.fires(v) if delayed else np.zeros(v.shape, np.bool_)
        if not subtract:
            v = np.where(owed, self.after_reset, v)
        u = self.beta * v + self.gain * x
        if self.drive.any():
            u = u + self.drive
        if subtract and delayed and self.threshold is not None:
            u = u - owed * self.threshold
        s = self.fires(u)
        return u, s, self._after_reset(u, s, owed)

    def _after_reset(self, u: Single, s: NDArray[np.bool_], owed: NDArray[np.bool_]) -> Single:
        timing = self.choices.reset_timing
        if timing == "delayed" or self.threshold is None:
            return u
        if self.choices.reset == "subtract":
            due = s.astype(np.float32) - owed if timing == "snntorch" else s.astype(np.float32)
            return u - due * self.threshold
        return np.where(s, self.after_reset, u)


def population(node: Node, shape: tuple[int, ...], choices: Choices) -> Population:
    """The neurons of a node whose input has `shape`. ValueError, one sentence, for numbers that make no neuron."""
    choices = choices.of_node(node.name)
    dt = float(choices.dt or 0)
    r = _field(node, "r", shape)
    if node.kind in ("LIF", "LI"):
        beta, gain = _leaky(node, shape, r, choices, dt)
        leak = _field(node, "v_leak", shape) if "v_leak" in node.fields else np.zeros(shape)
    else:
        beta, gain, leak = np.ones(shape), _shortest(r * dt, _uncertainty(node.array("r"))), np.zeros(shape)
    for name, values in (("input gain", gain), ("v_leak", leak)):
        _finite(node, name, values)
    fires = node.kind in FIRING
    reset = _field(node, "v_reset", shape) if "v_reset" in node.fields else np.zeros(shape)
    threshold = _field(node, "v_threshold", shape) if fires else None
    if fires:
        _finite(node, "v_threshold", threshold)
        _finite(node, "v_reset", reset)
        if choices.reset == "subtract" and reset.any():
            raise ValueError(f"{node} v_reset must be 0 where a spike subtracts the threshold, not {reset.max()}")
    starts = {"zero": np.zeros(shape), "leak": leak, "reset": reset, None: np.zeros(shape)}
    return Population(
        node,
        beta=beta.astype(np.float32),
        gain=gain.astype(np.float32),
        drive=((1 - beta) * leak).astype(np.float32),
        threshold=None if threshold is None else threshold.astype(np.float32),
        after_reset=reset.astype(np.float32),
        initial=starts[choices.initial].astype(np.float32),
        choices=choices,
    )


def _leaky(node: Node, shape: tuple[int, ...], r: Double, choices: Choices, dt: float) -> tuple[Double, Double]:
    """beta and gain; tau = r = infinity, which snnTorch writes for beta = 1, means that nothing leaks and gain 1."""
    tau = _field(node, "tau", shape)
    if not (tau > 0).all():
        raise ValueError(f"{node} tau must be above 0, not {tau[~(tau > 0)].flat[0]}")
    leakless = np.isinf(tau)
    if (leakless != np.isinf(r)).any():
        raise ValueError(f"{node} tau and r must be infinite together (no leak), not one of them")
    unsure = _uncertainty(node.array("tau"))
    ratio = np.where(leakless, 0.0, _shortest(dt / tau, unsure))
    if choices.decay == "euler" and (ratio > 1).any():
        raise ValueError(f"{node} tau must be dt = {dt:g} or more for euler steps, not {tau.min():g}")
    beta = 1 - ratio if choices.decay == "euler" else np.exp(-ratio)
    finite = np.where(leakless, 1.0, r)
    unrounded = {
        "dt-over-tau": finite * (dt / tau),
        "one-minus-beta": finite * (1 - beta),
        "r": finite,
        "one": np.ones(shape),
    }[choices.gain]
    gain = _shortest(np.where(leakless, 1.0, unrounded), 4 * max(unsure, _uncertainty(node.array("r"))))
    return beta, gain


def _field(node: Node, name: str, shape: tuple[int, ...]) -> Double:
    """A field spread over the neurons, `operations.spread`, in float64."""
    return operations.spread(node, name, shape).astype(np.float64)


def _finite(node: Node, name: str, values: Any) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{node} {name} must be finite, not {values[~np.isfinite(values)].flat[0]}")


def _uncertainty(array: NDArray[np.floating[Any]]) -> float:
    """Relative error of a number that was computed and stored in this precision: two roundings."""
    return float(np.finfo(array.dtype).eps)


def _shortest(values: Double, unsure: float) -> Double:
    """Each value as the decimal with the fewest digits, if that is MOST_DIGITS or fewer, that the file may mean by it.

    A float32 file holds tau = 0.0008, r = 8 and so dt/tau = 0.125 to seven digits: the short decimal gives back the
    0.125 and the gain of 1 that the exporter started from, where the plain quotient is off in the last bit. A value
    with no short decimal in the file's precision stays as it is.
    """
    unique, inverse = np.unique(values, return_inverse=True)
    if len(unique) > MOST_VALUES:
        return values
    out: Double = np.array([_short(value, unsure) for value in unique.tolist()])[inverse].reshape(values.shape)
    return out


def _short(value: float, unsure: float) -> float:
    if value == 0 or not np.isfinite(value):
        return value
    for digits in range(1, MOST_DIGITS + 1):
        short = float(f"{Decimal(value):.{digits - 1}e}")
        if abs(short - value) <= unsure * abs(value):
            return short
    return value
