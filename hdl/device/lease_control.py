"""Interface between command decoder and guard: opens and closes leases."""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import NONCE_BITS, QUOTA_BITS, RECORD_STEPS_BITS
from spikeveil.pysim.model.source import LEASE_BITS


class Offer(data.StructLayout):
    """A lease as the host offers it: the first four fields of OPEN, under the same names."""

    def __init__(self) -> None:
        super().__init__(
            {
                "lease": unsigned(LEASE_BITS),
                "nonce": unsigned(NONCE_BITS),
                "quota": unsigned(QUOTA_BITS),
                "record_steps": unsigned(RECORD_STEPS_BITS),
            }
        )


class LeaseControl(wiring.Signature):
    """Opens and closes leases; `out` is from the command decoder to the guard.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `offer` | `Offer` | out | the offered lease; stable from one cycle before `check` until `begin` |
    | `check` | 1 | out | command: check the offer, and the secret received since `rewind` |
    | `begin` | 1 | out | command: open the granted lease with the secret, received again since `check` |
    | `close` | 1 | out | command: end the lease |
    | `rewind` | 1 | out | command: discard the secret received so far and any granted offer |
    | `secret` | stream, 8 | out | bytes of the secret; always ready; a byte in the cycle of a `rewind` is lost |
    | `loaded` | 1 | out | the weights are loaded |
    | `result` | `ResultCode` | in | result of the last `check` or `begin`, valid one cycle after it |
    | `open` | 1 | in | a lease is open and `quota` is not 0 |
    | `lease`, `nonce` | 40, 32 | in | highest lease number accepted since power-on, and its nonce |
    | `quota` | 32 | in | releases that may still leave; after a granted `check` the offer's quota; otherwise 0 |
    | `start` | 1 | in | one cycle, the first of a lease; no row enters in it |
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "offer": Out(Offer()),
                "check": Out(1),
                "begin": Out(1),
                "close": Out(1),
                "rewind": Out(1),
                "secret": Out(stream.Signature(8)),
                "loaded": Out(1),
                "result": In(ResultCode),
                "open": In(1),
                "lease": In(LEASE_BITS),
                "nonce": In(NONCE_BITS),
                "quota": In(QUOTA_BITS),
                "start": In(1),
            }
        )
