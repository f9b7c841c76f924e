"""A private chip in a few lines: a network, what it releases, and the board that it is for."""

import hashlib
import html
import secrets
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.boards.board import Board
from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host import cosim
from spikeveil.host.bitstream import output
from spikeveil.host.bitstream.estimate import Estimate, estimate_resources
from spikeveil.host.data.decoder import accuracy, decide
from spikeveil.host.known_keys import draw_secret
from spikeveil.host.networks.release import with_decision, with_spikes
from spikeveil.host.privacy.claim import Claim
from spikeveil.pysim import FlipSpec, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.source import FIRST_SIMULATED_LEASE
from spikeveil.pysim.model.trivium import port_value

DEFAULT_LANES = 16
KEY_BYTES = 10
RASTER_ROWS, RASTER_STEPS = 64, 200  # at most, in a notebook


@dataclass(frozen=True)
class _Opening:
    """Key and lease of one simulation; the lease is of those that no ledger grants."""

    key: bytes = field(repr=False)
    lease: int

    @classmethod
    def draw(cls) -> "_Opening":

        return cls(draw_secret(KEY_BYTES), FIRST_SIMULATED_LEASE + secrets.randbelow(FIRST_SIMULATED_LEASE))


class _Memory:
    """What a chip keeps between calls: the opening drawn for the last input, and the report of the last build."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.digest = ""
        self.opening: _Opening | None = None
        self.spikes: NDArray[np.bool_] | None = None
        self.report: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False, init=False)
class Chip:
    """A network with what it releases, on a board.

    | argument | meaning |
    |---|---|
    | `net` | the network; what it releases is replaced by `release`, its weights are not changed |
    | `release` | a `Decision`, a `OneHotDecision`, or a `FlipSpec` of the last layer; None: `net` is private already |
    | `steps` | time steps of a record; needed unless `net` has them |
    | `board` | a name of `spikeveil boards`, FILE.py:NAME, or None for a chip that is only simulated |
    | `lanes` | neurons of a layer computed in parallel, 1 to 64; None: 16 to simulate and estimate, the most that fit \
to build |
    | `loadable` | weights come over the link after power-on instead of being built in |
    | `delta` | delta of the claim; a decision's is 0 |

    Simulations run under fresh keys and under leases that no ledger grants; nothing is charged, so they are for public
    data. ValueError, one sentence, where a part does not fit another.

    >>> import numpy as np, spikeveil
    >>> net = spikeveil.from_arrays([np.eye(4), np.eye(4)])
    >>> chip = spikeveil.Chip(net, release=spikeveil.Decision.for_epsilon(4, classes=4), steps=16)
    >>> chip.claim.epsilon() <= 4  # of a whole record
    True
    >>> x = np.random.default_rng(1).random((5, 16, 4)) < 0.5
    >>> chip.predict(x).shape
    (5,)
    """

    network: NetworkSpec
    steps: int
    board: Board | None
    lanes: int | None
    loadable: bool
    delta: float
    _memory: _Memory = field(repr=False)

    def __init__(
        self,
        net: NetworkSpec,
        release: RandomisedDecision | FlipSpec | None = None,
        steps: int | None = None,
        board: str | Board | None = None,
        lanes: int | None = None,
        *,
        loadable: bool = False,
        delta: float = 1e-6,
    ) -> None:
        checks.instance("chip net", net, NetworkSpec)
        length = net.steps if steps is None else checks.integer("chip steps", steps, 1, 65535)
        if length is None:
            raise ValueError("chip steps must be given, the time steps of a record, where the network has none")
        network = _released(net, release, length)
        network.require_private()
        values = {
            "network": network,
            "steps": length,
            "board": _find_board(board),
            "lanes": None if lanes is None else checks.integer("chip lanes", lanes, 1, 64),
            "loadable": checks.flag("chip loadable", loadable),
            "delta": delta,
            "_memory": _Memory(),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        _ = self.claim  # refuses a delta out of range here, and not in the first report

    @property
    def claim(self) -> Claim:
        """The privacy claim for one record on a device with a fresh Trivium key, in four parts."""

        return Claim.of(self.network, self.steps, source="trivium", delta=self.delta)

    @property
    def plan(self) -> Plan:
        """The network and how it is simulated and estimated."""

        return Plan(self.network, DEFAULT_LANES if self.lanes is None else self.lanes, loadable=self.loadable)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """What the golden model releases for input spikes `x` (records, steps, inputs) of 0 and 1.

        Decisions (records,), one-hot words (records, classes), or flipped spikes (records, steps, neurons). The key and
        the lease are those that `simulate` uses for this `x`; another `x` draws new ones.
        """
        spikes, opening = self._open(x)
        result = Network(self.network, TriviumSource(opening.key)).run(spikes, lease=opening.lease)
        released = result.released if result.decisions is None else result.decisions
        if released is None:
            raise ValueError("chip network must release decisions or spikes, not the potentials of a readout")
        return released

    def simulate(self, x: ArrayLike, engine: str = "verilator") -> NDArray[Any]:
        """What the gateware releases for `x`, as `predict`; `engine`: `verilator` (a compiler) or `amaranth` (slow)."""

        checks.choice("chip engine", engine, ("verilator", "amaranth"))
        spikes, opening = self._open(x)
        lease = cosim.LeasePorts(number=opening.lease, key=port_value(opening.key, "key"))
        plan = replace(self.plan, loadable=False)  # the core alone: the device's loader is not simulated here
        run = cosim.run_in_verilator if engine == "verilator" else cosim.run_in_amaranth
        released: NDArray[Any] = run(plan, spikes, lease).released
        return released

    def accuracy(self, x: ArrayLike, labels: ArrayLike, classes: int | None = None) -> float:
        """The share of records whose released class is their label; `labels` (records,) integers from 0.

        `classes`: of flipped spikes; by default one an output neuron.
        """

        decision = self.network.decision
        count = decision.classes if decision is not None else classes or self.network.outputs
        return accuracy(decide(self.predict(x), count), np.asarray(labels, np.int64))

    def estimate(self) -> Estimate:
        """Estimated resources on the board, without running a tool. ValueError where the chip has no board."""

        return estimate_resources(self.plan, self._board())

    def build(self, folder: str | Path, seed: int = 1) -> Path:
        """Build the bitstream and copy it and `report.json` into `folder`; its path.

        Minutes. Finished stages are kept in the user's cache folder. BuildError where it does not fit or misses its
        clock, or where a tool is missing.
        """

        path, report = output.build_to(self.plan, self._board(), Path(folder), self.steps, lanes=self.lanes, seed=seed)
        self._memory.report = report
        return path

    @property
    def report(self) -> dict[str, Any]:
        """The report of the last `build`: resources, clock, parts, timing. ValueError before the first one."""
        if self._memory.report is None:
            raise ValueError("chip report is there after `build`, and nothing was built yet")
        return dict(self._memory.report)

    def save(self, path: str | Path) -> None:
        """Write the network to a .snn file, for the commands."""
        self.network.save(path, {"made_by": "spikeveil.Chip", "steps": self.steps})

    def _board(self) -> Board:
        if self.board is None:
            raise ValueError("chip board must be given to estimate or build, such as board='icebreaker'")
        return self.board

    def _open(self, x: ArrayLike) -> tuple[NDArray[np.bool_], _Opening]:
        """`x` as spikes, and the key and lease that belong to it."""
        spikes = checks.spikes(x, self.network.inputs)
        if spikes.shape[1] != self.steps:
            raise ValueError(f"chip x must have the {self.steps} steps of a record, not {spikes.shape[1]}")
        digest = hashlib.sha256(str(spikes.shape).encode() + np.packbits(spikes).tobytes()).hexdigest()
        memory = self._memory
        with memory.lock:
            if memory.opening is None or memory.digest != digest:
                memory.digest, memory.opening, memory.spikes = digest, _Opening.draw(), spikes
            return spikes, memory.opening

    def _repr_html_(self) -> str:
        """Claim, estimated resources and the input of the first record, for notebooks."""
        rows = "".join(_row(name, text) for name, text in self.claim.parts().items())
        parts = [f"<table>{rows}</table>"]
        if self.board is not None:
            resources = {
                name: f"about {figure.value} of {self.board.chip.available(name)}"
                for name, figure in self.estimate().resources.items()
            }
            rows = "".join(_row(name, text) for name, text in resources.items())
            parts.append(f"<p>{html.escape(self.board.title)}, estimated:</p><table>{rows}</table>")
        if self._memory.spikes is not None:
            parts.append(_raster(self._memory.spikes[0]))
        return "\n".join(parts)


def _released(net: NetworkSpec, release: RandomisedDecision | FlipSpec | None, steps: int) -> NetworkSpec:
    """`net` with `release` in place of what it released."""
    if release is None:
        if net.steps is not None and net.steps != steps:
            raise ValueError(f"chip steps must be the {net.steps} of the network's records, not {steps}")
        return net
    if isinstance(release, RandomisedDecision):
        return with_decision(net, release, steps)
    return with_spikes(net, checks.instance("chip release", release, FlipSpec))


def _find_board(board: str | Board | None) -> Board | None:
    return find(board) if isinstance(board, str) else board


def _row(name: str, text: str) -> str:
    return f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"


def _raster(spikes: NDArray[np.bool_]) -> str:
    """Input spikes (steps, inputs) as an SVG raster: a dot a spike, steps to the right, inputs downwards."""
    shown = spikes[:RASTER_STEPS, :RASTER_ROWS]
    dots = "".join(f"<rect x='{4 * step}' y='{3 * row}' width='3' height='2'/>" for step, row in np.argwhere(shown))
    height, width = 3 * shown.shape[1], 4 * shown.shape[0]
    return (
        f"<p>input spikes of the first record, {shown.shape[0]} steps of {shown.shape[1]} inputs:</p>"
        f"<svg width='{width}' height='{height}' role='img' aria-label='input spikes'>{dots}</svg>"
    )
