"""`spikeveil report`: the report of a build as tables."""

import json
from pathlib import Path

import click


@click.command(epilog="Example: spikeveil report out/digits/report.json")
@click.argument("report", metavar="REPORT", type=click.Path(exists=True, dir_okay=False))
def report(report: str) -> None:
    """Show REPORT, the report.json that `spikeveil build -o` wrote, as tables."""
    from rich.console import Console

    from spikeveil.host.bitstream.show import print_report

    try:
        record = json.loads(Path(report).read_text())
        print_report(Console(highlight=False), record)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{report} must be a report of spikeveil build: {error!r}") from error
