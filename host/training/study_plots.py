"""The picture of a utility study: what accuracy is left, and what no mechanism could pass."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from spikeveil.host.privacy.plan import accuracy_ceiling
from spikeveil.host.privacy.units import Unit
from spikeveil.host.training.study_utility import Point
from spikeveil.pysim.storage import write_whole


def utility_plot(points: Sequence[Point], classes: int, title: str, path: Path) -> None:
    """Accuracy against the epsilon of one spike, and against that of a whole record with its ceiling, as a .png file.

    A mark is the mean over the seeds, its bar the lowest and highest seed. The right-hand side shows the same points at
    the cost of a record; nothing can lie above the line (beyond sampling: the test labels are not equally likely).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    spike, record = figure.subplots(1, 2, sharey=True)
    delta = points[0].claim.delta
    for index, name in enumerate(dict.fromkeys(point.setting.name for point in points)):
        mine = sorted((point for point in points if point.setting.name == name), key=lambda point: point.flip.epsilon)
        means = np.array([np.mean(point.accuracies) for point in mine])
        low = means - [min(point.accuracies) for point in mine]
        high = np.array([max(point.accuracies) for point in mine]) - means
        costs = ([point.flip.epsilon for point in mine], [point.claim.epsilon(Unit.RECORD) for point in mine])
        for axes, x in zip((spike, record), costs, strict=True):
            axes.errorbar(
                x, 100 * means, 100 * np.array([low, high]), fmt="o-", ms=4, capsize=3, color=f"C{index}", label=name
            )
    highest = max(point.claim.epsilon(Unit.RECORD) for point in points)
    grid = np.geomspace(0.3, 2 * highest, 300)
    ceiling = [100 * accuracy_ceiling(float(epsilon), delta, classes) for epsilon in grid]
    record.plot(grid, ceiling, "k--", label=f"no mechanism is right more often ({classes} equally likely classes)")
    record.fill_between(grid, ceiling, 100, color="0.9")
    for axes, unit in ((spike, "ONE spike"), (record, f"a WHOLE record, delta {delta:g}")):
        axes.axhline(100 / classes, color="0.6", lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set_xlabel(f"epsilon of {unit}")
        axes.grid(alpha=0.3)
    spike.set_ylabel("test accuracy from released spikes, %")
    spike.set_ylim(0, 101)
    handles, labels = record.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle(title)
    content = BytesIO()
    FigureCanvasAgg(figure).print_png(content)
    write_whole(path, content.getvalue())
