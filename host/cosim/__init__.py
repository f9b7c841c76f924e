"""Simulation of generated gateware: the same job on any engine, and the comparison with the golden model.

>>> import numpy as np
>>> from spikeveil.hdl.engine.plan import Plan
>>> from spikeveil.host import cosim
>>> from spikeveil.pysim import LayerSpec, NetworkSpec
>>> spec = NetworkSpec([LayerSpec(np.eye(3, dtype=int), threshold=1)])
>>> spikes = np.ones((1, 2, 3), bool)  # (records, steps, inputs)
>>> result = cosim.run_in_amaranth(Plan(spec, unsafe=True), spikes, cosim.LeasePorts())
>>> cosim.first_difference(spikes, result.released) is None
True

A name is imported when it is first used: this module needs neither Amaranth nor cocotb.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.cosim.amaranth_engine import run as run_in_amaranth
    from spikeveil.host.cosim.compare import SpikeDifference, first_difference
    from spikeveil.host.cosim.errors import SimulatorError
    from spikeveil.host.cosim.job import LeasePorts, SimulationResult
    from spikeveil.host.cosim.verilator_engine import run as run_in_verilator

#: public name -> the module that defines it, and its name there
_ORIGINS = {
    "LeasePorts": ("job", "LeasePorts"),
    "SimulationResult": ("job", "SimulationResult"),
    "SimulatorError": ("errors", "SimulatorError"),
    "SpikeDifference": ("compare", "SpikeDifference"),
    "first_difference": ("compare", "first_difference"),
    "run_in_amaranth": ("amaranth_engine", "run"),
    "run_in_verilator": ("verilator_engine", "run"),
}

__all__ = [
    "LeasePorts",
    "SimulationResult",
    "SimulatorError",
    "SpikeDifference",
    "first_difference",
    "run_in_amaranth",
    "run_in_verilator",
]


def __getattr__(name: str) -> Any:
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _ORIGINS[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
