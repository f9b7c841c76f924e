"""The device at the level of messages: protocol, guard, buffers, and the model of the complete device.

A name is imported when it is first used. This package imports nothing of the project but `pysim.model`.
"""

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "guard": ["Guard", "Offer"],
        "identity": ["Identity", "ModelPlan"],
        "messages": ["Message", "MessageKind", "ResultCode", "StatusFlag", "Trait"],
        "status": ["Status"],
        "top": ["DeviceModel"],
    },
)
