"""`spikeveil report`: the report of a build as tables."""

import json
from pathlib import Path

import click
from rich.console import Console

from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.build_report import print_report
from spikeveil.host.cli.screens.tables import print_json


@click.command(epilog="Example: spikeveil report out/digits/report.json")
@click.argument("report", metavar="REPORT", type=click.Path(exists=True, dir_okay=False))
@json_option
def report(report: str, as_json: bool) -> None:
    """Show the report of a build as tables.

    REPORT is the report.json that `spikeveil build -o` wrote.
    """
    try:
        record = json.loads(Path(report).read_text())
        print_report(Console(highlight=False, quiet=as_json), record)  # a missing figure is an error either way
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{report} must be a report of spikeveil build: {error!r}") from error
    if as_json:
        print_json(record)
