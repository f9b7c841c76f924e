"""`spikeveil run`: records through a device at a serial port, each lease of them charged to the ledger first."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from spikeveil.host.cli.errors import command_error, sentence_of, usage_errors
from spikeveil.host.cli.options.common import json_option, stack
from spikeveil.host.cli.options.data import Records, data_options, load_records
from spikeveil.host.cli.options.device import device_options, read_timing
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.screens.run import print_run, progress_bar
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError, LeaseAhead
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.record_run import RunResult
from spikeveil.host.device.results import Results, npz
from spikeveil.host.locks import exclusive
from spikeveil.host.networks import catalogue
from spikeveil.host.privacy import report_files
from spikeveil.host.privacy.budget import BudgetExceeded
from spikeveil.host.privacy.ledger import (
    Amount,
    Ledger,
    LedgerError,
    PendingLedger,
    amount,
    normal_name,
    probability,
)
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.model.files import write_atomically

EXAMPLE = (
    "Example: spikeveil run digits --port /dev/ttyUSB0 --data digits --ledger my.ledger -d digits --budget 1000 "
    "-o released.npz"
)
FILE = click.Path(dir_okay=False)
Limits = tuple[Amount, Fraction]
LEDGER_REFUSED = 5  # exit code: the ledger refused the charge

ledger_options = stack(
    click.option("--ledger", required=True, type=FILE, help="The ledger to charge; made by --budget where missing."),
    click.option("-d", "--data-set", required=True, help="Name of the data set whose budgets are charged."),
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
        "--key-file",
        type=FILE,
        help="The key in hexadecimal, of mode 600; without it a fresh one a lease, kept nowhere.",
    ),
    click.option(
        "--insecure-demonstration",
        "demonstration",
        is_flag=True,
        help="Run a device that protects nothing (an LFSR, the fast schedule), and charge nominal figures.",
    ),
)


@click.command(epilog=EXAMPLE)
@network_argument
@data_options
@click.option("-o", "--output", required=True, type=FILE, help="Write what was released to this .npz file.")
@device_options
@ledger_options
@json_option
def run(network: str, **options: Any) -> None:
    """Run records through a device; show what was released and spent.

    Every lease is committed to the ledger before the device may release anything under it. What has been received is
    kept beside the output in OUTPUT.partial: after a failure the same command resumes from there and pays only for the
    records that are still missing.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    output = Path(options["output"])
    with _lock(output):
        if output.exists():
            raise click.UsageError(f"output {output} is there already: a run does not write over a released file")
        spec = catalogue.load(network)
        records = load_records(spec, options, network)
        result = _run_and_write(output, spec, records, options)
    report = _report(result, records, options)
    if options["as_json"]:
        print_json(report | {"claim": result.claim.to_dict()})
    else:
        print_run(report, result.claim, records.classes)


@contextmanager
def _lock(output: Path) -> Iterator[None]:
    """Keep other runs from this output, and from what is kept beside it, until the block ends."""
    try:
        with exclusive(output.with_name(output.name + ".lock")):
            yield
    except BlockingIOError:
        raise command_error(f"output {output} is another run's, which has not ended: name another one", 1) from None


def _run_and_write(output: Path, spec: NetworkSpec, records: Records, options: dict[str, Any]) -> RunResult:
    """Check the options, the port and the device first: a refusal leaves no ledger, no budget and no partial output."""
    limits = _read_limits(options)
    results = Results(spec, records.spikes, output.with_name(output.name + ".partial"))
    with (
        _reported(results),
        Device.open(options["port"], baud=options["baud"], timing=read_timing(options)) as device,
    ):
        device.load(spec)
        device.require_private(options["demonstration"])
        secrets = _secrets(device, options)
        device.require_private(options["demonstration"], secrets)
        with _open_ledger(device, limits, records, options) as ledger:
            result = _run(device, ledger, records, secrets, results, options)
    _write(output, result, results)
    return result


def _run(
    device: Device, ledger: Ledger, records: Records, secrets: Secrets, results: Results, options: dict[str, Any]
) -> RunResult:
    with progress_bar(len(records.spikes)) as show:
        return device.run(
            records.spikes,
            ledger=ledger,
            data_set=options["data_set"],
            delta=options["delta"],
            lease_records=options["lease_records"],
            demonstration=options["demonstration"],
            secrets=secrets,
            results=results,
            progress=show,
            data=records.whole,
            first_record=records.first,
        )


def _secrets(device: Device, options: dict[str, Any]) -> Secrets:
    """The key that was given; without one, a fresh one for each lease, which is not stored."""
    if options["key_file"]:
        return Secrets.file(options["key_file"], device.lfsr, device.identity.word_sources)
    return Secrets.fresh(device.lfsr, device.identity.word_sources)


def _read_limits(options: dict[str, Any]) -> Limits | None:
    """The limits that --budget names."""
    with usage_errors():
        probability("delta", options["delta"])
        normal_name(options["data_set"])
        if options["budget"] is None:
            return None
        return amount("budget", options["budget"]), probability("budget delta", options["budget_delta"])


@contextmanager
def _open_ledger(device: Device, limits: Limits | None, records: Records, options: dict[str, Any]) -> Iterator[Ledger]:
    """The ledger; with --budget it is made with the first lease, and so is the budget, which is bound to the data."""
    path, data_set = Path(options["ledger"]), options["data_set"]
    if limits and not path.exists() and (lease := device.status().lease):
        raise LeaseAhead(
            f"the device has seen lease {lease} and ledger {path} ends at lease 0: it served another ledger"
        )
    with _new_or_known(path, data_set, limits, records) as ledger:
        yield ledger


def _new_or_known(path: Path, data_set: str, limits: Limits | None, records: Records) -> Ledger:
    """The ledger at `path`. A new budget, and a new file, appear with the first lease: a refused one leaves neither."""
    whole = records.spikes if records.whole is None else records.whole
    if limits is not None and not path.exists():
        return PendingLedger(path, data_set, *limits, whole)
    with Ledger(path, create=False) as known:
        balances = [one for balances in known.budgets(data_set).values() for one in balances]
    if limits is None or ("record", limits[0]) in {(one.unit.value, one.epsilon_limit) for one in balances}:
        return Ledger(path, create=False)
    if balances:
        raise LedgerError(f"data set {data_set!r} has another budget already, and a budget never changes")
    return PendingLedger(path, data_set, *limits, whole)


@contextmanager
def _reported(results: Results) -> Iterator[None]:
    """Report failures with what was received; a refusal of the ledger has an exit code of its own."""
    try:
        yield
    except (BudgetExceeded, DeviceError, LedgerError) as error:
        count, total = int(results.received.sum()), len(results.received)
        note = f"; {count} of {total} records are kept in {results.path}" if count else ""
        exit_code = getattr(error, "exit_code", LEDGER_REFUSED)
        raise command_error(f"{sentence_of(error)}{note}", exit_code) from error
    finally:
        if not results.sent.any():
            results.discard()  # nothing was spent: there is nothing to resume


def _write(output: Path, result: RunResult, results: Results) -> None:
    """Write the released file, then remove the partial one; decisions with their mechanism, for `aggregate`."""
    content = {"leases": result.leases, "places": result.lease_indices, "fingerprint": results.spec.fingerprint}
    claim, decision = json.dumps(result.claim.to_dict()), results.spec.decision
    if result.decisions is not None and decision is not None:
        report_files.write_npz(output, result.decisions, decision, **content, claim=claim)
    else:
        content["readout" if results.readout else "released"] = result.released
        write_atomically(output, npz(**content, claim=claim))
    results.discard()


def _report(result: RunResult, records: Records, options: dict[str, Any]) -> dict[str, Any]:
    spikes = "spikes" if result.released.dtype == bool else "potentials"
    return {
        "data": records.name,
        "records": len(result.leases),
        "steps": records.spikes.shape[1],
        "releases": spikes if result.decisions is None else "decisions",
        "leases": len(set(result.leases.tolist())),
        "released_accuracy": records.accuracy(result.released),
        "file": options["output"],
    }
