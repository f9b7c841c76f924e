"""The table of a utility study in Markdown: `python scripts/utility_table.py examples/digits/utility.json`."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

HEAD = (
    "| flipper | in the loop | hidden | a class | epsilon of ONE spike | accuracy, released | bits that may differ | "
    "epsilon of a WHOLE record | ceiling |"
)


def row(point: dict[str, Any]) -> str:
    """One setting at one threshold."""
    values, record = point["released_accuracy"], point["record"]
    limit = "" if point["spike_limit"] is None else f", limit {point['spike_limit']}"
    cells = (
        point["place"] + limit,
        "yes" if point["flipper_in_the_loop"] else "no",
        point["hidden"],
        point["neurons_a_class"],
        up(point["epsilon_of_one_spike"], 3),
        f"{100 * point['mean']:.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})",
        record["bits_that_may_differ"],
        up(record["epsilon"], 1),
        f"{math.ceil(1000 * record['accuracy_ceiling']) / 10:.1f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def up(value: float, digits: int) -> str:
    """Rounded up: an epsilon is never shown smaller than it is."""
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}"


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description="The table of a utility study in Markdown.")
    parser.add_argument("file", type=Path)
    points = json.loads(parser.parse_args().file.read_text())["points"]
    print(HEAD)
    print("|---|---|---|---|---|---|---|---|---|")
    order = sorted(points, key=lambda p: (p["place"], p["flipper_in_the_loop"], p["hidden"], p["epsilon_of_one_spike"]))
    print("\n".join(map(row, order)))


if __name__ == "__main__":
    main()
