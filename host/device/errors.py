"""What can go wrong between host and device: one class and one sentence each, with the command's exit code."""

# ruff: noqa: N818 - the names say what happened to the device


class DeviceError(Exception):
    """The device, or the way to it, did not do what a run needs; nothing that was received is lost."""

    exit_code = 3


class LineLost(DeviceError):
    """The port is not there, or was taken away."""


class LineBusy(DeviceError):
    """Another program holds the port."""


class DeviceSilent(DeviceError):
    """Nothing intelligible comes back: no device, another baud rate, or a line that is too bad."""


class DeviceStuck(DeviceError):
    """The device answers and its run does not go on."""


class LeaseLost(DeviceError):
    """The device does not hold the lease any more: it was without power, or another host came."""


class DeviceOther(DeviceError):
    """It is not the device that was meant: another protocol version, network, size or source."""

    exit_code = 4


class DeviceRefused(DeviceError):
    """The device refused a message that it should have taken."""

    exit_code = 4
