"""What `spikeveil boards` prints."""

from typing import Any

from rich.console import Console

from spikeveil.host.cli.screens.tables import figures_table


def print_boards(records: list[dict[str, Any]]) -> None:
    """Print the boards as a table."""
    table = figures_table("boards", "name", "chip", "LUT", "RAM", "MHz", "baud", "loader")
    for record in records:
        table.add_row(
            *(record["name"], record["chip"], f"{record['lut']:,}", str(record["bram"])),
            *(f"{record['clock_hz'] / 1e6:g}", f"{record['baud']:,}"),
            record["loader"][0],
        )
    Console(highlight=False).print(table)
