"""What is charged to a ledger, as options: data set, session, records, stated costs."""

from collections.abc import Callable
from typing import Any

import click

from spikeveil.host.cli.options.common import json_option, stack
from spikeveil.host.cli.options.data import layout_option, load_subjects
from spikeveil.host.cli.options.privacy import (
    decision_options,
    mechanism_options,
    read_decision,
    read_mechanism,
)
from spikeveil.host.privacy.ledger import (
    DecisionSession,
    Evidence,
    Ledger,
    ReleaseSession,
    Session,
    Stated,
    amount,
    probability,
)
from spikeveil.host.privacy.units import Unit

PATH = click.Path(dir_okay=False)


def data_set_option(required: bool = True) -> Callable[[Any], Any]:
    return click.option("-d", "--data-set", required=required, help="Name of the data set.")


def read_data(data: str | None, column: str | None, layout: str | None) -> tuple[Any, Any]:
    if data is None:
        if column is not None:
            raise ValueError("--subjects needs --data")
        return None, None
    return load_subjects(data, column, layout)


charge_options = stack(
    click.argument("ledger", type=PATH),
    data_set_option(),
    mechanism_options,
    decision_options,
    click.option("--releases", type=click.IntRange(1), default=1, show_default=True, help="Records released."),
    click.option("--delta", required=True, help="Delta of the session."),
    click.option("--layer", type=click.IntRange(0), help="Index of the flipped layer."),
    click.option("--data", help="The file whose records are released, where the data set is bound to it."),
    layout_option,
    click.option("--records", "ranges", metavar="FIRST:END", multiple=True, help="The records that are released."),
    click.option("--unsafe", is_flag=True, help="The specification has a path around the flipper: infinite."),
    click.option("--insecure-demonstration", "demonstration", is_flag=True, help="Charge nominal figures, marked."),
    click.option("--device", default="", help="Which device releases."),
    click.option("--verilog", help="SHA-256 of the Verilog."),
    click.option("--bitstream", help="SHA-256 of the bitstream."),
    click.option("--versions", help="Versions of the tools."),
    click.option("--dry-run", is_flag=True, help="Only show what it would cost; exit code 1 if it does not fit."),
    json_option,
)


def read_session(options: dict[str, Any]) -> ReleaseSession:
    decision = read_decision(options, with_steps=True)
    if decision is not None:
        steps = options["steps"]
        if steps is None:
            raise click.UsageError("a session of decisions needs -T/--steps, the steps of a record")
        return DecisionSession(decision, steps, options["releases"], options["delta"], options["layer"])
    mechanism = read_mechanism(options)
    shape = (options["steps"], options["neurons"], options["releases"], options["delta"])
    if None in shape:
        raise click.UsageError("a session needs -T/--steps and -N/--neurons")
    return Session(mechanism, *shape, options["spike_limit"], options["step_spike_limit"], options["layer"])


def quota_name(session: ReleaseSession) -> str:
    """What a report calls the quota of a lease."""
    return "quota_decisions" if isinstance(session, DecisionSession) else "quota_steps"


def read_ranges(opened: Ledger, options: dict[str, Any]) -> dict[str, Any]:
    """The file and the records that are charged; every record where none is named."""
    if options["data"] is None:
        if options["ranges"]:
            raise click.UsageError("--records needs the --data that it counts")
        return {}
    spikes, _ = load_subjects(options["data"], layout=options["layout"])
    pairs = sorted(tuple(map(int, text.split(":"))) for text in options["ranges"])
    if any(len(pair) != 2 for pair in pairs):
        raise click.UsageError("--records must be FIRST:END, the first record and the one after the last")
    return {"data": opened.identify(spikes), "records": tuple(pairs) or None}


def read_stated(stated: list[Any], delta: str) -> Stated:
    mechanism, unit, epsilon = stated
    return Stated(mechanism, Unit(unit), amount("stated epsilon", epsilon), probability("stated delta", delta))


def read_evidence(options: dict[str, Any]) -> Evidence:
    return Evidence(*(options.get(name) for name in ("specification", "verilog", "bitstream", "versions")))
