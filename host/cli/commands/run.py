"""`spikeveil run`: records through a device at a serial port, each lease of them paid for in the ledger first."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.device import device_options, timing
from spikeveil.host.cli.options.network import data_options, load_records, network_argument, stack
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.cli.refusals import refusal
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.host.cli.options.network import Records
    from spikeveil.host.device.driver import Device
    from spikeveil.host.device.keys import Secrets
    from spikeveil.host.device.record_run import RunProgress, RunResult
    from spikeveil.host.device.results import Results
    from spikeveil.host.privacy.ledger import Ledger
    from spikeveil.pysim.model.spec import NetworkSpec

EXAMPLE = (
    "Example: spikeveil run digits --port /dev/ttyUSB0 --data digits --ledger my.ledger -d digits --budget 2e5 "
    "-o released.npz"
)
FILE = click.Path(dir_okay=False)
LEDGER_REFUSED = 5  # exit code: the ledger did not pay

paying_options = stack(
    click.option("--ledger", required=True, type=FILE, help="The ledger that pays; made by --budget where missing."),
    click.option("-d", "--data-set", required=True, help="Name of the data set whose budgets pay."),
    click.option("--budget", help="Give the data set this epsilon at record level, where it has no budget yet."),
    click.option("--budget-delta", default="1e-3", show_default=True, help="The delta of that budget."),
    click.option("--delta", default="1e-6", show_default=True, help="Delta of each lease; 0 gives the sum."),
    click.option(
        "--lease-records",
        type=click.IntRange(1),
        default=64,
        show_default=True,
        help="Records of a lease: what a crash loses at the most.",
    ),
    click.option(
        "--key-file", type=FILE, help="The key in hexadecimal, of mode 600; without it LEDGER.key, made once."
    ),
    click.option(
        "--insecure-demonstration",
        "demonstration",
        is_flag=True,
        help="Run a device that protects nothing (an LFSR, the fast schedule), and book nominal figures.",
    ),
)


@click.command(epilog=EXAMPLE)
@network_argument
@data_options
@click.option("-o", "--output", required=True, type=FILE, help="Write what was released to this .npz file.")
@device_options
@paying_options
@json_option
def run(network: str, **options: Any) -> None:
    """Run records through the device at PORT and show what was spent, with the four-part claim.

    Every lease is committed to the ledger before the device may release anything under it. What has been received is
    kept beside the output in OUTPUT.partial: the same command goes on from there after a failure, and pays for the
    records that are still missing.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    output = Path(options["output"])
    with _alone(output):
        if output.exists():
            raise click.UsageError(f"output {output} is there already: a run does not write over a released file")
        spec = load_network(network)
        records = load_records(options["data"], spec.inputs, options["skip"], options["records"])
        result = _released(output, spec, records, options)
    _print(result, records, options)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """No other run writes this output, or what is kept beside it, until this one has ended."""
    from spikeveil.host.locks import exclusive

    try:
        with exclusive(output.with_name(output.name + ".lock")):
            yield
    except BlockingIOError:
        raise refusal(f"output {output} is another run's, which has not ended: name another one", 1) from None


def _released(output: Path, spec: "NetworkSpec", records: "Records", options: dict[str, Any]) -> "RunResult":
    """What the run released, written."""
    from spikeveil.host.device.results import Results

    results = Results(spec, records.spikes, output.with_name(output.name + ".partial"))
    with _reported(results), _ledger(options) as ledger:
        result = _run(ledger, records, results, options)
    _write(output, result, results)
    return result


def _run(ledger: "Ledger", records: "Records", results: "Results", options: dict[str, Any]) -> "RunResult":
    from spikeveil.host.device.driver import Device

    with Device.open(options["port"], baud=options["baud"], timing=timing(options)) as device:
        device.load(results.spec)
        with _bar(len(records.spikes)) as show:
            return device.run(
                records.spikes,
                ledger=ledger,
                budget=options["data_set"],
                delta=options["delta"],
                lease_records=options["lease_records"],
                demonstration=options["demonstration"],
                secrets=_secrets(device, options),
                results=results,
                progress=show,
            )


def _secrets(device: "Device", options: dict[str, Any]) -> "Secrets":
    """The key that was given, or the ledger's own; an LFSR's seeds serve one lease and are kept nowhere."""
    from spikeveil.host.device.keys import Secrets

    flippers = device.identity.flippers
    if options["key_file"]:
        return Secrets.file(options["key_file"], device.lfsr, flippers)
    if device.lfsr:
        return Secrets.fresh(True, flippers)
    return Secrets.file(options["ledger"] + ".key", False, flippers, make=True)


@contextmanager
def _ledger(options: dict[str, Any]) -> Iterator["Ledger"]:
    """The ledger; with --budget it is made where it is missing, and so is the budget."""
    from spikeveil.host.cli.refusals import refusals
    from spikeveil.host.privacy.ledger import Ledger, LedgerError, amount, probability

    wanted, name = options["budget"], options["data_set"]
    with refusals():
        probability("delta", options["delta"])
        limits = wanted and (amount("budget", wanted), probability("budget delta", options["budget_delta"]))
    with Ledger(options["ledger"], create=bool(wanted)) as ledger:
        made = {(one.unit.value, one.epsilon_limit) for one in ledger.budgets(name).get(name, ())}
        if limits and not made:
            ledger.create_budget(name, "record", *limits)
        elif limits and ("record", limits[0]) not in made:
            raise LedgerError(f"data set {name!r} has another budget already, and a budget never changes")
        yield ledger


@contextmanager
def _reported(results: "Results") -> Iterator[None]:
    """Failures with what was received; those of the ledger with an exit code of their own."""
    from spikeveil.host.cli.refusals import in_words
    from spikeveil.host.device.errors import DeviceError
    from spikeveil.host.privacy.budget import BudgetExceeded
    from spikeveil.host.privacy.ledger import LedgerError

    try:
        yield
    except (BudgetExceeded, DeviceError, LedgerError) as error:
        count, total = int(results.received.sum()), len(results.received)
        kept = f"; {count} of {total} records are kept in {results.path}" if count else ""
        raise refusal(f"{in_words(error)}{kept}", getattr(error, "exit_code", LEDGER_REFUSED)) from error
    finally:
        if not results.sent.any():
            results.discard()  # nothing was spent: there is nothing to remember


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A progress bar: records, steps a second, and the payload's share of the line."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("records"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(state: "RunProgress") -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = f"{state.steps / elapsed:,.0f} steps a second" if elapsed else ""
            share = f", payload {100 * state.payload / state.line:.0f} % of the line" if state.line else ""
            bar.update(task, completed=state.records, description=f"lease {state.lease}: {rate}{share}")

        yield show


def _write(output: Path, result: "RunResult", results: "Results") -> None:
    """The released file first, then the partial one goes."""
    from spikeveil.host.device.results import npz
    from spikeveil.pysim.model.files import write_atomically

    name = "readout" if results.readout else "released"
    content = {name: result.released, "leases": result.leases, "places": result.lease_indices}
    claim = json.dumps(result.claim.record())
    write_atomically(output, npz(**content, fingerprint=results.spec.fingerprint, claim=claim))
    results.discard()


def _print(result: "RunResult", records: "Records", options: dict[str, Any]) -> None:
    found: dict[str, Any] = {
        "data": records.name,
        "records": len(result.released),
        "steps": result.released.shape[1],
        "leases": len(set(result.leases.tolist())),
        "file": options["output"],
    }
    if options["as_json"]:
        click.echo(json.dumps(found | {"claim": result.claim.record()}, indent=2))
        return
    from rich.console import Console

    from spikeveil.host.cli.screens.claim import print_claim

    console = Console(highlight=False)
    console.print(
        "{records:,} records of {steps:,} steps under {leases} leases: released spikes in {file}".format_map(found)
    )
    print_claim(console, result.claim, "Claim for one of these records", records.classes)
