"""The device at the level of messages: protocol, guard, buffers, and the model of the complete device.

A name is imported when it is first used. This package imports nothing of the project but `pysim.model`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.pysim.device.guard import Guard as Guard
    from spikeveil.pysim.device.guard import Offer as Offer
    from spikeveil.pysim.device.identity import Identity as Identity
    from spikeveil.pysim.device.identity import ModelPlan as ModelPlan
    from spikeveil.pysim.device.messages import Message as Message
    from spikeveil.pysim.device.messages import MessageKind as MessageKind
    from spikeveil.pysim.device.messages import ResultCode as ResultCode
    from spikeveil.pysim.device.messages import StatusFlag as StatusFlag
    from spikeveil.pysim.device.messages import Trait as Trait
    from spikeveil.pysim.device.status import Status as Status
    from spikeveil.pysim.device.top import DeviceModel as DeviceModel

#: public name -> the module of this package that defines it
_HOMES = {
    "DeviceModel": "top",
    "Guard": "guard",
    "Identity": "identity",
    "Message": "messages",
    "MessageKind": "messages",
    "ModelPlan": "identity",
    "Offer": "guard",
    "ResultCode": "messages",
    "Status": "status",
    "StatusFlag": "messages",
    "Trait": "messages",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
