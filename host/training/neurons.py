"""Integrate-and-fire neurons over a whole window, forward and backward through time in one autograd function."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from spikeveil.host.training.surrogates import FastSigmoid, Surrogate
from spikeveil.pysim.model import checks

RESETS = ("zero", "subtract")


@dataclass(frozen=True)
class Neuron:
    """A neuron with potential v, driven by a current I (W x + b)::

        u = decay * v + I;   s = (u >= threshold);   v' = reset(u) if s else u        (potentials start at 0)

    the specification's equations without its rounding and saturation. decay 1 is IF, below 1 LIF. reset `zero` puts
    0, `subtract` u - threshold. detach_reset: the gradient does not pass through the reset.

    Dialects of other simulators, which no specification can hold: compare `gt` fires at u > threshold only;
    reset_timing `delayed` subtracts in the NEXT step, after the leak: u = decay * u_before + I - threshold * s_before
    (with `zero` both timings are the same). snnTorch's default is both with detach_reset; `delayed` asks for that.

    Raises ValueError for a value out of range.
    """

    decay: float = 1.0
    threshold: float = 1.0
    reset: Literal["zero", "subtract"] = "subtract"
    surrogate: Surrogate = field(default_factory=FastSigmoid)
    detach_reset: bool = False
    compare: Literal["ge", "gt"] = "ge"
    reset_timing: Literal["immediate", "delayed"] = "immediate"

    def __post_init__(self) -> None:
        if isinstance(self.decay, bool) or not isinstance(self.decay, int | float) or not 0 <= self.decay <= 1:
            raise ValueError(f"neuron decay must be 0 to 1, not {self.decay!r}")
        if not isinstance(self.threshold, int | float) or not 0 < self.threshold < float("inf"):
            raise ValueError(f"neuron threshold must be above 0 and finite, not {self.threshold!r}")
        checks.choice("neuron reset", self.reset, RESETS)
        checks.instance("neuron surrogate", self.surrogate, Surrogate)
        checks.flag("neuron detach_reset", self.detach_reset)
        checks.choice("neuron compare", self.compare, ("ge", "gt"))
        checks.choice("neuron reset_timing", self.reset_timing, ("immediate", "delayed"))
        if self.reset_timing == "delayed" and not self.detach_reset:
            raise ValueError("neuron detach_reset must be True where reset_timing is 'delayed', not False")

    @property
    def exportable(self) -> bool:
        """Whether a specification can hold these dynamics."""
        return self.compare == "ge" and self.reset_timing == "immediate"

    @property
    def late(self) -> bool:
        """Whether a reset is felt one step later, after the leak."""
        return self.reset_timing == "delayed" and self.reset == "subtract"

    def fires(self, u: Tensor) -> Tensor:
        """Spikes of potentials before the reset, in the dtype of `u`."""
        return self.fired(u).to(u.dtype)

    def fired(self, u: Tensor) -> Tensor:
        """The same as bool."""
        return u >= self.threshold if self.compare == "ge" else u > self.threshold

    def run(self, current: Tensor, steps: int) -> Tensor:
        """Spikes (batch, steps, ...) of currents (batch, steps, ...), or (batch, 1, ...) for the same at every step."""
        if current.shape[1] not in (1, steps):
            raise ValueError(f"neuron current must have 1 or {steps} steps, not {current.shape[1]}")
        spikes: Tensor = _Window.apply(current.expand(-1, steps, *current.shape[2:]), self)
        return spikes

    def reference(self, current: Tensor) -> Tensor:
        """The same as `run`, written as the equations stand and left to autograd: slow, for tests and reading."""
        u = spike = torch.zeros_like(current[:, 0])
        v, spikes = u, []
        for t in range(current.shape[1]):
            if self.late:
                u = self.decay * u + current[:, t] - self.threshold * spike.detach()
            else:
                u = self.decay * v + current[:, t]
            spike = _Spike.apply(u, self)
            past = spike.detach() if self.detach_reset else spike
            v = u - self.threshold * past if self.reset == "subtract" else u * (1 - past)
            spikes.append(spike)
        return torch.stack(spikes, dim=1)


class _Spike(torch.autograd.Function):  # type: ignore[misc]
    """One spike with its surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, neuron: Neuron) -> Tensor:
        ctx.save_for_backward(u)
        ctx.neuron = neuron
        return neuron.fires(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return gradient * ctx.neuron.surrogate.derivative(u - ctx.neuron.threshold), None


class _Window(torch.autograd.Function):  # type: ignore[misc]
    """All steps at once: one node in the graph instead of ten a step, and only u and s are kept."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Neuron) -> Tensor:
        potentials = current.new_empty(current.shape)
        spikes = torch.empty_like(potentials)
        carried = torch.zeros_like(potentials[:, 0])
        for t in range(current.shape[1]):
            u = potentials[:, t]
            torch.add(current[:, t], carried, alpha=neuron.decay, out=u)
            if t and neuron.late:
                u.sub_(spikes[:, t - 1], alpha=neuron.threshold)
            spikes[:, t].copy_(neuron.fired(u))
            carried = u if neuron.late else _reset(u, spikes[:, t], neuron)
        ctx.save_for_backward(potentials, spikes)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        potentials, spikes = ctx.saved_tensors
        neuron: Neuron = ctx.neuron
        out = torch.empty_like(potentials)
        later = torch.zeros_like(potentials[:, 0])  # gradient of what step t carries on
        for t in reversed(range(potentials.shape[1])):
            here, slope = gradient[:, t], neuron.surrogate.derivative(potentials[:, t] - neuron.threshold)
            if not neuron.detach_reset:
                here = here - later * (neuron.threshold if neuron.reset == "subtract" else potentials[:, t])
            if neuron.reset == "zero":
                later = later - later * spikes[:, t]
            later = neuron.decay * torch.addcmul(later, here, slope, out=out[:, t])
        return out, None


def _reset(u: Tensor, spikes: Tensor, neuron: Neuron) -> Tensor:
    return u - neuron.threshold * spikes if neuron.reset == "subtract" else u - u * spikes
