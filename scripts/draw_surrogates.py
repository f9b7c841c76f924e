"""Draw every surrogate gradient to docs/surrogates.png.

python scripts/draw_surrogates.py [PATH]
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from spikeveil.host.training.surrogates import SURROGATES

DEFAULT = Path(__file__).parent.parent / "docs" / "surrogates.png"


def main() -> None:
    """One small panel a surrogate, with the parameters that it has when none are given."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    x = torch.linspace(-2, 2, 801)
    figure = Figure(figsize=(9.8, 5.2), layout="constrained")
    axes = list(figure.subplots(3, 5, sharex=True).flat)
    for axis, (name, kind) in zip(axes, SURROGATES.items(), strict=False):
        axis.plot(x, kind().derivative(x), color="black", linewidth=1.2)
        axis.axvline(0, color="#E69F00", linewidth=0.8)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
    for axis in axes[len(SURROGATES) :]:
        axis.set_axis_off()
    figure.supxlabel("u - threshold", fontsize=8)
    figure.supylabel("in place of ds/du", fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main()
