"""From a plan and a board to a bitstream and a report, with open tools. A name is imported when it is first used.

`Build.of(plan, board)` makes a build. `estimate_resources` estimates its size without a tool; `make_report` reports
a placed build, and `verify` simulates it against the golden model (docs/build.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.bitstream.build import Build as Build
    from spikeveil.host.bitstream.errors import BuildError as BuildError
    from spikeveil.host.bitstream.errors import FitError as FitError
    from spikeveil.host.bitstream.estimate import Estimate as Estimate
    from spikeveil.host.bitstream.estimate import estimate_resources as estimate_resources
    from spikeveil.host.bitstream.lane_search import search_lanes as search_lanes
    from spikeveil.host.bitstream.report import make_report as make_report
    from spikeveil.host.bitstream.verification import VerificationResult as VerificationResult
    from spikeveil.host.bitstream.verification import verify as verify
    from spikeveil.host.bitstream.workload import Workload as Workload

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["Build"],
        "errors": ["BuildError", "FitError"],
        "estimate": ["Estimate", "estimate_resources"],
        "lane_search": ["search_lanes"],
        "report": ["make_report"],
        "verification": ["VerificationResult", "verify"],
        "workload": ["Workload"],
    },
)
