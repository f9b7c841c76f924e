"""`spikeveil demo`: the main job, from trained network to compared gateware, with its claim."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import delta_option, lanes_option, read_delta
from spikeveil.host.cli.options.privacy import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from spikeveil.host.cli.demo_run import Core, Verdict
    from spikeveil.host.privacy.claim import Claim

SHOWN = 3  # records in the raster plot
RASTER, WAVE = "raster.png", "digits.vcd"


@click.command(epilog="Example: spikeveil demo --images 40 --output out")
@click.option("--images", type=click.IntRange(1), help="How many test images; without it, all of them.")
@click.option("-o", "--output", type=click.Path(file_okay=False), default="out", show_default=True, help="Folder.")
@click.option("--demonstration-key", is_flag=True, help="The published key, so that every figure can be reproduced.")
@lanes_option
@delta_option
@json_option
def demo(**options: Any) -> None:
    """Run a trained network on real images: golden model against simulated gateware, every released spike.

    Builds three cores of the network (Trivium and LFSR on the fixed cadence, Trivium on the fast schedule), simulates
    each in Verilator, compares, and writes a raster plot and a waveform. Exit code 1 where a spike differs, where the
    simulator is missing, or where a file cannot be written.
    """
    from rich.console import Console

    from spikeveil.host.cosim import verilator_build

    verilator_build.verilator_root()  # what is missing is said before anything is computed
    console = Console(quiet=options["as_json"], highlight=False)
    delta, folder = read_delta(options["delta"]), Path(options["output"])
    folder.mkdir(parents=True, exist_ok=True)
    report = _run(console, options["images"], options["lanes"], options["demonstration_key"], delta, folder)
    if options["as_json"]:
        click.echo(json.dumps(report, indent=2))
    differing = [one for one in report["cores"] if one["first_difference"]]
    if differing:
        raise click.ClickException(
            f"the gateware does not release what the model says; {differing[0]['core']}, "
            f"{differing[0]['first_difference']}"
        )


def _run(
    console: "Console", images: int | None, lanes: int, demonstration: bool, delta: float, folder: Path
) -> dict[str, Any]:
    from spikeveil.host.cli import demo_run
    from spikeveil.host.cli.options import keys
    from spikeveil.host.cli.screens import demo as demo_screen
    from spikeveil.host.cli.screens import demo_plots
    from spikeveil.host.data import accuracy, classify
    from spikeveil.host.networks.digits_example import CLASSES, held_out, load_float, load_network

    start = time.perf_counter()
    spec, (spikes, labels) = load_network(), held_out()
    spikes, labels = spikes[:images], labels[:images]
    demo_screen.header(console, spec, *spikes.shape[:2])
    chosen = demo_run.cores(spec, lanes, demonstration)
    models = [demo_run.model_of(core, spikes) for core in chosen]
    verdicts = _simulate(console, chosen, spikes, models)
    wave = demo_run.write_wave(chosen[0].plan, spikes[:1], folder / WAVE, keys.demonstration("trivium", 1))

    def right(rows: Any) -> float:
        return accuracy(classify(rows, CLASSES), labels)

    shares = [
        ("float network", right(load_float().run(spikes)[-1]), "as trained"),
        ("integer network", right(models[0].raw[-1]), "raw spikes, which stay on the chip"),
        *(
            (f"released, {one.core.title}", right(one.outcome.released), "flipped, out of the gateware")
            for one in verdicts[:2]
        ),
    ]
    demo_screen.accuracies(console, shares)
    demo_screen.comparison(console, verdicts)
    busy = demo_run.utilisation(verdicts[2], spikes)
    demo_screen.utilisation(console, busy)
    claims = [(core.title, _claim(core, spikes.shape[1], delta)) for core in chosen]
    demo_screen.claims(console, claims[:2], CLASSES)
    shown = slice(0, SHOWN)
    released = verdicts[0].outcome.released
    demo_plots.raster(
        folder / RASTER,
        spikes[shown],
        models[0].raw[-1][shown],
        released[shown],
        labels[shown],
        classify(released[shown], CLASSES),
        CLASSES,
        _caption(claims[0][1]),
    )
    files = [
        (folder / RASTER, "raw spikes beside released ones"),
        (folder / WAVE, f"every signal of {wave.cycles:,} cycles, for GTKWave or Surfer (demonstration key)"),
    ]
    demo_screen.closing(console, verdicts, files, time.perf_counter() - start)
    return {
        "fingerprint": spec.fingerprint,
        "images": len(spikes),
        "accuracy": {name: share for name, share, _ in shares},
        "cores": [_record(verdict, claim) for verdict, (_, claim) in zip(verdicts, claims, strict=True)],
        "lane_utilisation_fast": busy,
        "files": [str(path) for path, _ in files],
    }


def _simulate(console: "Console", chosen: "tuple[Core, ...]", spikes: Any, models: Any) -> "list[Verdict]":
    """Every core, with a progress bar each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from spikeveil.host.cli.demo_run import judge_all
    from spikeveil.host.cosim.verilator_build import cache_folder

    if not cache_folder().exists():
        console.print("First run on this machine: three simulators are compiled, which takes a minute or two.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=console.quiet)

    def hear(task: Any, title: str) -> Callable[[int | None], None]:
        def heard(done: int | None) -> None:
            what = "building the simulator" if done is None else "images simulated"
            total = None if done is None else len(spikes)
            progress.update(task, description=f"{title}: {what}", completed=done or 0, total=total)

        return heard

    with ExitStack() as stack:
        stack.enter_context(progress)
        tasks = [hear(progress.add_task(f"{core.title}: waiting", total=None), core.title) for core in chosen]
        return judge_all(chosen, spikes, models, tasks)


def _claim(core: "Core", steps: int, delta: float) -> "Claim":
    from spikeveil.host.cli.options.keys import PUBLIC
    from spikeveil.host.privacy.claim import Claim

    plan, origin = core.plan, core.opening.origin
    return Claim.of(
        plan.spec,
        steps,
        source=plan.source,
        schedule=plan.schedule,
        delta=delta,
        key_origin=origin,
        key_public=origin == PUBLIC,
    )


def _caption(claim: "Claim") -> str:
    from spikeveil.host.privacy.units import Unit
    from spikeveil.host.privacy.wording import mechanism_text, up

    spike, record = claim.nominal(Unit.SPIKE), claim.nominal(Unit.RECORD)
    mechanism = "" if claim.wall is None else mechanism_text(claim.wall.mechanism)
    return (
        f"Output spikes of the digits network before and after the flipper (Trivium core, simulated in Verilator)\n"
        f"{mechanism}; epsilon {up(spike.epsilon)} for ONE spike, {up(record.epsilon)} for the whole record at "
        f"delta {up(claim.delta)}"
    )


def _record(verdict: "Verdict", claim: "Claim") -> dict[str, Any]:
    outcome, plan = verdict.outcome, verdict.core.plan
    return {
        "core": verdict.core.title,
        "source": plan.source,
        "schedule": plan.schedule,
        "lanes": plan.lanes,
        "spikes_compared": verdict.compared,
        "different": 0 if verdict.difference is None else verdict.difference.count,
        "first_difference": None if verdict.difference is None else str(verdict.difference),
        "cycles_an_image": outcome.cycles_per_record,
        "cycles_simulated": outcome.cycles,
        "simulation_seconds": outcome.seconds,
        "claim": claim.record(),
    }
