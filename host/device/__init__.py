"""The host's driver for a device: leases, input, output, keys. A name is imported when it is first used.

`Device.open(port)` connects to a device, `load` loads a network and `run` runs records (docs/device.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "driver": ["Device"],
        "errors": [
            "DeviceError",
            "DeviceRefused",
            "DeviceSilent",
            "DeviceStuck",
            "LeaseLost",
            "PortBusy",
            "PortLost",
            "WrongDevice",
        ],
        "keys": ["Secrets"],
        "link": ["Timing"],
        "record_run": ["RunProgress", "RunResult"],
        "results": ["Results"],
    },
)
