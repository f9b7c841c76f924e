"""What each library means by a NIR file: the choices that the file leaves open, under the library's name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from spikeveil.host.exchange.choices import Choices
from spikeveil.pysim.model import checks


@dataclass(frozen=True)
class Convention:
    """The defaults of one library; a network may have been built with others.

    | field | meaning |
    |---|---|
    | `name` | of the library |
    | `choices` | what its exporter means; a choice that it does not fix is None |
    | `source` | where that is from: the file of a test, or the library's own documentation |
    | `note` | what its users must know, or None |
    """

    name: str
    choices: Choices
    source: str
    note: str | None = None

    def with_choices(self, **changes: Any) -> Choices:
        """The choices, with those that are given and not None in place of the library's."""
        return replace(self.choices, **{name: value for name, value in changes.items() if value is not None})


def _convention(name: str, source: str, note: str | None = None, **choices: Any) -> Convention:
    return Convention(name, Choices(**choices), source, note)


_ALL = (
    _convention(
        "snntorch",
        "tests/data/nir/snntorch_*.nir; traces of the NIR paper",
        "reset_delay=False is the reset timing `snntorch`, reset_mechanism='zero' the reset `zero`",
        dt=1e-4, decay="euler", reset="subtract", reset_timing="delayed", compare="gt", initial="zero",
    ),
    _convention(
        "norse",
        "tests/data/nir/norse_lifbox.nir; traces of the NIR paper",
        "1.1 writes time constants times dt: its files need dt 1e-6 where the network ran at 1e-3",
        dt=1e-3, decay="euler", reset="zero", reset_timing="immediate", compare="gt", initial="leak",
    ),
    _convention(
        "spikingjelly",
        "tests/data/nir/spikingjelly_lif.nir",
        "dt is an argument of its export, 1e-4 by default",
        dt=1e-4, decay="euler", reset="zero", reset_timing="immediate", compare="ge", initial="reset",
    ),
    _convention(
        "sinabs",
        "tests/data/nir/sinabs_lif.nir; traces of the NIR paper",
        "the gain is `r` for norm_input=False; neurons must be built with SingleSpike",
        dt=1.0, decay="exp", reset="subtract", reset_timing="immediate", compare="ge", gain="one-minus-beta",
        initial="zero",
    ),
    _convention(
        "rockpool",
        "tests/data/nir/rockpool_lif.nir",
        "times are in seconds and dt is the network's own; neurons must have max_spikes_per_dt=1",
        dt=1e-3, decay="exp", reset="subtract", reset_timing="immediate", compare="ge", gain="one", initial="zero",
    ),
    _convention(
        "lava",
        "traces of the NIR paper",
        "spikes leave each layer a step later than here",
        dt=1e-4, decay="euler", reset="zero", reset_timing="immediate", compare="gt", initial="zero",
    ),
    _convention(
        "spyx",
        "untested: no file of this library is among the tests",
        "dt is an argument of its export, 1 by default; spikes leave each layer a step later than here",
        dt=1.0, decay="euler", reset="subtract", reset_timing="delayed", compare="gt", initial="zero",
    ),
    _convention(
        "nengo",
        "traces of the NIR paper",
        "it interpolates the time of a spike inside a step, which is not reproduced",
        dt=1e-4, decay="exp", reset="zero", reset_timing="immediate", compare="gt", gain="one-minus-beta",
        initial="zero",
    ),
)  # fmt: skip
CONVENTIONS: Mapping[str, Convention] = MappingProxyType({convention.name: convention for convention in _ALL})


def convention(name: str) -> Convention:
    """The convention of a library. ValueError for another name."""
    return CONVENTIONS[checks.choice("convention", name, tuple(CONVENTIONS))]
