"""The simulations of `spikeveil demo`: cores of one network on the same records, each against the golden model."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy import bool_
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options import keys
from spikeveil.host.cosim import verilator_engine
from spikeveil.host.cosim.compare import SpikeDifference, first_difference
from spikeveil.host.cosim.job import SimulationResult
from spikeveil.host.networks.digits_example import CLASSES, STEPS
from spikeveil.host.networks.release import with_decision
from spikeveil.pysim import Decision, Network
from spikeveil.pysim.model.layer import cap_inputs
from spikeveil.pysim.model.network import Result
from spikeveil.pysim.model.spec import NetworkSpec

WORKERS = 2
EPSILON = 4.0  # of a record, of the core that decides
SPIKES, DECISIONS = "Trivium", "Decisions"
Progress = Callable[[int | None], None]  # None: the simulator is being built; else the records done


@dataclass(frozen=True)
class DemoCore:
    """One build of the network and the key that it is opened with."""

    title: str
    plan: Plan
    opening: keys.Opening


@dataclass(frozen=True)
class Comparison:
    """A simulated core beside the golden model under the same key; `difference`: the first one, if any."""

    core: DemoCore
    model: Result
    result: SimulationResult
    difference: SpikeDifference | None

    @property
    def compared(self) -> int:
        """Released spikes, or decisions, that were compared."""
        return int(self.result.released.size)


def cores(spec: NetworkSpec, lanes: int, demonstration: bool) -> tuple[DemoCore, ...]:
    """Three cores that release spikes: on Trivium, on an LFSR, on the fast schedule; and one that releases decisions.

    The decisions have record epsilon `EPSILON`; their core is on Trivium and the private schedule.
    """
    make = keys.demonstration if demonstration else keys.fresh

    def core(title: str, network: NetworkSpec, source: Any, schedule: Any) -> DemoCore:
        return DemoCore(title, Plan(network, lanes, source, schedule), make(source, len(network.randomised)))

    decides = with_decision(spec, Decision.for_epsilon(EPSILON, classes=CLASSES), STEPS)
    return (
        core(SPIKES, spec, "trivium", "private"),
        core("LFSR", spec, "lfsr", "private"),
        core("Trivium, fast", spec, "trivium", "fast"),
        core(DECISIONS, decides, "trivium", "private"),
    )


def compare(core: DemoCore, spikes: NDArray[bool_], model: Result, progress: Progress) -> Comparison:
    """Build the core's simulator, run every record, and compare every released row."""
    steps = spikes.shape[1]
    progress(None)
    traced = core.title == SPIKES  # one build serves the comparison and the waveform
    verilator_engine.build(core.plan, steps, waves=traced)
    progress(0)
    result = verilator_engine.run(core.plan, spikes, core.opening.lease(), traced=traced, progress=progress)
    expected = model.released if model.decisions is None else model.decisions
    if expected is None:
        raise RuntimeError("the golden model released nothing")
    return Comparison(core, model, result, first_difference(expected, result.released))


def run_model(core: DemoCore, spikes: NDArray[bool_]) -> Result:
    """What the golden model releases under the core's key."""
    network = Network(core.plan.spec, core.opening.words())
    return network.run(spikes, lease=core.opening.number, first_record=core.opening.record)


def compare_all(
    demo_cores: Sequence[DemoCore], spikes: NDArray[bool_], models: Sequence[Result], progress: Sequence[Progress]
) -> list[Comparison]:
    """`compare` for each core, two at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [
            pool.submit(compare, core, spikes, model, report)
            for core, model, report in zip(demo_cores, models, progress, strict=True)
        ]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_wave(plan: Plan, spikes: NDArray[bool_], path: Path, opening: keys.Opening) -> SimulationResult:
    """Simulate `spikes` and write every signal to `path`. ValueError unless the key is the demonstration key."""
    if opening.origin != keys.PUBLIC:
        raise ValueError("a waveform shows the key: it is written with the demonstration key alone")
    return verilator_engine.run(plan, spikes, opening.lease(), waves=path)


def operations(spec: NetworkSpec, spikes: NDArray[bool_], model: Result) -> list[int]:
    """Useful synaptic operations of each layer: an input spike that counts, times a neuron that it reaches."""
    inputs = [spikes, *model.sent[:-1]]
    pairs = zip(inputs, spec.layers, strict=True)
    return [int(cap_inputs(x, layer.input_cap).sum()) * layer.neurons for x, layer in pairs]


def utilisation(comparison: Comparison, spikes: NDArray[bool_]) -> list[float]:
    """Operations over lanes times cycles, of each layer, over the whole run."""
    plan = comparison.core.plan
    cycles = int(comparison.result.stamps[-1])
    return [
        done / (cycles * layout.lanes)
        for done, layout in zip(operations(plan.spec, spikes, comparison.model), plan.layer_lanes, strict=True)
    ]
