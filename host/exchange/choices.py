"""Choices that a NIR file leaves open: the length of a step, the decay, the reset, the comparison."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from spikeveil.host.exchange.nodes import Node
from spikeveil.pysim.model import checks

WORDS: dict[str, tuple[str, ...]] = {
    "decay": ("euler", "exp"),
    "reset": ("zero", "subtract"),
    "reset_timing": ("immediate", "delayed", "snntorch"),
    "compare": ("gt", "ge"),
    "gain": ("dt-over-tau", "one-minus-beta", "r", "one"),
    "initial": ("zero", "leak", "reset"),
}
USUAL = {
    "dt": "snnTorch and SpikingJelly write 1e-4, Norse 1e-3 (its 1.1 writes time constants so that 1e-6 is meant), "
    "Sinabs counts in steps (1), Rockpool in seconds",
    "decay": "snnTorch, SpikingJelly and Norse mean euler (1 - dt/tau), Sinabs and Rockpool exp (exp(-dt/tau))",
    "reset": "snnTorch, Sinabs and Rockpool subtract by default, SpikingJelly and Norse reset to v_reset (zero)",
    "reset_timing": "snnTorch's default is delayed, its reset_delay=False is snntorch (zero: immediate), the others "
    "are immediate",
    "compare": "snnTorch, Norse and NIR's own equations mean gt, SpikingJelly and Sinabs ge",
    "initial": "SpikingJelly starts at v_reset (reset), Norse at v_leak (leak), snnTorch and Sinabs at zero",
}


@dataclass(frozen=True)
class Choices:
    """How the equations of a file become steps. A choice that is None is refused where the graph needs it.

    - `dt`: the length of a step, in the unit of the file's time constants.
    - `decay`: beta is 1 - dt/tau (`euler`) or exp(-dt/tau) (`exp`).
    - `reset`: a spike sets v to v_reset (`zero`), or takes the threshold away (`subtract`).
    - `reset_timing`: the reset comes in the step of the spike (`immediate`) or in the next one (`delayed`, snnTorch's
      default). `snntorch` is that library's reset_delay=False: a neuron that is still over its threshold after its
      reset is compared, in the next step, with twice the threshold.
    - `compare`: a spike where v > threshold (`gt`) or v >= threshold (`ge`).
    - `gain`: what multiplies the input of a leaky neuron: r dt/tau (`dt-over-tau`), r (1 - beta) (`one-minus-beta`, an
      exact step with constant input), r (`r`) or nothing (`one`). Exporters of euler steps mean the first; Sinabs the
      second with its `norm_input` and the third without; Rockpool's neurons the last, whatever r its files hold.
    - `initial`: where potentials start; asked only where v_leak or v_reset is not zero.
    - `resets`: node name to `reset`, for nodes that differ from the others.
    """

    dt: float | None = None
    decay: str | None = None
    reset: str | None = None
    reset_timing: str | None = None
    compare: str | None = None
    gain: str = "dt-over-tau"
    initial: str | None = None
    resets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "resets", dict(checks.instance("resets", self.resets, Mapping)))
        for node, value in self.resets.items():
            checks.choice(f"reset of node {node!r}", value, WORDS["reset"])
        if self.dt is not None and not 0 < self.dt < float("inf"):
            raise ValueError(f"dt must be a number above 0, not {self.dt!r}")
        for name, values in WORDS.items():
            value = getattr(self, name)
            if value is not None:
                checks.choice(name.replace("_", "-"), value, values)

    def to_dict(self) -> dict[str, Any]:
        """The choices as plain data for a network file; those not made are left out."""
        return {name: value for name, value in asdict(self).items() if value not in (None, {})}

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Choices":
        """The choices that `record` wrote. ValueError for another."""
        names = {each.name for each in fields(cls)}
        if not isinstance(record, dict) or set(record) - names:
            raise ValueError(f"choices must be of {', '.join(sorted(names))}, not {record!r}")
        return cls(**record)

    def of_node(self, name: str) -> "Choices":
        """The choices for one node."""
        return replace(self, reset=self.resets[name], resets={}) if name in self.resets else self

    def require(self, chain: tuple[Node, ...]) -> None:
        """Raise ValueError, one sentence for all that is missing, where these nodes need a choice that is not made."""
        unknown = sorted(set(self.resets) - {node.name for node in chain})
        if unknown:
            raise ValueError(f"reset must be of a node of the graph, and {unknown[0]!r} is none")
        everywhere = all(node.name in self.resets for node in chain if node.kind in ("IF", "LIF"))
        missing = [name for name in needed_choices(chain) if getattr(self, name) is None]
        missing = [name for name in missing if name != "reset" or not everywhere]
        if missing:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
            usual = "; ".join(f"{name.replace('_', '-')}: {USUAL[name]}" for name in missing)
            raise ValueError(f"the file does not say {options}, and it is not guessed; what exporters use: {usual}")


def needed_choices(chain: tuple[Node, ...]) -> list[str]:
    """Names of the choices that these nodes need."""
    kinds = {node.kind for node in chain}
    names = []
    if kinds & {"IF", "LIF", "I", "LI"}:
        names.append("dt")
    if kinds & {"LIF", "LI"}:
        names.append("decay")
    if kinds & {"IF", "LIF"}:
        names += ["reset", "reset_timing", "compare"]
    if any((node.array(field) != 0).any() for node in chain for field in ("v_leak", "v_reset") if field in node.fields):
        names.append("initial")
    return names
