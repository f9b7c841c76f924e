"""`spikeveil budget`: the ledger of what may still be released."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option, stack
from spikeveil.host.cli.options.ledger import is_export, read_head, read_or_create_key
from spikeveil.host.cli.options.privacy import (
    SOURCES,
    UNITS,
    mechanism_options,
    raster_options,
    read_mechanism,
)
from spikeveil.host.cli.screens import budget as screen
from spikeveil.host.privacy.ledger import Evidence, Ledger, Session, Stated, amount, probability, verify_export
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim.model.files import write_atomically

PATH = click.Path(dir_okay=False)
HEAD = "A head noted down earlier, NUMBER:HASH, that must be in the chain."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def budget() -> None:
    """Keep privacy budgets in a ledger that is charged before each release.

    A budget limits the epsilon and delta of a data set. The ledger is a durable, hash-chained file.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage. See docs/ledger.md.
    """


def _data_set(required: bool = True) -> Callable[[Any], Any]:
    return click.option("-d", "--data-set", required=required, help="Name of the data set.")


def _ledger(path: str, create: bool = False) -> Ledger:
    return Ledger(path, create=create)


@budget.command(epilog="Example: spikeveil budget create my.ledger -d digits --unit record --epsilon 10 --delta 1e-5")
@click.argument("ledger", type=PATH)
@_data_set()
@click.option("--unit", type=click.Choice(UNITS), required=True, help="What the budget protects.")
@click.option("--epsilon", required=True, help="Limit of epsilon, read exactly (0.1, 1/3, inf).")
@click.option("--delta", required=True, help="Limit of delta, read exactly.")
@json_option
def create(ledger: str, data_set: str, unit: str, epsilon: str, delta: str, as_json: bool) -> None:
    """Give a data set a budget; makes the LEDGER if there is none."""
    with usage_errors(), _ledger(ledger, create=True) as opened:
        opened.create_budget(data_set, unit, epsilon, delta)
    _show(ledger, data_set, as_json)


@budget.command(epilog="Example: spikeveil budget show my.ledger")
@click.argument("ledger", type=PATH)
@_data_set(required=False)
@json_option
def show(ledger: str, data_set: str | None, as_json: bool) -> None:
    """Show the limits, what is spent and what remains."""
    _show(ledger, data_set, as_json)


def _show(path: str, data_set: str | None, as_json: bool) -> None:
    with usage_errors(), _ledger(path) as opened:
        budgets = opened.budgets(data_set)
        head, last_lease, witness = opened.head, opened.last_lease, opened.witness_error
    if data_set is not None and not budgets:
        raise click.ClickException(f"data set {data_set!r} has no budget in ledger {path}")
    record = screen.state(budgets, head, last_lease, None if witness is None else str(witness))
    screen.print_state(path, record, as_json)


_charge_options = stack(
    click.argument("ledger", type=PATH),
    _data_set(),
    mechanism_options,
    click.option("--releases", type=click.IntRange(1), default=1, show_default=True, help="Records released."),
    click.option("--delta", required=True, help="Delta of the session."),
    click.option("--unsafe", is_flag=True, help="The specification has a path around the flipper: infinite."),
    click.option("--insecure-demonstration", "demonstration", is_flag=True, help="Charge nominal figures, marked."),
    click.option("--device", default="", help="Which device releases."),
    click.option("--verilog", help="SHA-256 of the Verilog."),
    click.option("--bitstream", help="SHA-256 of the bitstream."),
    click.option("--versions", help="Versions of the tools."),
    click.option("--dry-run", is_flag=True, help="Only show what it would cost; exit code 1 if it does not fit."),
    json_option,
)


def _read_session(options: dict[str, Any]) -> Session:
    mechanism = read_mechanism(options)
    shape = (options["steps"], options["neurons"], options["releases"], options["delta"])
    if None in shape:
        raise click.UsageError("a session needs -T/--steps and -N/--neurons")
    return Session(mechanism, *shape, options["spike_limit"], options["step_spike_limit"])


def _read_stated(stated: list[Any], delta: str) -> Stated:
    mechanism, unit, epsilon = stated
    return Stated(mechanism, Unit(unit), amount("stated epsilon", epsilon), probability("stated delta", delta))


def _read_evidence(options: dict[str, Any]) -> Evidence:
    return Evidence(*(options.get(name) for name in ("specification", "verilog", "bitstream", "versions")))


def _preview(opened: Ledger, cost: Session | Stated, options: dict[str, Any]) -> None:
    """Print what `cost` would charge. Exit code 1 where a budget cannot bear it."""
    flags = {name: options[name] for name in ("source", "unsafe", "demonstration")}
    previews = opened.preview(options["data_set"], cost, **flags)
    screen.print_previews(options["data_set"], previews, options["source"], options["as_json"])
    if not all(preview.allowed for preview in previews):
        raise click.ClickException("a budget cannot bear this charge; nothing was charged")


@budget.command(
    epilog="Example: spikeveil budget spend my.ledger -d digits --source os --epsilon 1 -T 16 -N 10 --delta 1e-6"
)
@_charge_options
@raster_options(required=False)
@click.option("--source", type=click.Choice(SOURCES), required=True, help="Where the noise comes from.")
@click.option("--stated-epsilon", help="Epsilon of a cost computed elsewhere, instead of -k, -T and -N.")
@click.option("--stated-unit", type=click.Choice(UNITS), help="Unit of the stated cost.")
@click.option("--stated-by", help="Mechanism and theorem of the stated cost.")
@click.option("--specification", help="SHA-256 of the network specification.")
def spend(**options: Any) -> None:
    """Charge a session of releases (or a stated cost) to every budget of a data set."""
    stated = [options[name] for name in ("stated_by", "stated_unit", "stated_epsilon")]
    if any(stated) and not all(stated):
        raise click.UsageError("a stated cost needs --stated-epsilon, --stated-unit and --stated-by")
    with usage_errors():
        cost = _read_stated(stated, options["delta"]) if all(stated) else _read_session(options)
        with _ledger(options["ledger"]) as opened:
            if options["dry_run"]:
                return _preview(opened, cost, options)
            flags = {name: options[name] for name in ("source", "device", "unsafe", "demonstration")}
            entry = opened.spend(options["data_set"], cost, evidence=_read_evidence(options), **flags)
    screen.print_charge(entry, options["as_json"])


@budget.command(
    epilog="Example: spikeveil budget lease my.ledger -d digits --new-key device.key --specification $(sha256sum "
    "net.json | cut -c-64) -k 17626 -T 16 -N 10 --spike-limit 16 --releases 100 --delta 1e-6"
)
@_charge_options
@raster_options()
@click.option("--source", type=click.Choice(SOURCES), default="trivium", show_default=True, help="Noise source.")
@click.option("--specification", required=True, help="SHA-256 of the network specification.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False), help="File with the key in hexadecimal.")
@click.option("--new-key", type=PATH, help="Make a fresh key and write it to this new file.")
@click.option("--flippers", type=click.IntRange(1), default=1, help="Under lfsr: how many seeds the key file holds.")
def lease(**options: Any) -> None:
    """Charge a session and grant a device the next lease number for it. The key is never in the ledger."""
    with usage_errors():
        session = _read_session(options)
        with _ledger(options["ledger"]) as opened:
            if options["dry_run"]:
                return _preview(opened, session, options)
            flags = {name: options[name] for name in ("source", "device", "unsafe", "demonstration", "specification")}
            key = read_or_create_key(options)
            try:
                granted = opened.lease(options["data_set"], session, key=key, evidence=_read_evidence(options), **flags)
            except BaseException:
                if options["new_key"]:
                    Path(options["new_key"]).unlink(missing_ok=True)
                raise
    screen.print_charge(granted.entry, options["as_json"], {"quota_steps": granted.quota})


@budget.command(epilog="Example: spikeveil budget history my.ledger --last 20")
@click.argument("ledger", type=PATH)
@_data_set(required=False)
@click.option("--last", type=click.IntRange(1), help="Only so many entries from the end.")
@json_option
def history(ledger: str, data_set: str | None, last: int | None, as_json: bool) -> None:
    """List the entries: what was charged, when, for which device, at which cost."""
    with usage_errors(), _ledger(ledger) as opened:
        entries = opened.history(data_set)
    screen.print_history(entries[-last:] if last else entries, as_json)


@budget.command(epilog="Example: spikeveil budget verify my.ledger --head 12:9f0c...")
@click.argument("file", type=PATH)
@click.option("--head", help=HEAD)
@json_option
def verify(file: str, head: str | None, as_json: bool) -> None:
    """Check FILE (a ledger, or an export): every hash, sum and lease number, and that nothing was rolled back."""
    known_head = read_head(head)
    with usage_errors():
        if is_export(file):
            checked = verify_export(file, known_head)
        else:
            with _ledger(file) as opened:
                checked = opened.verify(known_head)
    screen.print_verified(file, checked, as_json)


@budget.command(epilog="Example: spikeveil budget export my.ledger -o my.jsonl")
@click.argument("ledger", type=PATH)
@click.option("-o", "--output", type=PATH, help="The file to write; without it, the screen.")
def export(ledger: str, output: str | None) -> None:
    """Write the entries as JSON lines, which `verify` can check without SQLite."""
    with usage_errors(), _ledger(ledger) as opened:
        if output is None:
            opened.export(sys.stdout)
        else:
            _write_export(opened, Path(output))


def _write_export(opened: Ledger, path: Path) -> None:
    text = io.StringIO()
    opened.export(text)
    try:
        write_atomically(path, text.getvalue().encode("ascii"))
    except OSError as error:
        raise click.ClickException(f"{path} could not be written: {error.strerror}") from error
