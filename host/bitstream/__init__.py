"""From a plan and a board to a bitstream and a report, with open tools. A name is imported when it is first used.

`Build.of(plan, board)` makes a build. `estimate_resources` estimates its size without a tool; `make_report` reports
a placed build, and `verify` simulates it against the golden model (docs/build.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.bitstream.build import Build as Build
    from spikeveil.host.bitstream.errors import BuildError as BuildError
    from spikeveil.host.bitstream.errors import FitError as FitError
    from spikeveil.host.bitstream.estimate import Estimate as Estimate
    from spikeveil.host.bitstream.estimate import estimate_resources as estimate_resources
    from spikeveil.host.bitstream.lane_search import most_lanes as most_lanes
    from spikeveil.host.bitstream.report import make_report as make_report
    from spikeveil.host.bitstream.verification import VerificationResult as VerificationResult
    from spikeveil.host.bitstream.verification import verify as verify
    from spikeveil.host.bitstream.workload import Workload as Workload

#: public name -> the module of this package that defines it
_HOMES = {
    "Build": "build",
    "BuildError": "errors",
    "Estimate": "estimate",
    "FitError": "errors",
    "VerificationResult": "verification",
    "Workload": "workload",
    "estimate_resources": "estimate",
    "make_report": "report",
    "most_lanes": "lane_search",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
