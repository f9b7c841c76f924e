"""Float networks: spiking layers with float weights, evaluated with NumPy."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.decoder import class_counts
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.array_file import NETWORK_BYTES, SizeError, read_arrays
from spikeveil.pysim.model.damage import DAMAGE
from spikeveil.pysim.model.files import write_atomically

Floats = NDArray[np.floating[Any]]
FIELDS = ("weights", "bias", "decay", "reset")
OPTIONS: dict[str, Any] = {  # optional in a file, with their defaults
    "threshold": np.float32(1),
    "readout": False,
    "compare": "ge",
    "initial": np.float32(0),
    "reset_potential": np.float32(0),
}


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """Neurons with potential v and inputs x in {0,1}^M: u = decay * v + W x + bias, s = (u >= threshold).

    After a spike v' = u - threshold (`reset` "subtract"), 0 ("zero") or `reset_potential` ("value"), else v' = u.

    | field | meaning |
    |---|---|
    | `weights` | (neurons, inputs) |
    | `bias` | (neurons,) |
    | `decay` | 0 to 1, one for the layer or (neurons,) |
    | `reset` | "subtract", "zero" or "value" |
    | `threshold` | above 0, one for the layer or (neurons,) |
    | `readout` | the layer does not fire; its potentials are the result |
    | `compare` | "ge" as above, or "gt": s = (u > threshold) |
    | `initial` | v before the first step, one or (neurons,) |
    | `reset_potential` | v' after a spike with "value", one or (neurons,) |

    Numbers are float32, or float64 where float32 does not hold them; `trace` computes in float32. ValueError for
    shapes that do not fit, numbers that are not finite, and any other value.
    """

    weights: Floats
    bias: Floats
    decay: float | Floats
    reset: str
    threshold: float | Floats = 1.0
    readout: bool = False
    compare: str = "ge"
    initial: float | Floats = 0.0
    reset_potential: float | Floats = 0.0

    def __post_init__(self) -> None:
        weights = _floats("weights", self.weights)
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"float layer weights must have shape (neurons, inputs), not {weights.shape}")
        bias, decay = _floats("bias", self.bias), np.asarray(self.decay, np.float64)
        by_neuron = {name: _floats(name, getattr(self, name)) for name in ("threshold", "initial", "reset_potential")}
        arrays = {"bias": bias, "decay": decay, **by_neuron}
        for name, array in arrays.items():
            shapes = [weights.shape[:1]] if name == "bias" else [(), weights.shape[:1]]
            if array.shape not in shapes:
                raise ValueError(f"float layer {name} must have shape {shapes[-1]}, not {array.shape}")
        if not (by_neuron["threshold"] > 0).all():
            raise ValueError(f"float layer threshold must be above 0, not {by_neuron['threshold'].min()}")
        if not ((decay >= 0) & (decay <= 1)).all():
            wrong = decay[~((decay >= 0) & (decay <= 1))]
            raise ValueError(f"float layer decay must be 0 to 1, not {wrong.flat[0]}")
        checks.choice("float layer reset", self.reset, ("subtract", "zero", "value"))
        checks.choice("float layer compare", self.compare, ("ge", "gt"))
        checks.flag("float layer readout", self.readout)
        object.__setattr__(self, "decay", float(decay) if decay.ndim == 0 else decay)
        for name, value in (("weights", weights), ("bias", bias), *by_neuron.items()):
            object.__setattr__(self, name, value)

    @property
    def neurons(self) -> int:
        """The number of neurons."""
        return len(self.weights)

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return int(self.weights.shape[1])

    def run(self, spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Spikes (records, steps, neurons) for input spikes (records, steps, inputs), from the initial potentials."""
        return self.trace(spikes)[0]

    def trace(self, spikes: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Floats]:
        """Spikes and potentials v' after each step, both (records, steps, neurons)."""
        bias, decay, threshold, start, after = (
            np.asarray(getattr(self, name), np.float32)
            for name in ("bias", "decay", "threshold", "initial", "reset_potential")
        )
        current = spikes.astype(np.float32) @ self.weights.T.astype(np.float32, copy=False) + bias
        out, potentials = np.zeros(current.shape, np.bool_), np.empty_like(current)
        v = np.broadcast_to(start, current[:, 0].shape)
        if self.reset != "value":
            after = np.zeros((), np.float32)
        for t in range(current.shape[1]):
            u = decay * v + current[:, t]
            if self.readout:
                v = u
            else:
                out[:, t] = s = u > threshold if self.compare == "gt" else u >= threshold
                v = np.where(s, u - threshold if self.reset == "subtract" else after, u)
            potentials[:, t] = v
        return out, potentials


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A chain of float layers."""

    layers: tuple[FloatLayer, ...]

    def run(self, spikes: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
        """The spikes of every layer, each (records, steps, neurons), for input spikes (records, steps, inputs)."""
        out: list[NDArray[np.bool_]] = []
        for layer in self.layers:
            out.append(layer.run(out[-1] if out else spikes))
        return tuple(out)

    def scores(self, spikes: NDArray[np.bool_], classes: int) -> NDArray[np.float64]:
        """Scores (records, classes) for input spikes (records, steps, inputs).

        The spikes of each class (see `class_counts`), or the last potentials of a readout with a neuron for each class.
        """
        x = spikes
        for layer in self.layers[:-1]:
            x = layer.run(x)
        out, potentials = self.layers[-1].trace(x)
        if self.layers[-1].readout:
            return potentials[:, -1].astype(np.float64)
        return class_counts(out, classes).astype(np.float64)

    def save(self, path: Path) -> None:
        """Write every layer to one .npz file, atomically; the same network gives the same bytes."""
        arrays: dict[str, Any] = {}
        for index, layer in enumerate(self.layers):
            fields = {name: np.asarray(getattr(layer, name)) for name in (*FIELDS, *OPTIONS)}
            arrays |= {
                f"{index}.{name}": value
                for name, value in fields.items()
                if name in FIELDS or value.shape or value != OPTIONS[name]
            }
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_atomically(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "FloatNetwork":
        """Read a file that `save` wrote; ValueError, one sentence, for another."""
        try:
            arrays = read_arrays(path, f"float network file {path}", "one that `save` wrote", NETWORK_BYTES)
            count = len({name.partition(".")[0] for name in arrays})
            return cls(tuple(_layer(arrays, index) for index in range(count)))
        except (SizeError, OSError):
            raise
        except DAMAGE as error:
            raise ValueError(f"float network file {path} must be one that `save` wrote: {error}") from error


def _layer(arrays: dict[str, NDArray[Any]], index: int) -> FloatLayer:
    options = {name: arrays.get(f"{index}.{name}", np.asarray(value)) for name, value in OPTIONS.items()}
    weights, bias, decay, reset = (arrays[f"{index}.{name}"] for name in FIELDS)
    return FloatLayer(
        weights,
        bias,
        decay,
        str(reset),
        options["threshold"],
        bool(options["readout"]),
        str(options["compare"]),
        options["initial"],
        options["reset_potential"],
    )


def _floats(name: str, value: Any) -> Floats:
    """`value` as float32, or as float64 where float32 does not hold it. ValueError where a number is not finite."""
    array = np.asarray(value)
    if array.dtype != np.float64:
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"float layer {name} must be finite numbers, not {array[~np.isfinite(array)][0]}")
    with np.errstate(over="ignore"):
        single: Floats = array.astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError(f"float layer {name} must be within float32, not {np.abs(array).max()}")
    return single if (single == array).all() else array
