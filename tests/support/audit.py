"""Checks all traffic between driver and device: what was opened, sent and released, over any number of runs."""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.watch import golden_bytes

from spikeveil.host.device.frames import Receiver
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import Message, MessageKind, unpack
from spikeveil.pysim.device.pack import pack
from spikeveil.pysim.model.spec import NetworkSpec


@dataclass
class Opened:
    """A lease: its OPEN, and the bytes of its input and output by position."""

    opening: Message
    inputs: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)


class Audit:
    """Records what host and device send, before any faults on the line.

    At once: an OPEN must be for a lease that the ledger at `path` already holds, with its quota; a (secret, lease) pair
    must have one nonce; a byte of input or output must have one value. At the end, call `check`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.leases: dict[int, Opened] = {}
        self._pairs: dict[tuple[bytes, int], int] = {}
        self._receivers: dict[str, Receiver] = defaultdict(Receiver)

    def record(self, direction: str, data: bytes) -> None:
        """Record bytes that go "up" to the device or "down" from it."""
        for body in self._receivers[direction].feed(data):
            with suppress(ValueError):
                self._message(unpack(body))

    def _message(self, message: Message) -> None:
        if message.kind is MessageKind.OPEN:
            self._open(message)
        elif message.kind is MessageKind.INPUT:
            self._bytes(self.leases[message["nonce"]].inputs, message)
        elif message.kind is MessageKind.OUTPUT:
            assert message["nonce"] in self.leases, "output of a lease that was never opened"
            self._bytes(self.leases[message["nonce"]].outputs, message)

    def _open(self, message: Message) -> None:
        nonce, pair = message["nonce"], (message.data, message["lease"])
        assert self._pairs.setdefault(pair, nonce) == nonce, "a secret and a lease number were used twice"
        known = self.leases.setdefault(nonce, Opened(message)).opening
        assert (known.values, known.data) == (message.values, message.data), "two leases with one nonce"
        assert message["quota"] <= self.leased()[message["lease"]], "opened with more than the ledger leased"

    @staticmethod
    def _bytes(values: dict[int, int], message: Message) -> None:
        for at, byte in enumerate(message.data, message["position"]):
            assert values.setdefault(at, byte) == byte, f"two values at position {at} of {message.kind.name}"

    def leased(self) -> dict[int, int]:
        """Lease number -> steps leased, read from the ledger file."""
        with closing(sqlite3.connect(self.path, timeout=60)) as raw:
            rows = raw.execute("SELECT lease, content FROM entries WHERE lease IS NOT NULL").fetchall()
        sessions = {lease: json.loads(content)["session"] for lease, content in rows}
        return {lease: session["releases"] * session["steps"] for lease, session in sessions.items()}

    def check(self, spec: NetworkSpec, identity: Identity, ledger: Ledger) -> int:
        """Compare the output with the model's for the input that was sent, within the quota; steps released.

        Output that the device sent while the port was closed was not recorded, and need not have been sent again.
        """
        ledger.verify()
        steps, leased, size = 0, self.leased(), identity.output_bytes
        for lease in self.leases.values():
            count = 1 + max(lease.outputs, default=-1)
            if not count:
                continue
            released = -(-count // size)
            assert released <= leased[lease.opening["lease"]]
            inputs = bytes(lease.inputs[at] for at in sorted(lease.inputs))
            expected = golden_bytes(spec, identity, lease.opening, inputs, released)
            assert all(expected[at] == byte for at, byte in lease.outputs.items())
            steps += released
        return steps

    def check_rows(
        self, rows: NDArray[Any], leases: NDArray[np.int64], indices: NDArray[np.int64], identity: Identity
    ) -> None:
        """The records (records, steps, neurons) of a run are what the device sent under `leases` at these indices."""
        opened = {lease.opening["lease"]: lease for lease in self.leases.values()}
        size = rows.shape[1] * identity.output_bytes
        for record, lease, index in zip(rows, leases, indices, strict=True):
            outputs = opened[int(lease)].outputs
            found = bytes(outputs[at] for at in range(int(index) * size, (int(index) + 1) * size))
            assert found == pack(record, identity.output_bits)
