"""The host's driver for a device: leases, input, output, keys. A name is imported when it is first used.

`Device.open(port)` connects to a device, `load` gives it a network and `run` runs records (docs/device.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.device.driver import Device as Device
    from spikeveil.host.device.errors import DeviceError as DeviceError
    from spikeveil.host.device.errors import DeviceRefused as DeviceRefused
    from spikeveil.host.device.errors import DeviceSilent as DeviceSilent
    from spikeveil.host.device.errors import DeviceStuck as DeviceStuck
    from spikeveil.host.device.errors import LeaseLost as LeaseLost
    from spikeveil.host.device.errors import PortBusy as PortBusy
    from spikeveil.host.device.errors import PortLost as PortLost
    from spikeveil.host.device.errors import WrongDevice as WrongDevice
    from spikeveil.host.device.keys import Secrets as Secrets
    from spikeveil.host.device.link import Timing as Timing
    from spikeveil.host.device.record_run import RunProgress as RunProgress
    from spikeveil.host.device.record_run import RunResult as RunResult
    from spikeveil.host.device.results import Results as Results

#: public name -> the module of this package that defines it
_HOMES = {
    "Device": "driver",
    "DeviceError": "errors",
    "DeviceRefused": "errors",
    "DeviceSilent": "errors",
    "DeviceStuck": "errors",
    "LeaseLost": "errors",
    "PortBusy": "errors",
    "PortLost": "errors",
    "Results": "results",
    "RunProgress": "record_run",
    "RunResult": "record_run",
    "Secrets": "keys",
    "Timing": "link",
    "WrongDevice": "errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
