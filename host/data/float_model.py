"""A trained network before it became integers, evaluated with NumPy alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FIELDS = ("weights", "bias", "decay", "reset")


@dataclass(frozen=True)
class FloatLayer:
    """Neurons with potential v, threshold 1 and inputs x in {0,1}^M: u = decay * v + W x + bias, s = (u >= 1).

    After a spike v' = u - 1 (`reset` "subtract") or 0 ("zero"), else v' = u. `weights` (neurons, inputs) and `bias`
    (neurons,) are float32; `decay` is 0 to 1.
    """

    weights: Floats
    bias: Floats
    decay: float
    reset: str

    def run(self, spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Spikes (records, steps, neurons) for input spikes (records, steps, inputs); potentials start at zero."""
        current = spikes.astype(np.float32) @ self.weights.T + self.bias
        out = np.zeros(current.shape, np.bool_)
        v = np.zeros_like(current[:, 0])
        for t in range(current.shape[1]):
            u = np.float32(self.decay) * v + current[:, t]
            out[:, t] = s = u >= 1
            v = np.where(s, u - 1 if self.reset == "subtract" else np.float32(0), u)
        return out


@dataclass(frozen=True)
class FloatNetwork:
    """A chain of float layers."""

    layers: tuple[FloatLayer, ...]

    def run(self, spikes: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
        """The spikes of every layer, each (records, steps, neurons), for input spikes (records, steps, inputs)."""
        out: list[NDArray[np.bool_]] = []
        for layer in self.layers:
            out.append(layer.run(out[-1] if out else spikes))
        return tuple(out)

    def save(self, path: Path) -> None:
        """Write every layer to one .npz file; the same network gives the same bytes."""
        arrays: dict[str, Any] = {
            f"{index}.{name}": np.asarray(getattr(layer, name))
            for index, layer in enumerate(self.layers)
            for name in FIELDS
        }
        np.savez(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "FloatNetwork":
        """Read a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            count = len(file.files) // len(FIELDS)
            rows = [[file[f"{index}.{name}"] for name in FIELDS] for index in range(count)]
        return cls(tuple(FloatLayer(weights, bias, float(decay), str(reset)) for weights, bias, decay, reset in rows))
