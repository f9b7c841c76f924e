"""The device's twin: every rule of docs/protocol.md at the level of messages, with the golden model behind."""

import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeveil.host.device.input_encoding import encode_input
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, LfsrSource, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.device import pack as packing
from spikeveil.pysim.device import unpack as steps_of
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag, pack, reverse_key, unpack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.model import image
from spikeveil.pysim.model.layer import cap_inputs

KEY = bytes(range(60, 70))
STEPS = 5
DICE = np.random.default_rng(11)
HIDDEN = LayerSpec(DICE.integers(-9, 20, (9, 12)), 30, leak=Leak.shift(2), flip=FlipSpec(60, 8), input_cap=5)
LAST = LayerSpec(DICE.integers(-9, 20, (11, 9)), 25, reset="subtract", flip=FlipSpec(1, 3), spike_limit=20)
SPEC = NetworkSpec([HIDDEN, LAST])
READOUT = NetworkSpec([HIDDEN, LayerSpec(DICE.integers(-9, 20, (3, 9)), readout=True, state_bits=13)])
SPIKES = DICE.random((7, STEPS, 12)) < 0.3
DATA = steps_of.bitmaps(SPIKES.reshape(-1, 12))
QUOTA = SPIKES.shape[0] * STEPS


class Host:
    """Sends messages to a twin and keeps the output that comes."""

    def __init__(self, device: DeviceModel, nonce: int = 77) -> None:
        self.device, self.nonce, self.output = device, nonce, bytearray()

    def ask(self, kind: MessageKind, data: bytes = b"", **values: int) -> Status | None:
        """The STATUS that comes with this tag, None where an OUTPUT stands for it."""
        found = None
        for message in map(unpack, self.device.receive(pack(kind, 5, data, **values))):
            if message.kind is MessageKind.STATUS:
                assert message.tag == 5
                found = Status.from_message(message)
            else:
                self.gather(message)
        return found

    def result(self, kind: MessageKind, data: bytes = b"", **values: int) -> ResultCode:
        status = self.ask(kind, data, **values)
        return ResultCode.OK if status is None else status.result

    def gather(self, message: Message) -> None:
        assert (message.kind, message.tag, message["nonce"]) == (MessageKind.OUTPUT, 0, self.nonce)
        if message["position"] == len(self.output):
            self.output += message.data

    def open(self, lease: int = 5, quota: int = QUOTA, secret: bytes = reverse_key(KEY), format: int = 0) -> ResultCode:
        self.output.clear()
        values = {"lease": lease, "nonce": self.nonce, "quota": quota, "record_steps": STEPS, "format": format}
        return self.result(MessageKind.OPEN, secret, **values)

    def put(self, data: bytes, position: int, confirmed: int | None = None) -> ResultCode:
        confirmed = len(self.output) if confirmed is None else confirmed
        return self.result(MessageKind.INPUT, data, nonce=self.nonce, position=position, confirmed=confirmed)

    def take(self, confirmed: int | None = None, resend: int = 0) -> Status:
        confirmed = len(self.output) if confirmed is None else confirmed
        status = self.ask(MessageKind.TAKE, nonce=self.nonce, confirmed=confirmed, resend=resend)
        assert status is not None
        return status

    def status(self) -> Status:
        status = self.ask(MessageKind.POLL)
        assert status is not None
        return status

    def all(self, data: bytes, piece: int = 20) -> bytes:
        """Send everything, go back where the device says, and take until nothing more comes."""
        position = 0
        while position < len(data):
            self.put(data[position : position + piece], position)
            self.take()
            position = self.status().input_position
        before = -1
        while len(self.output) > before:
            before = len(self.output)
            self.take()
        return bytes(self.output)


def expected(spec: NetworkSpec, lease: int, spikes: NDArray[np.bool_] = SPIKES, source: Any = None) -> NDArray[Any]:
    result = Network(spec, source or TriviumSource(KEY)).run(spikes, lease=lease)
    rows = result.readout if result.released is None else result.released
    return np.asarray(rows).reshape(-1, spec.outputs)


@pytest.mark.parametrize("piece", [1, 3, 20, 70])
@pytest.mark.parametrize(("window", "outbox"), [(2048, 2048), (8, 4), (70, 1)])
def test_output_is_the_golden_models_for_any_sizes(piece: int, window: int, outbox: int) -> None:
    host = Host(DeviceModel(SPEC, identity(ModelPlan(SPEC), window=window, outbox=outbox)))
    assert host.open() is ResultCode.OK
    output = host.all(DATA, min(piece, window))
    np.testing.assert_array_equal(packing.unpack(output, 11, 1), expected(SPEC, 5))
    status = host.status()
    assert (status.quota, status.flags) == (0, StatusFlag.LOADED)
    assert (status.input_position, status.output_position) == (len(DATA), len(output))


def test_potentials_leave_a_readout() -> None:
    host = Host(DeviceModel(READOUT))
    host.open()
    output = host.all(DATA)
    assert len(output) == QUOTA * 5  # 3 potentials of 13 bits
    np.testing.assert_array_equal(packing.unpack(output, 3, 13, signed=True), expected(READOUT, 5))


def test_seeds_of_an_lfsr() -> None:
    seeds = [int.from_bytes(os.urandom(16), "little") | 1 for _ in range(2)]
    secret = b"".join(seed.to_bytes(16, "little") for seed in seeds)
    host = Host(DeviceModel(SPEC, identity(ModelPlan(SPEC, source="lfsr"))))
    assert host.open(secret=bytes(16) + secret[16:]) is ResultCode.MALFORMED
    assert host.open(secret=(1 << 127).to_bytes(16, "little") + secret[16:]) is ResultCode.MALFORMED
    assert host.status().lease == 0
    assert host.open(secret=secret) is ResultCode.OK
    source = LfsrSource([seed % (1 << 127) for seed in seeds])
    np.testing.assert_array_equal(packing.unpack(host.all(DATA), 11, 1), expected(SPEC, 5, source=source))


def test_a_new_lease_begins_anew_and_an_old_number_never() -> None:
    host = Host(DeviceModel(SPEC))
    assert host.open(lease=0) is ResultCode.STALE
    assert host.open(lease=5) is ResultCode.OK
    host.put(DATA[:13], 0)
    for lease in (5, 4, 1):
        assert host.open(lease) is ResultCode.STALE
    host.output.clear()
    assert host.status().input_position == 13
    host.nonce = 78
    assert host.open(lease=6) is ResultCode.OK
    np.testing.assert_array_equal(packing.unpack(host.all(DATA), 11, 1), expected(SPEC, 6))


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"quota": 0}, ResultCode.MALFORMED),
        ({"secret": bytes(9)}, ResultCode.MALFORMED),
        ({"secret": bytes(11)}, ResultCode.MALFORMED),
        ({"format": 2}, ResultCode.MALFORMED),
        ({"lease": 5}, ResultCode.STALE),
    ],
)
def test_a_refused_opening_changes_nothing(change: dict[str, Any], result: ResultCode) -> None:
    host = Host(DeviceModel(SPEC))
    host.open(lease=5)
    host.put(DATA[:7], 0)
    before = host.status()
    assert host.open(**({"lease": 6} | change)) is result
    assert host.status() == before


@pytest.mark.parametrize("quota", [1, STEPS, STEPS + 2])
def test_no_more_leaves_than_the_quota(quota: int) -> None:
    host = Host(DeviceModel(SPEC))
    host.open(quota=quota)
    assert host.put(DATA, 0) is ResultCode.OK
    assert len(host.output) == quota * 2
    assert host.put(DATA, len(DATA)) is ResultCode.CLOSED
    assert host.take().result is ResultCode.OK
    np.testing.assert_array_equal(packing.unpack(bytes(host.output), 11, 1), expected(SPEC, 5)[:quota])


def test_nothing_before_a_lease_and_nothing_for_another_nonce() -> None:
    host = Host(DeviceModel(SPEC))
    for nonce in (0, 77):
        host.nonce = nonce
        assert host.put(b"x", 0) is ResultCode.CLOSED
        assert host.take().result is ResultCode.CLOSED
        assert host.result(MessageKind.CLOSE, nonce=nonce) is ResultCode.CLOSED
    host.open()
    host.nonce = 76
    assert host.put(b"x", 0) is ResultCode.CLOSED
    assert host.take(resend=1).result is ResultCode.CLOSED
    assert host.result(MessageKind.CLOSE, nonce=76) is ResultCode.CLOSED


def test_pieces_in_order_only() -> None:
    host = Host(DeviceModel(SPEC, identity(ModelPlan(SPEC), window=30, outbox=1)))
    host.open()
    assert host.put(DATA[:20], 0, confirmed=0) is ResultCode.OK
    assert host.put(DATA[:20], 0, confirmed=0) is ResultCode.GAP
    assert host.put(DATA[21:25], 21, confirmed=0) is ResultCode.GAP
    room = host.status().input_room
    assert room < 30
    assert host.put(bytes(room + 1), 20, confirmed=0) is ResultCode.FULL
    assert host.put(bytes(room), 20, confirmed=0) is ResultCode.OK
    assert host.status().input_room == 0


def test_output_stays_until_it_is_confirmed() -> None:
    host = Host(DeviceModel(SPEC))
    host.open()
    host.put(DATA, 0)
    first = bytes(host.output)
    host.output.clear()
    host.take(confirmed=0, resend=1)
    assert bytes(host.output) == first
    assert host.take(confirmed=len(first) + 1).confirmed == 0  # never sent
    assert host.take(confirmed=10).confirmed == 10
    assert host.take(confirmed=9).confirmed == 10  # confirmed already
    host.output[:] = first[:10]
    host.take(confirmed=10, resend=1)
    assert bytes(host.output) == first


def test_closing_shuts_the_gate_and_keeps_what_left() -> None:
    host = Host(DeviceModel(SPEC, identity(ModelPlan(SPEC), outbox=5)))
    host.open()
    host.put(DATA, 0)
    assert len(host.output) == 5  # two steps and a half
    assert host.result(MessageKind.CLOSE, nonce=77) is ResultCode.OK
    assert (host.status().flags, host.status().quota) == (StatusFlag.LOADED, 0)
    host.take()
    assert len(host.output) == 6
    assert host.take().output_position == 6
    np.testing.assert_array_equal(packing.unpack(bytes(host.output), 11, 1), expected(SPEC, 5)[:3])
    assert host.result(MessageKind.CLOSE, nonce=77) is ResultCode.CLOSED


def test_power_off_forgets_everything() -> None:
    device = DeviceModel(SPEC)
    host = Host(device)
    host.open()
    host.put(DATA, 0)
    device.count_damaged(3)
    assert host.status().damaged == 3
    device.power_cycle()
    assert host.status() == Host(DeviceModel(SPEC)).status()
    assert host.take().result is ResultCode.CLOSED


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"\x00\x09", ResultCode.UNKNOWN),
        (b"\x09\x09", ResultCode.UNKNOWN),
        (b"\x81\x09", ResultCode.UNKNOWN),
        (b"\x02\x09\x00", ResultCode.MALFORMED),
        (b"\x06\x09\x00", ResultCode.MALFORMED),
        (pack(MessageKind.LOAD, 9, b"abc", position=0), ResultCode.UNKNOWN),
        (pack(MessageKind.SEAL, 9, length=0, crc=0), ResultCode.UNKNOWN),
        (b"\x04\x09\x00", ResultCode.UNKNOWN),
    ],
)
def test_strange_bodies_get_their_result(body: bytes, result: ResultCode) -> None:
    (answer,) = DeviceModel(SPEC).receive(body)
    message = unpack(answer)
    assert (message.kind, message.tag, message["result"]) == (MessageKind.STATUS, 9, result)


def test_an_image_is_loaded_in_order_and_sealed() -> None:
    other = NetworkSpec([replace(HIDDEN, weights=-HIDDEN.weights + 1), LAST])
    device = DeviceModel(SPEC, identity(ModelPlan(SPEC, loadable=True)))
    host, content = Host(device), image.to_bytes(other, device.identity.layers)
    assert device.identity.image == len(content)
    assert host.open() is ResultCode.UNLOADED
    crc = zlib.crc32(content)
    assert host.result(MessageKind.SEAL, length=len(content), crc=crc) is ResultCode.MISMATCH
    half = len(content) // 2
    assert host.result(MessageKind.LOAD, content[:half], position=0) is ResultCode.OK
    assert host.result(MessageKind.LOAD, content[half - 1 :], position=half - 1) is ResultCode.GAP
    assert host.result(MessageKind.LOAD, content[half:] + b"x", position=half) is ResultCode.FULL
    assert host.result(MessageKind.LOAD, content[half:], position=half) is ResultCode.OK
    assert host.result(MessageKind.SEAL, length=len(content), crc=crc ^ 1) is ResultCode.MISMATCH
    assert host.result(MessageKind.SEAL, length=len(content) - 1, crc=crc) is ResultCode.MISMATCH
    assert host.result(MessageKind.SEAL, length=len(content), crc=crc) is ResultCode.OK
    assert host.result(MessageKind.SEAL, length=len(content), crc=crc) is ResultCode.OK
    assert host.open() is ResultCode.OK
    assert host.result(MessageKind.LOAD, content[:half], position=0) is ResultCode.LOCKED
    assert host.result(MessageKind.SEAL, length=len(content), crc=crc) is ResultCode.LOCKED
    np.testing.assert_array_equal(packing.unpack(host.all(DATA), 11, 1), expected(other, 5))
    assert host.result(MessageKind.LOAD, b"", position=0) is ResultCode.OK
    assert host.open(lease=6) is ResultCode.UNLOADED


def test_identity() -> None:
    (answer,) = DeviceModel(SPEC).receive(pack(MessageKind.IDENTIFY, 200))
    message = unpack(answer)
    assert (message.kind, message.tag, message["version"], message["fingerprint"].hex()) == (
        MessageKind.IDENTITY,
        200,
        2,
        SPEC.fingerprint,
    )


def test_steps_by_hand() -> None:
    row = np.zeros((1, 12), np.bool_)
    row[0, [0, 3, 9]] = True
    assert steps_of.bitmaps(row) == b"\x09\x02"
    assert steps_of.padded(row, 5) == b"\x00\x03\x09\xff\xff"
    assert steps_of.counted(row[0]) == b"\x03\x00\x03\x09"
    wide = np.zeros((1, 300), np.bool_)
    wide[0, 258] = True
    assert steps_of.padded(wide, 2) == b"\x02\x01\xff\xff"
    assert steps_of.shortest(wide) == b"\x01\x02\x01"
    assert steps_of.shortest(row) == b"\xff\x09\x02"
    assert packing.pack(np.array([[1, 0, 1, 1, 0, 0, 0, 0, 1]]), 1) == b"\x0d\x01"
    assert packing.pack(np.array([[-1, 5]]), 5) == b"\xbf\x00"


@pytest.mark.parametrize("inputs", [1, 8, 9, 255, 256, 700])
def test_both_formats_come_back_in_pieces(inputs: int) -> None:
    steps = DICE.random((20, inputs)) < DICE.choice([0.01, 0.1, 0.9], (20, 1))
    for format, data in ((0, steps_of.bitmaps(steps)), (1, steps_of.shortest(steps))):
        unpacker = steps_of.Unpacker(inputs, format)
        got = [unpacker.take(data[at : at + 7], 100) for at in range(0, len(data), 7)]
        np.testing.assert_array_equal(np.concatenate(got), steps)
        assert unpacker.buffered == 0


def test_indices_in_any_order_repeated_or_out_of_range() -> None:
    for unpacker, count in ((steps_of.Unpacker(12, 1), b"\x06"), (steps_of.Unpacker(12, 1, 6), b"")):
        (row,) = unpacker.take(count + b"\x0b\x00\x0b\x0c\xff\x03", 1)
        assert np.flatnonzero(row).tolist() == [0, 3, 11]


def private(inputs: int, cap: int | None) -> NetworkSpec:
    return NetworkSpec([LayerSpec(np.ones((2, inputs), int), 3, input_cap=cap, flip=FlipSpec(1, 2))])


@pytest.mark.parametrize(("inputs", "cap", "count"), [(200, 3, 3), (12, 5, None), (200, None, None), (3000, 190, None)])
def test_a_private_host_gives_every_step_one_length(inputs: int, cap: int | None, count: int | None) -> None:
    spec = private(inputs, cap)
    assert steps_of.indices_are_shorter(spec) == (count is not None)
    steps = DICE.random((2, 30, inputs)) < DICE.random((2, 30, 1))
    lengths = {len(encode_input(one[None, None], spec, private=True)[1]) for one in steps.reshape(-1, inputs)}
    assert len(lengths) == 1
    format, data = encode_input(steps, spec, private=True)
    assert format == (count is not None)
    got = steps_of.Unpacker(inputs, format, steps_of.fixed_indices(spec)).take(data, 100)
    wanted = cap_inputs(steps, spec.layers[0].input_cap) if count else steps
    np.testing.assert_array_equal(got, wanted.reshape(-1, inputs))


def test_a_fast_host_takes_the_shorter() -> None:
    spec, sparse = private(200, None), np.zeros((1, 4, 200), np.bool_)
    assert encode_input(sparse, spec, private=False) == (1, b"\0\0\0\0")
    assert encode_input(~sparse, spec, private=False) == (0, b"\xff" * 100)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: packing.unpack(b"abc", 9, 1), "output must be whole releases of 2 bytes, not 3 bytes"),
        (lambda: steps_of.padded(np.ones((1, 9), np.bool_), 8), "indices of a step must be 9 to 65535, not 8"),
    ],
)
def test_one_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        call()
