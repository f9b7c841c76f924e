"""The specification of a network: frozen data, validated when made. Model and gateware must agree with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from spikeveil.pysim.model import checks, network_file
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.layer_spec import MAX_INT32, LayerSpec

__all__ = ["LayerSpec", "NetworkSpec"]

MAX_LAYERS = 1 << 8  # the layer index is eight bits of the cipher's IV
MAX_STEPS = (1 << 16) - 1  # largest specified length of a record; 16 bits in the device's protocol


@dataclass(frozen=True, eq=False, init=False)
class NetworkSpec:
    """A chain of layers: the spikes that a layer releases are the inputs of the next one.

    | field | type | meaning |
    |---|---|---|
    | `layers` | 1 to 256 `LayerSpec` | only the last may be a readout; sizes must fit one another |
    | `cadence` | None or 1 to 2^31 - 1 | clock cycles between two released steps; None: the build's worst case |
    | `decision` | None, `Decision` or `OneHotDecision` | one randomised decision a record; None: every step leaves |
    | `steps` | None or 1 to 65535 | the steps of a record; given with a decision, and only then |

    Under a decision the last layer has no flipper and no limit of its own. Its neurons form `decision.classes` equal
    groups, neuron n in group n // (neurons / classes); a readout has one neuron a class.

    Raises ValueError, one sentence, for anything outside these bounds. Two specifications are equal when their
    fingerprints are.
    """

    layers: tuple[LayerSpec, ...]
    cadence: int | None = None
    decision: RandomisedDecision | None = None
    steps: int | None = None

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        cadence: int | None = None,
        decision: RandomisedDecision | None = None,
        steps: int | None = None,
    ) -> None:
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
        object.__setattr__(self, "steps", checks.optional_integer("network steps", steps, MAX_STEPS))
        object.__setattr__(self, "decision", decision)
        if decision is not None:
            _check_decision(decision, chain[-1])
        if (decision is None) != (steps is None):
            raise ValueError(
                "network steps must be given with a decision, and only then, "
                f"not {steps!r} {'without one' if decision is None else 'with one'}"
            )

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
    def randomised(self) -> tuple[int, ...]:
        """Indices of the layers with a word source: those that have a flipper, and the last one under a decision."""
        return self.flipped + ((len(self.layers) - 1,) if self.decision is not None else ())

    @property
    def class_neurons(self) -> int:
        """Neurons of the last layer that belong to one class of the decision; all of them without a decision."""
        return self.outputs if self.decision is None else self.outputs // self.decision.classes

    @property
    def private(self) -> bool:
        """Whether a flipper or a decision stands between the input and the output; in a chain, one is enough."""
        return bool(self.randomised)

    def require_private(self, *, unsafe: bool = False) -> None:
        """Raise ValueError where nothing stands between the private input and the output, unless `unsafe`."""
        if not self.private and not unsafe:
            raise ValueError(
                f"network must release a decision or flip at least one of its {len(self.layers)} layers: the input "
                "would reach the output unflipped (epsilon infinite); `spikeveil privatise` makes it private"
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every number of the specification, as 64 hexadecimal digits."""
        return network_file.fingerprint(*self.describe())

    def describe(self) -> tuple[network_file.Header, network_file.Arrays]:
        """The specification as a JSON-ready header and its arrays, named `LAYER.FIELD`: what a network file holds."""
        return network_file.describe(self.layers, self.cadence, self.decision, self.steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkSpec) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def save(self, path: str | Path, origin: dict[str, Any] | None = None) -> None:
        """Write the specification to one file, atomically; the same specification gives the same bytes.

        `origin`: a note of plain JSON values about where the network is from. It is no part of the specification: the
        fingerprint does not cover it, and an alteration of it goes unnoticed. ValueError where it is not JSON.
        """
        network_file.write(Path(path), *self.describe(), origin)

    @classmethod
    def load(cls, path: str | Path) -> "NetworkSpec":
        """Read a file that `save` wrote; ValueError for a truncated, altered, foreign or newer one."""
        return cls._from_stored(Path(path), network_file.read(Path(path)))

    @classmethod
    def origin(cls, path: str | Path) -> dict[str, Any] | None:
        """The `origin` note of a network file; None if the file has none. ValueError as in `load`."""
        stored = network_file.read(Path(path))
        cls._from_stored(Path(path), stored)
        note = stored.origin
        if note is not None and not isinstance(note, dict):
            raise ValueError(f"network file {path} origin must be a JSON object, not {note!r}")
        return note

    @classmethod
    def _from_stored(cls, path: Path, stored: network_file.StoredNetwork) -> "NetworkSpec":
        """The stored network; ValueError if its fingerprint is not the one that was stored with it."""
        spec = cls(stored.layers, stored.cadence, stored.decision, stored.steps)
        if spec.fingerprint != stored.fingerprint:
            raise ValueError(
                f"network file {path} must match its own fingerprint {stored.fingerprint!r}, and its content "
                f"has {spec.fingerprint!r}"
            )
        return spec


def _check_decision(decision: RandomisedDecision, last: LayerSpec) -> None:
    """Raise ValueError where `decision` cannot be made about the neurons of the last layer."""
    checks.instance("network decision", decision, RandomisedDecision)
    for name in ("flip", "spike_limit", "step_spike_limit"):
        if getattr(last, name) is not None:
            raise ValueError(
                f"network decision is made on raw spikes, so {name} of the last layer must be None, "
                f"not {getattr(last, name)!r}"
            )
    if last.readout and last.neurons != decision.classes:
        raise ValueError(
            f"network decision classes must be {last.neurons}, the neurons of the readout, not {decision.classes}"
        )
    if last.neurons % decision.classes:
        raise ValueError(
            f"network decision classes must divide the {last.neurons} neurons of the last layer, "
            f"not be {decision.classes}"
        )
    if decision.by != "final" and not last.readout:
        raise ValueError(f"network decision by must be 'final' for a last layer that fires, not {decision.by!r}")
