"""Surrogate gradients: curves that replace the derivative of the spike function in the backward pass.

Each is a frozen dataclass with `derivative(x)`, x = u - threshold, float of any shape in and out. A spike is always
H(x), 1 where x >= 0; only the backward pass differs. `docs/training.md` shows every curve.

"eq." numbers are those of DPSNN (arXiv 2205.12718 v1): `Gate` is eq. 4, `TanhDerivative` eq. 5, `Gaussian` eq. 6. The
classes whose names start with `SnnTorch` reproduce snnTorch 1.0.0 where it computes something else than its name says;
the others agree with snnTorch where both have them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate(ABC):
    """A curve over x = u - threshold; every parameter is a finite number above 0, else ValueError.

    Derivatives work in place on tensors of their own: new memory costs more than the arithmetic.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"surrogate {field.name} must be a number, not {value!r}")
            if not 0 < value < math.inf:
                raise ValueError(f"surrogate {field.name} must be above 0 and finite, not {value!r}")

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """What the backward pass uses for ds/du at x = u - threshold."""


@dataclass(frozen=True)
class Gate(Surrogate):
    """1/width where |x| < width/2, else 0; width 1 is eq. 4.

    A neuron whose potential never comes within width/2 of its threshold receives no gradient.
    """

    width: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return _gate(x.abs(), self.width)


@dataclass(frozen=True)
class GateTail(Surrogate):
    """The gate plus tail / (1 + slope |x|)^2: neurons far from the threshold have a gradient too. Not in the paper."""

    width: float = 1.0
    tail: float = 0.2
    slope: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        distance = x.abs()
        return _gate(distance, self.width).addcmul_(*_inverse_square(distance, self.slope), value=self.tail)


@dataclass(frozen=True)
class TanhDerivative(Surrogate):
    """4 / (e^(-2x) + e^(2x) + 2) = sech^2(x), the derivative of tanh: eq. 5, which the paper calls "Darctanh"."""

    def derivative(self, x: Tensor) -> Tensor:
        return torch.cosh(x).square_().reciprocal_()


@dataclass(frozen=True)
class Gaussian(Surrogate):
    """exp(-sharpness x^2), 1 at the threshold; sharpness 2 is eq. 6 with the minus sign that its print lacks."""

    sharpness: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return x.square().mul_(-self.sharpness).exp_()


@dataclass(frozen=True)
class ArctanhDerivative(Surrogate):
    """1 / (1 - x^2) where |x| < cut, else 0: the derivative of arctanh. Not in the paper, whose eq. 5 is sech^2(x).

    It grows away from the threshold and has poles at |x| = 1, hence the cut below 1.
    """

    cut: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cut >= 1:
            raise ValueError(f"surrogate cut must be below 1, where the curve has a pole, not {self.cut!r}")

    def derivative(self, x: Tensor) -> Tensor:
        inside = x.abs() < self.cut
        return inside.to(x.dtype) / (1 - torch.where(inside, x, 0.0) ** 2)


@dataclass(frozen=True)
class Normal(Surrogate):
    """The normal density, exp(-x^2 / (2 deviation^2)) / (deviation sqrt(2 pi)), of area 1.

    At deviation 1/2 it is `Gaussian(2)` times 0.798.
    """

    deviation: float = 0.5

    def derivative(self, x: Tensor) -> Tensor:
        exponent = x.square().mul_(-1 / (2 * self.deviation**2))
        return exponent.exp_().mul_(1 / (self.deviation * math.sqrt(2 * math.pi)))


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """1 / (1 + slope |x|)^2 (Zenke, Ganguli 2018). snnTorch's default slope is 25."""

    slope: float = 5.0

    def derivative(self, x: Tensor) -> Tensor:
        return _inverse_square(x.abs(), self.slope)[0].square_()


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    """1 everywhere."""

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


@dataclass(frozen=True)
class Arctangent(Surrogate):
    """(alpha/2) / (1 + (pi alpha x / 2)^2) (Fang and others 2021)."""

    alpha: float = 2.0

    def derivative(self, x: Tensor) -> Tensor:
        return x.square().mul_((math.pi * self.alpha / 2) ** 2).add_(1).reciprocal_().mul_(self.alpha / 2)


@dataclass(frozen=True)
class SpikeRateEscape(Surrogate):
    """height exp(-beta |x|): an escape rate that falls off on both sides of the threshold."""

    beta: float = 1.0
    height: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return x.abs().mul_(-self.beta).exp_().mul_(self.height)


@dataclass(frozen=True)
class Triangular(Surrogate):
    """max(0, 1 - |x| / width) / width: a triangle of area 1."""

    width: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return x.abs().mul_(-1 / self.width).add_(1).clamp_(min=0).mul_(1 / self.width)


@dataclass(frozen=True)
class SnnTorchSpikeRateEscape(Surrogate):
    """height exp(-beta |x - 1|): as snnTorch computes it, with its peak ONE ABOVE the threshold and 25 high."""

    beta: float = 1.0
    height: float = 25.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.height * torch.exp(-self.beta * (x - 1).abs())


@dataclass(frozen=True)
class SnnTorchTriangular(Surrogate):
    """+scale below the threshold and -scale from it on: as snnTorch computes it, which is no triangle."""

    scale: float = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x < 0, self.scale, -self.scale).to(x.dtype)


def _gate(distance: Tensor, width: float) -> Tensor:
    return (distance < width / 2).to(distance.dtype).mul_(1 / width)


def _inverse_square(distance: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """1 / (1 + slope * distance), twice, for a product; `distance` is used up."""
    inverse = distance.mul_(slope).add_(1).reciprocal_()
    return inverse, inverse


#: the word in a configuration -> the surrogate
SURROGATES: dict[str, type[Surrogate]] = {
    "gate": Gate,
    "gate_tail": GateTail,
    "tanh_derivative": TanhDerivative,
    "gaussian": Gaussian,
    "arctanh": ArctanhDerivative,
    "normal": Normal,
    "fast_sigmoid": FastSigmoid,
    "straight_through": StraightThrough,
    "arctangent": Arctangent,
    "spike_rate_escape": SpikeRateEscape,
    "triangular": Triangular,
    "snntorch_spike_rate_escape": SnnTorchSpikeRateEscape,
    "snntorch_triangular": SnnTorchTriangular,
}


def surrogate_of(content: Mapping[str, Any]) -> Surrogate:
    """The surrogate that a configuration names: {"name": "gate", "width": 1.0}; ValueError for unknown words."""
    parameters = dict(content)
    name = parameters.pop("name", None)
    if name not in SURROGATES:
        raise ValueError(f"surrogate name must be one of {', '.join(map(repr, SURROGATES))}, not {name!r}")
    known = {field.name for field in fields(SURROGATES[name])}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise ValueError(f"surrogate {name!r} takes {', '.join(sorted(known)) or 'no parameters'}, not {unknown[0]!r}")
    return SURROGATES[name](**parameters)


def surrogate_dict(surrogate: Surrogate) -> dict[str, Any]:
    """What `surrogate_of` reads."""
    names = {kind: name for name, kind in SURROGATES.items()}
    return {"name": names[type(surrogate)], **asdict(surrogate)}
