"""`spikeveil doctor`: what is there to build and run with, and what to do about the rest."""

import json
from dataclasses import asdict
from typing import Any

import click

from spikeveil.host.cli.options.privacy import json_option


@click.command(epilog="Example: spikeveil doctor")
@json_option
def doctor(**options: Any) -> None:
    """Look for the tools, their versions, the caches and the serial ports; name the fix for what is missing.

    The exit code is 0 when a bitstream can be built for every family of chips, else 1.
    """
    from spikeveil.host.bitstream.diagnostics import BUILDING, examine

    findings = examine()
    if options["as_json"]:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    raise SystemExit(int(any(not finding.present for finding in findings if finding.purpose == BUILDING)))


def _print(findings: list[Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    purpose = None
    for finding in findings:
        if finding.purpose != purpose:
            purpose = finding.purpose
            console.print(f"for {purpose}", style="bold")
        mark = "[green]ok[/green]" if finding.present else "[red]--[/red]"
        console.print(f"  {mark} {finding.what}: {escape(finding.detail)}", soft_wrap=True)
        if finding.fix:
            console.print(f"     -> {escape(finding.fix)}", soft_wrap=True)
