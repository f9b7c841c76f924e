"""Tables of how well two networks' spikes match, layer by layer."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

MATCH_LEGEND = (
    "spikes of the float network and of the integers, each fed by its own layers, matched one to one within a step; F1 "
    "is 1 where all match and 0 where one side is silent. lost: how many fewer spikes"
)


def match_table(matches: Sequence[dict[str, Any] | None], correlations: Sequence[float | None]) -> Table:
    """A row a layer: `SpikeMatch.to_dict`, or None and a readout's correlation."""
    table = Table(title="Spikes against the float network", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    columns = ("layer", "F1", "in the same step", "precision", "recall", "floats", "integers", "lost")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for index, (match, correlation) in enumerate(zip(matches, correlations, strict=True)):
        table.add_row(str(index), *_cells(match, correlation))
    return table


def _cells(match: dict[str, Any] | None, correlation: float | None) -> list[str]:
    if match is None:
        return ["readout, correlation " + ("unknown" if correlation is None else f"{correlation:.5f}")]
    scores = [f"{match[name]:.3f}" for name in ("f1", "exact_f1", "precision", "recall")]
    if match["silent"] == "both":
        scores[0] += " (both silent)"
    return [*scores, f"{match['reference']:,}", f"{match['found']:,}", f"{match['lost']:.1%}"]
