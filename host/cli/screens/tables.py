"""Tables and JSON as every command prints them."""

import json
import textwrap
from collections.abc import Iterable
from typing import Any

import click
from rich.box import SIMPLE
from rich.table import Table


def figures_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are figures, set to the right and never wrapped."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def facts_table(facts: Iterable[tuple[str, str]], title: str | None = None) -> Table:
    """A table of names and what they are, without a header."""
    table = Table(title=title, title_justify="left", box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    return table


def print_json(report: Any) -> None:
    """Print a report as JSON."""
    click.echo(json.dumps(report, indent=2))


def print_json_list(reports: Iterable[Any]) -> None:
    """Print a list of reports as JSON, each as it comes."""
    separator = "["
    for report in reports:
        click.echo(separator)
        click.echo(textwrap.indent(json.dumps(report, indent=2), "  "), nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")
