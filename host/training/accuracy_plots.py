"""The picture of a utility study: what accuracy is left, and what no mechanism could pass."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from spikeveil.host.privacy.plan import accuracy_ceiling
from spikeveil.pysim.model.files import write_atomically


def label(report: Mapping[str, Any]) -> str:
    """The setting of a `Point.to_dict`, for a legend."""
    limit = "" if report["spike_limit"] is None else f", limit {report['spike_limit']}"
    loop = "in" if report["flipper_in_the_loop"] else "not in"
    size = f"{report['hidden']} hidden, {report['neurons_a_class']} a class"
    return f"{report['place']}: {size}{limit}, flipper {loop} the loop"


def utility_plot(reports: Sequence[Mapping[str, Any]], classes: int, title: str, path: Path) -> None:
    """Accuracy against the epsilon of one spike, and against that of a whole record with its ceiling, as a .png file.

    reports: of `Point.to_dict`. A mark is the mean over the seeds, its bar reaches from the lowest seed to the highest.
    The right-hand side shows the same points at the cost of a record; nothing can lie above the line (beyond sampling:
    the test labels are not equally likely).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    spike, whole = figure.subplots(1, 2, sharey=True)
    delta = reports[0]["record"]["delta"]
    for index, name in enumerate(dict.fromkeys(map(label, reports))):
        mine = sorted((one for one in reports if label(one) == name), key=lambda one: one["epsilon_of_one_spike"])
        means = 100 * np.array([one["mean"] for one in mine])
        extremes = 100 * np.array([[f(one["released_accuracy"]) for one in mine] for f in (min, max)])
        low, high = np.abs(extremes - means)  # a mean of equal values may miss them by a rounding
        for axes, x in (
            (spike, [one["epsilon_of_one_spike"] for one in mine]),
            (whole, [one["record"]["epsilon"] for one in mine]),
        ):
            axes.errorbar(x, means, [low, high], fmt="o-", ms=4, capsize=3, color=f"C{index}", label=name)
    grid = np.geomspace(0.3, 2 * max(one["record"]["epsilon"] for one in reports), 300)
    ceiling = [100 * accuracy_ceiling(float(epsilon), delta, classes) for epsilon in grid]
    whole.plot(grid, ceiling, "k--", label=f"no mechanism is right more often ({classes} equally likely classes)")
    whole.fill_between(grid, ceiling, 101, color="0.9")
    for axes, unit in ((spike, "ONE spike, delta 0"), (whole, f"a WHOLE record, delta {delta:g}")):
        axes.axhline(100 / classes, color="0.6", lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set_xlabel(f"epsilon of {unit}")
        axes.grid(alpha=0.3)
    spike.set_ylabel("test accuracy from released spikes, %")
    spike.set_ylim(0, 101)
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(title)
    content = BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_atomically(path, content.getvalue())
