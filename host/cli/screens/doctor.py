"""What `spikeveil doctor` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from spikeveil.host.bitstream.diagnostics import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a line for each finding, under a heading for each purpose, and the fix below what is missing."""
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
