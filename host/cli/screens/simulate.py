"""What `spikeveil simulate` prints."""

from typing import Any

from rich.console import Console

from spikeveil.host.cli.screens.claim import print_claim
from spikeveil.host.cli.screens.tables import facts_table
from spikeveil.host.privacy.claim import Claim


def print_simulation(record: dict[str, Any], claim: Claim, classes: int) -> None:
    """Print the figures and the claim."""
    console = Console(highlight=False)
    figures = {name: value for name, value in record.items() if value is not None and name != "claim"}
    console.print(facts_table((name.replace("_", " "), _text(name, value)) for name, value in figures.items()))
    print_claim(console, claim, "Claim for one of these records", classes)


def _text(name: str, value: Any) -> str:
    if name == "released_accuracy":
        return f"{100 * value:.1f} %"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1e6 else f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
