"""`spikeveil budget`: the ledger of what may still be released."""

import io
import stat
import sys
from pathlib import Path
from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.budget import (
    PATH,
    charge_options,
    data_set_option,
    quota_name,
    read_data,
    read_evidence,
    read_ranges,
    read_session,
    read_stated,
)
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option
from spikeveil.host.cli.options.ledger import create_new_key, is_export, read_head, read_key_option
from spikeveil.host.cli.options.privacy import (
    SOURCES,
    UNITS,
    raster_options,
)
from spikeveil.host.cli.screens import budget as screen
from spikeveil.host.cli.screens import budget_history as history_screen
from spikeveil.host.privacy.ledger import (
    RELATIONS,
    DecisionSession,
    Ledger,
    ReleaseSession,
    Signer,
    Stated,
    Subjects,
    amount,
    check_budget,
    countersign,
    normal_name,
    probability,
    verify_export,
)
from spikeveil.host.privacy.ledger.database import FILE_MODE
from spikeveil.pysim.model.files import replacing, write_atomically

BUDGET_UNITS = (*UNITS, "subject")
PREVIEWED = ("source", "unsafe", "demonstration", "specification", "records", "data")
HEAD = "A head noted down earlier, NUMBER:HASH, that must be in the chain."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def budget() -> None:
    """Keep privacy budgets in a ledger, charged before each release.

    A budget limits the epsilon and delta of a data set. The ledger is a durable, hash-chained file.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage. See docs/ledger.md.
    """


def _ledger(path: str, create: bool = False) -> Ledger:
    return Ledger(path, create=create)


@budget.command(
    epilog="Example: spikeveil budget create my.ledger -d digits --unit record --epsilon 10 --delta 1e-5 --data digits"
)
@click.argument("ledger", type=PATH)
@data_set_option()
@click.option("--unit", type=click.Choice(BUDGET_UNITS), required=True, help="What the budget protects.")
@click.option("--epsilon", required=True, help="Limit of epsilon, read exactly (0.1, 1/3, inf).")
@click.option("--delta", required=True, help="Limit of delta, read exactly.")
@click.option(
    "--relation",
    type=click.Choice(RELATIONS),
    default="substitution",
    show_default=True,
    help="Releases are charged to substitution budgets, DP-SGD to add/remove budgets.",
)
@click.option(
    "--filter",
    "rule",
    type=click.Choice(["sum", "renyi"]),
    default="sum",
    show_default=True,
    help="Add up epsilons and deltas, or Rényi divergences of one order: more releases, for one delta.",
)
@click.option(
    "--order", type=click.FloatRange(1, 1000, min_open=True), help="Order of the Rényi filter; else the best."
)
@click.option("--data", help="Bind the budget to this file of records: then different records do not add up.")
@layout_option
@click.option("--subjects", metavar="COLUMN", help="Array of the file with one subject's id a record.")
@click.option("--specification", help="SHA-256 of the network that a spike, neuron or step budget is for.")
@click.option("--layer", type=click.IntRange(0), help="Flipped layer that such a budget is for.")
@json_option
def create(ledger: str, data_set: str, as_json: bool, **options: Any) -> None:
    """Give a data set a budget; makes the LEDGER if there is none."""
    with usage_errors():
        normal_name(data_set)
        limits = amount("budget epsilon", options["epsilon"]), probability("budget delta", options["delta"])
        network: dict[str, Any] = {name: options[name] for name in ("specification", "layer")}
        network |= {"relation": options["relation"], "rule": options["rule"], "order": options["order"]}
        check_budget(options["unit"], *limits, **network)
        spikes, column = read_data(options["data"], options["subjects"], options["layout"])
        if options["unit"] == "subject" and column is None:
            raise ValueError("a budget at subject level needs --data and --subjects")
        with _ledger(ledger, create=True) as opened:
            data = None if spikes is None else opened.identify(spikes, create=True)
            subjects = None if column is None else Subjects.of(options["subjects"], column)
            opened.create_budget(
                data_set,
                options["unit"],
                *limits,
                data=data,
                subjects=subjects,
                **network,
            )
    _show(ledger, data_set, as_json)


@budget.command(epilog="Example: spikeveil budget extend my.ledger -d digits --data more.npz --disjoint")
@click.argument("ledger", type=PATH)
@data_set_option()
@click.option("--data", required=True, help="The file to join.")
@layout_option
@click.option("--subjects", metavar="COLUMN", help="Its array of subjects, where the data set has subjects.")
@click.option("--disjoint", is_flag=True, required=True, help="State that nobody is in both: claims print it.")
@json_option
def extend(
    ledger: str, data_set: str, data: str, layout: str | None, subjects: str | None, disjoint: bool, as_json: bool
) -> None:
    """Join a further file to the data of a data set. Its records keep sums of their own."""
    if not disjoint:
        raise click.UsageError("only files without a record in common can be joined: state it by --disjoint")
    with usage_errors():
        spikes, column = read_data(data, subjects, layout)
        with _ledger(ledger) as opened:
            before = opened.binding(data_set).subjects
            start = before.count if before else 0
            grouped = None if column is None or subjects is None else Subjects.of(subjects, column, start)
            opened.extend(data_set, opened.identify(spikes), grouped)
    _show(ledger, data_set, as_json)


@budget.command(epilog="Example: spikeveil budget show my.ledger")
@click.argument("ledger", type=PATH)
@data_set_option(required=False)
@json_option
def show(ledger: str, data_set: str | None, as_json: bool) -> None:
    """Show the limits, what the worst record has spent, and how many releases are left."""
    _show(ledger, data_set, as_json)


def _show(path: str, data_set: str | None, as_json: bool) -> None:
    with usage_errors(), _ledger(path) as opened:
        budgets = opened.budgets(data_set)
        standing = {name: opened.standing(name) for name in budgets}
        head, last_lease, witness = opened.head, opened.last_lease, opened.witness_error
    if data_set is not None and not budgets:
        raise click.ClickException(f"data set {data_set!r} has no budget in ledger {path}")
    record = screen.state(budgets, standing, head, last_lease, None if witness is None else str(witness))
    screen.print_state(path, record, as_json)


def _preview(opened: Ledger, cost: ReleaseSession | Stated, options: dict[str, Any]) -> None:
    """Print what `cost` would charge. Exit code 1 where a budget cannot bear it."""
    flags = {name: options[name] for name in ("source", "unsafe", "demonstration", "specification")}
    previews = opened.preview(options["data_set"], cost, **flags, **read_ranges(opened, options))
    decides = isinstance(cost, DecisionSession)
    screen.print_previews(options["data_set"], previews, options["source"], options["as_json"], decides)
    if not all(preview.allowed for preview in previews):
        raise click.ClickException("a budget cannot bear this charge; nothing was charged")


@budget.command(
    epilog="Example: spikeveil budget spend my.ledger -d digits --source os --epsilon 1 -T 16 -N 10 --delta 1e-6"
)
@charge_options
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
        cost = read_stated(stated, options["delta"]) if all(stated) else read_session(options)
        with _ledger(options["ledger"]) as opened:
            if options["dry_run"]:
                return _preview(opened, cost, options)
            flags = {name: options[name] for name in ("source", "device", "unsafe", "demonstration")}
            flags |= read_ranges(opened, options)
            entry = opened.spend(options["data_set"], cost, evidence=read_evidence(options), **flags)
    screen.print_charge(entry, options["as_json"])


@budget.command(
    epilog="Example: spikeveil budget lease my.ledger -d digits --new-key device.key --specification $(sha256sum "
    "net.json | cut -c-64) -k 17626 -T 16 -N 10 --spike-limit 16 --releases 100 --delta 1e-6"
)
@charge_options
@raster_options(required=False)
@click.option("--source", type=click.Choice(SOURCES), default="trivium", show_default=True, help="Noise source.")
@click.option("--specification", required=True, help="SHA-256 of the network specification.")
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False), help="File with the key in hexadecimal.")
@click.option("--new-key", type=PATH, help="Make a fresh key and write it to this new file.")
@click.option("--flippers", type=click.IntRange(1), default=1, help="Under lfsr: how many seeds the key file holds.")
def lease(**options: Any) -> None:
    """Charge a session and grant a device the next lease number for it. The key is never in the ledger."""
    with usage_errors():
        session, key = read_session(options), read_key_option(options)
        with _ledger(options["ledger"]) as opened:
            if options["dry_run"]:
                return _preview(opened, session, options)
            flags = {name: options[name] for name in ("source", "device", "unsafe", "demonstration", "specification")}
            flags |= read_ranges(opened, options)
            opened.preview(options["data_set"], session, **{name: flags[name] for name in PREVIEWED if name in flags})
            key = create_new_key(options) if options["new_key"] else key
            try:
                granted = opened.lease(options["data_set"], session, key=key, evidence=read_evidence(options), **flags)
            except BaseException:
                if options["new_key"]:
                    Path(options["new_key"]).unlink(missing_ok=True)
                raise
    screen.print_charge(granted.entry, options["as_json"], {quota_name(session): granted.quota})


@budget.command(epilog="Example: spikeveil budget history my.ledger --last 20")
@click.argument("ledger", type=PATH)
@data_set_option(required=False)
@click.option("--last", type=click.IntRange(1, 1 << 62), help="Only so many entries from the end.")
@click.option("--before", type=click.IntRange(1, 1 << 62), help="Only entries before this one: the page before a page.")
@json_option
def history(ledger: str, data_set: str | None, last: int | None, before: int | None, as_json: bool) -> None:
    """List the entries: what was charged, when, for which device, at which cost."""
    with usage_errors(), _ledger(ledger) as opened:
        if data_set is not None:
            opened.standing(data_set)  # LedgerError where there is no such data set
        pages = opened.pages(data_set, before) if last is None else [opened.history(data_set, last, before)]
        history_screen.print_history(pages, as_json)


@budget.command(epilog="Example: spikeveil budget verify my.jsonl --signer 5f0c...")
@click.argument("file", type=PATH)
@click.option("--head", help=HEAD)
@click.option("--since-verified", is_flag=True, help="Of a ledger, read only what came after its last verification.")
@click.option("--signer", metavar="KEY", help="Public key that must have signed the export.")
@click.option("--accept-stated", is_flag=True, help="Accept charges that nobody can recompute.")
@click.option("--countersign", "with_key", metavar="KEYFILE", type=PATH, help="Add the signature of a second key.")
@json_option
def verify(
    file: str,
    head: str | None,
    since_verified: bool,
    signer: str | None,
    accept_stated: bool,
    with_key: str | None,
    as_json: bool,
) -> None:
    """Check a ledger or an export: hashes, sums, charges, leases, signatures, rollback.

    Every charge is computed again from the session beside it. A charge that somebody stated cannot be: it is listed,
    and the exit code is 1 unless --accept-stated is given. A signature says who vouches for the head, not that it is
    the latest.
    """
    known = read_head(head)
    with usage_errors():
        if is_export(file):
            if since_verified:
                raise click.UsageError("--since-verified is for a ledger: an export is read whole")
            checked = verify_export(file, known, signer)
        elif signer or with_key:
            raise click.UsageError("a signature is on an export: --signer and --countersign need one")
        else:
            with _ledger(file) as opened:
                checked = opened.verify(known, since_verified=since_verified)
        if with_key:
            mode = stat.S_IMODE(Path(file).stat().st_mode)
            write_atomically(Path(file), countersign(file, Signer(with_key)).encode("ascii"), mode=mode)
    history_screen.print_verified(file, checked, as_json)
    if checked.stated and not accept_stated:
        raise click.ClickException(
            f"{len(checked.stated)} stated charges were not recomputed: accept them by --accept-stated, or do not"
        )


@budget.command(epilog="Example: spikeveil budget export my.ledger -o my.jsonl")
@click.argument("ledger", type=PATH)
@click.option("-o", "--output", type=PATH, help="The file to write; without it, the screen.")
@click.option("--key", type=PATH, help="File with the signing key; by default the user's own, made on first use.")
@click.option("--unsigned", is_flag=True, help="Without a signature.")
def export(ledger: str, output: str | None, key: str | None, unsigned: bool) -> None:
    """Write the entries as JSON lines, signed, which `verify` can check without SQLite."""
    with usage_errors(), _ledger(ledger) as opened:
        signer = None if unsigned else Signer(key)
        if output is None:
            opened.export(sys.stdout, signer)
        else:
            _write_export(opened, Path(output), signer)
    if signer is not None:
        click.echo(f"signed by {signer.public}", err=True)


def _write_export(opened: Ledger, path: Path, signer: Signer | None) -> None:
    try:
        with replacing(path, FILE_MODE) as file:
            text = io.TextIOWrapper(file, encoding="ascii", newline="\n")
            opened.export(text, signer)
            text.flush()
            text.detach()
    except OSError as error:
        raise click.ClickException(f"{path} could not be written: {error.strerror}") from error
