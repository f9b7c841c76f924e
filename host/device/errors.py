"""Errors between host and device: one class for each cause, with the exit code of the command."""

# ruff: noqa: N818 - the names say what happened to the device

from spikeveil.host.privacy.ledger.errors import LedgerRolledBack


class DeviceError(Exception):
    """The device or the port failed; nothing that was received is lost."""

    exit_code = 3


class PortLost(DeviceError):
    """The port does not exist, or vanished."""


class PortBusy(DeviceError):
    """Another program has the port open."""


class DeviceSilent(DeviceError):
    """No valid frame arrives: there is no device, the baud rate is wrong, or the line is too noisy."""


class DeviceStuck(DeviceError):
    """The device answers, but its run makes no progress."""


class LeaseLost(DeviceError):
    """The device does not hold the lease any more: it lost power, or another host used it."""


class WrongDevice(DeviceError):
    """The device has another protocol version, network or size, or protects nothing."""

    exit_code = 4


class ProtocolViolation(DeviceError):
    """The device sent what the protocol does not allow."""

    exit_code = 4


class LeaseAhead(DeviceError, LedgerRolledBack):
    """The device has seen a lease that the ledger has not granted: one of them is another's, or a copy."""

    exit_code = 5


class DeviceRefused(DeviceError):
    """The device refused a message that it should have accepted."""

    exit_code = 4
