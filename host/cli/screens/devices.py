"""What `spikeveil devices` prints."""

from typing import Any

from rich.console import Console

from spikeveil.host.cli.screens.tables import facts_table


def print_devices(records: list[dict[str, Any]]) -> None:
    """Print a table for each port."""
    console = Console(highlight=False)
    if not records:
        console.print("no serial ports on this machine")
    for record in records:
        console.print(facts_table((name.replace("_", " "), _text(value)) for name, value in record.items()))


def _text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
