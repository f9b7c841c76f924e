"""Write estimates.json again: `python tests/data/frequency/make.py`, where pure-ldp 1.2.0 is installed (MIT licence).

Class shares by pure-ldp's own servers (direct encoding; unary encoding, symmetric and optimised) from fixed counts.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pure_ldp.frequency_oracles.direct_encoding import DEServer
from pure_ldp.frequency_oracles.unary_encoding import UEServer


def estimates(server: Any, counts: list[int], reports: int) -> list[float]:
    """The shares that `server` estimates from counts of reports."""
    server.aggregated_data, server.n = np.array(counts, float), reports
    return [float(server.estimate(index, suppress_warnings=True)) / reports for index in range(len(counts))]


def main() -> None:
    rows = []
    for epsilon in (0.5, 1.0, 4.0):
        counts = [120, 340, 90, 450]
        rows.append({"kind": "kary", "epsilon": epsilon, "counts": counts, "reports": 1000})
        rows[-1]["shares"] = estimates(DEServer(epsilon, 4, index_mapper=lambda x: x), counts, 1000)
        for kind, optimised in (("symmetric", False), ("oue", True)):
            rows.append({"kind": kind, "epsilon": epsilon, "counts": counts, "reports": 1000})
            server = UEServer(epsilon, 4, use_oue=optimised, index_mapper=lambda x: x)
            rows[-1]["shares"] = estimates(server, counts, 1000)
    Path(__file__).with_name("estimates.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
