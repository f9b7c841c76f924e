"""The specification's neurons for quantisation-aware training: leak, threshold, reset and saturation, bit for bit."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikeveil.host.networks.scales import MAX_EXPONENT, MIN_EXPONENT
from spikeveil.host.training.neurons import Neuron
from spikeveil.pysim import Leak
from spikeveil.pysim.model import checks

SIGNIFICAND = {torch.float32: 24, torch.float64: 53}


@dataclass(frozen=True)
class QuantNeuron(Neuron):
    """The specification's neuron, potentials and threshold in multiples of 2^-exponent::

        u = leak(v) + I;   s = (u >= threshold);   v' = saturate(reset(u) if s else u)

    `leak` rounds and `state_bits` (2 to 32) saturate, in units of 2^-exponent, as `spikeveil.pysim.model.neuron` does.
    The backward pass takes the leak for a product with `decay`, which must be the leak's own, and passes nothing
    through a potential that saturated. Dialects of other simulators are refused, and so is a threshold that is no
    multiple of 2^-exponent: ValueError.
    """

    exponent: int = 0
    leak: Leak = field(default_factory=Leak.none)
    state_bits: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("neuron exponent", self.exponent, MIN_EXPONENT, MAX_EXPONENT)
        checks.integer("neuron state_bits", self.state_bits, 2, 32)
        checks.instance("neuron leak", self.leak, Leak)
        if not self.exportable:
            raise ValueError("a quantised neuron must compare 'ge' and reset immediately, as the specification does")
        if not (self.threshold * 2.0**self.exponent).is_integer():
            raise ValueError(f"neuron threshold must be a multiple of 2^-{self.exponent}, not {self.threshold!r}")
        if self.decay != self.leak.decay:
            raise ValueError(f"neuron decay must be that of the leak {self.leak}, {self.leak.decay}, not {self.decay}")

    @classmethod
    def of(cls, neuron: Neuron, exponent: int, leak: Leak, state_bits: int = 16) -> "QuantNeuron":
        """The quantised form of `neuron`; its decay becomes the leak's."""
        return cls(
            decay=leak.decay,
            threshold=neuron.threshold,
            reset=neuron.reset,
            surrogate=neuron.surrogate,
            detach_reset=neuron.detach_reset,
            compare=neuron.compare,
            reset_timing=neuron.reset_timing,
            exponent=exponent,
            leak=leak,
            state_bits=state_bits,
        )

    @classmethod
    def readout(cls, exponent: int, leak: Leak, state_bits: int = 16) -> "QuantNeuron":
        """For potentials that never fire: threshold and reset are there and never used."""
        return cls.of(Neuron(threshold=2.0**-exponent, reset="zero"), exponent, leak, state_bits)

    def run(self, current: Tensor, steps: int) -> Tensor:
        """Spikes (batch, steps, ...) of currents (batch, steps, ...), exactly; see `Neuron.run`."""
        if current.shape[1] not in (1, steps):
            raise ValueError(f"neuron current must have 1 or {steps} steps, not {current.shape[1]}")
        self.require(current.dtype)
        spikes: Tensor = _QuantWindow.apply(current.expand(-1, steps, *current.shape[2:]), self)
        return spikes

    def accumulate(self, current: Tensor) -> Tensor:
        """The potentials of a readout after the last step, (batch, ...), for currents (batch, steps, ...), exactly."""
        self.require(current.dtype)
        v = torch.zeros_like(current[:, 0])
        for t in range(current.shape[1]):
            v = self.saturate(_Leaked.apply(v, self) + current[:, t])
        return v

    def require(self, dtype: torch.dtype) -> None:
        """ValueError where the leak of a potential would not be exact in `dtype`."""
        product = self.state_bits - 1 + (self.leak.factor.bit_length() if self.leak.kind == "scale" else 0)
        if self.leak.half:  # is added to the product
            product = max(product, self.leak.shift_by - 1) + 1
        if product > SIGNIFICAND[dtype]:
            raise ValueError(
                f"neuron leak must be exact: {self.state_bits} state bits need {product} bits of significand, and "
                f"{dtype} has {SIGNIFICAND[dtype]}; use model.double()"
            )

    def leaked(self, v: Tensor) -> Tensor:
        """leak(v), rounded as integers are."""
        if self.leak.kind == "none":
            return v
        factor = self.leak.factor if self.leak.kind == "scale" else 1
        half = 0.5 if self.leak.half else 0.0
        shifted = v * factor * 2.0 ** (self.exponent - self.leak.shift_by)
        rounded = torch.floor(shifted + half if half else shifted) * 2.0**-self.exponent
        return v - rounded if self.leak.kind == "shift" else rounded

    def saturate(self, v: Tensor) -> Tensor:
        """`v` cut to what `state_bits` hold."""
        half = 2.0 ** (self.state_bits - 1 - self.exponent)
        return v.clamp(-half, half - 2.0**-self.exponent)


class _Leaked(torch.autograd.Function):  # type: ignore[misc]
    """leak(v); its gradient is the decay."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, neuron: QuantNeuron) -> Tensor:
        ctx.decay = neuron.decay
        return neuron.leaked(v)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.decay, None


class _QuantWindow(torch.autograd.Function):  # type: ignore[misc]
    """All steps at once, as one node of the graph; u and s are kept, and where v' saturated."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: QuantNeuron) -> Tensor:
        potentials = torch.empty(current.shape, dtype=current.dtype)
        spikes, cut = torch.empty_like(potentials), torch.zeros(current.shape, dtype=torch.bool)
        v = torch.zeros_like(potentials[:, 0])
        for t in range(current.shape[1]):
            u = torch.add(current[:, t], neuron.leaked(v), out=potentials[:, t])
            spikes[:, t] = neuron.fires(u)
            wide = u - neuron.threshold * spikes[:, t] if neuron.reset == "subtract" else u - u * spikes[:, t]
            v = neuron.saturate(wide)
            torch.ne(v, wide, out=cut[:, t])
        ctx.save_for_backward(potentials, spikes, cut)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        potentials, spikes, cut = ctx.saved_tensors
        neuron: QuantNeuron = ctx.neuron
        slopes = neuron.surrogate.derivative(potentials - neuron.threshold)
        out = torch.empty_like(potentials)
        later = torch.zeros_like(potentials[:, 0])  # gradient of v' at step t
        for t in reversed(range(potentials.shape[1])):
            later = later.masked_fill(cut[:, t], 0)
            here = gradient[:, t]
            if not neuron.detach_reset:
                here = here - later * (neuron.threshold if neuron.reset == "subtract" else potentials[:, t])
            if neuron.reset == "zero":
                later = later - later * spikes[:, t]
            later = neuron.decay * torch.addcmul(later, here, slopes[:, t], out=out[:, t])
        return out, None


class QuantMembrane(nn.Module):  # type: ignore[misc]
    """A readout that never fires: x (batch, steps, inputs) to the potential after the window, (batch, neurons)."""

    def __init__(self, weights: nn.Module, neuron: QuantNeuron) -> None:
        super().__init__()
        self.weights, self.neuron = weights, neuron

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron.accumulate(self.weights(x))
