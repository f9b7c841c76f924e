"""`spikeveil train`: a spiking network, private by DP-SGD or not, interrupted or not."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikeveil.host import training
from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cli.screens.training import TrainingBar, print_result, print_start
from spikeveil.host.cli.screens.training_plots import draw
from spikeveil.host.data.catalogue import load_dataset


@click.command(epilog="Example: spikeveil train digits-dpsgd --out runs/digits")
@click.argument("config", metavar="PRESET|CONFIG.toml")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the results.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="File or folder of the data set.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder, if there is one.")
@click.option("--epochs", type=click.IntRange(1), help="Another number of epochs.")
@click.option("--noise-multiplier", type=float, help="Another noise multiplier of DP-SGD.")
@click.option("--epsilon-limit", type=float, help="Stop before epsilon passes this.")
@click.option("--seed", type=click.IntRange(0), help="Another seed, of weights and of what is not private.")
@click.option("--non-private", is_flag=True, help="The same network trained the ordinary way, to compare with.")
@click.option("--ann", is_flag=True, help="The same structure as an artificial neural network with tanh.")
@click.option("--ledger", type=click.Path(dir_okay=False), help="Charge the whole run to this ledger before it starts.")
@click.option("-d", "--data-set", help="Name of the data set in the ledger.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads of torch (default: one, or torch's own choice where a trial step at the start is faster with it).",
)
@json_option
def train(
    config: str,
    out: Path,
    data: Path | None,
    resume: bool,
    epochs: int | None,
    noise_multiplier: float | None,
    epsilon_limit: float | None,
    seed: int | None,
    non_private: bool,
    ann: bool,
    ledger: str | None,
    data_set: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train a spiking network, or its ANN, with DP-SGD or without.

    The configuration is a PRESET or a file. Writes config.toml (everything that was used, with versions), log.json,
    plots.png, result.json and network.npz into the folder. Under DP-SGD the epsilon of all steps is shown as they are
    made and never passes a limit. An interrupted run continues with --resume: what it spent stays spent. Only the last
    step's weights are a result; no epoch is chosen by its test accuracy.
    """
    if (ledger is None) != (data_set is None):
        raise click.UsageError("--ledger and --data-set go together")
    with usage_errors():
        run_config = training.load_config(config)
        run_config = _with_changes(run_config, epochs, seed, noise_multiplier, epsilon_limit, non_private)
        run_config = run_config.as_ann() if ann else run_config
    if ledger is not None and run_config.privacy is None:
        raise click.UsageError("--ledger needs a private run: without privacy there is nothing to state")
    with usage_errors():
        records = load_dataset(run_config.data.name, data)
    out.mkdir(parents=True, exist_ok=True)
    with _interruptible() as stop:
        with usage_errors():
            run = training.RunFolder(run_config, records, out, resume=resume, threads=threads)
        if ledger is not None and data_set is not None:
            run.charge(ledger, data_set)
        _train(run, stop, as_json)


def _train(run: "training.RunFolder", stop: Callable[[], bool], as_json: bool) -> None:
    """Train and show it; with `as_json`, the result alone is on standard output, all else on the error stream."""
    console = Console(highlight=False, stderr=as_json)
    start = run.description()
    print_start(console, start)
    with TrainingBar(console, start["steps"], start["spent"], run.epsilon_text) as bar:
        record = run.train(bar.on_step, bar.on_evaluation, stop)
    log = json.loads((run.folder / "log.json").read_text())
    if log:
        draw(run.folder / "plots.png", log, record["name"])
    if not record["finished"]:
        raise click.ClickException(
            f"stopped after {record['steps_spent']} of {record['steps_planned']} steps; go on with --resume"
        )
    print_result(console, record, run.folder)
    if as_json:
        print_json(record)


def _with_changes(
    config: "training.Config",
    epochs: int | None,
    seed: int | None,
    noise_multiplier: float | None,
    epsilon_limit: float | None,
    non_private: bool,
) -> "training.Config":
    integers = {name: value for name, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    config = replace(config, **integers)  # type: ignore[arg-type]
    changes = {"noise_multiplier": noise_multiplier, "epsilon_limit": epsilon_limit}
    private = {name: value for name, value in changes.items() if value is not None}
    if private:
        if config.privacy is None or non_private:
            raise click.UsageError(f"--{next(iter(private)).replace('_', '-')} needs a private run")
        config = replace(config, privacy=replace(config.privacy, **private))  # type: ignore[arg-type]
    return config.without_privacy() if non_private else config


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM request a stop after the current step; a second one ends the process at once."""
    requests: list[int] = []

    def ask(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        requests.append(number)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
