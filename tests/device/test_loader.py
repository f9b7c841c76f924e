"""Images: their bytes, and a device built from one network that computes another after loading it."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from device.test_core import Opening, key_bytes, play, unlock
from support.component import run

from spikeveil.hdl.device.core import Core
from spikeveil.hdl.device.loader import Loader
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, pack, unpack
from spikeveil.pysim.device.pack import unpack as bits
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.unpack import bitmaps
from spikeveil.pysim.model import image
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import LayerLanes, uniform_lanes
from spikeveil.pysim.model.leak import Leak
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec


def network(seed: int, kind: str) -> NetworkSpec:
    """Networks of one `kind` have one structure; some numbers, and in network 2 all weights and biases, are as large as
    an image can hold.
    """
    rng = np.random.default_rng(seed)

    def weights(neurons: int, inputs: int, bits: int) -> Any:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        if seed == 2:
            return np.repeat(rng.choice([low, high], (neurons, 1)), inputs, axis=1)
        return rng.integers(low, high + 1, (neurons, inputs))

    def numbers(count: int, state_bits: int, low: int) -> Any:
        most = (1 << state_bits) - 1
        if seed == 2 and low < 0:
            return rng.choice([low, most], count)
        values = rng.integers(max(low, -most // 8), most // 8, count)
        values[rng.integers(count)] = most
        return values

    if kind == "biases, thresholds each":
        first = LayerSpec(
            weights(7, 20, 5),
            threshold=numbers(7, 8, 1),
            bias=numbers(7, 8, -(1 << 8)),
            state_bits=8,
            weight_bits=5,
            reset="subtract",
            flip=FlipSpec(3, 3),
        )
        return NetworkSpec([first, LayerSpec(weights(5, 7, 3), state_bits=9, weight_bits=3, readout=True)])
    if kind == "one threshold":
        first = LayerSpec(weights(9, 20, 8), threshold=int(rng.integers(1, 200)), leak=Leak.shift(2), spike_limit=30)
        second = LayerSpec(weights(6, 9, 2), threshold=int(rng.integers(1, 3)), weight_bits=2, flip=FlipSpec(1, 4))
        return NetworkSpec([first, second])
    if kind == "numbers of version 3":
        state = 1 << 7
        first = LayerSpec(
            weights(7, 20, 4),
            threshold=int(rng.integers(1, 60)),
            leak=Leak.scale(0, 5, "nearest"),
            leak_factors=rng.choice([0, 32], 7) if seed == 2 else rng.integers(0, 33, 7),
            initial=rng.integers(-state, state, 7),
            reset="value",
            reset_potential=rng.integers(-state, state, 7),
            fraction_bits=2,
            state_bits=8,
            weight_bits=4,
            flip=FlipSpec(3, 3),
        )
        last = LayerSpec(weights(5, 7, 3), state_bits=9, weight_bits=3, readout=True, initial=rng.integers(-9, 9, 5))
        return NetworkSpec([first, last])
    one = LayerSpec([[int(rng.integers(-2, 2))] * 20], threshold=[1], bias=[1], state_bits=2, weight_bits=2)
    return NetworkSpec([replace(one, flip=FlipSpec(1, 3))])


KINDS = ["biases, thresholds each", "one threshold", "one neuron", "numbers of version 3"]


class Device(wiring.Component):
    """A core and its loader, without a line."""

    def __init__(self, plan: Plan) -> None:
        self.core, self.loader = Core(plan), Loader(plan)
        super().__init__({"never": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core, m.submodules.loader = core, loader = self.core, self.loader
        m.d.comb += [core.load.eq(loader.load), loader.locked.eq(core.busy)]
        return m


async def pulse(ctx: Any, signal: Any) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def feed(ctx: Any, loader: Any, content: bytes, *, pause: int = 0) -> None:
    for place, byte in enumerate(content):
        ctx.set(loader.control.image.valid, 1)
        ctx.set(loader.control.image.payload, byte)
        await ctx.tick()
        if pause and place % pause == 0:
            ctx.set(loader.control.image.valid, 0)
            await ctx.tick()
    ctx.set(loader.control.image.valid, 0)


async def seal(ctx: Any, loader: Any, content: bytes, *, length: int | None = None) -> bool:
    ctx.set(loader.control.length, len(content) if length is None else length)
    ctx.set(loader.control.crc, zlib.crc32(content))
    await pulse(ctx, loader.control.seal)
    return bool(ctx.get(loader.control.loaded))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lanes", "source", "schedule"), [(3, "lfsr", "fast"), (16, "trivium", "private")])
def test_a_device_computes_the_network_that_it_was_given(kind: str, lanes: int, source: Any, schedule: Any) -> None:
    """Built from A; loaded with B, then with A, then with C: what leaves is the golden model's of each. The weights
    outlive the reset that comes before each lease.
    """
    a, b, c = (network(seed, kind) for seed in range(3))
    plan = Plan(a, lanes=lanes, source=source, schedule=schedule, loadable=True)
    dut: Any = Device(plan)
    rng = np.random.default_rng(0)
    seeds = tuple(int(seed) for seed in rng.integers(1, 1 << 60, len(a.flipped)))

    async def bench(ctx: Any) -> None:
        for number, spec in enumerate((b, a, a, c), start=1):
            if number != 3:
                content = plan.image(spec)
                await pulse(ctx, dut.loader.control.clear)
                await feed(ctx, dut.loader, content, pause=number)
                assert ctx.get(dut.loader.control.position) == len(content) == plan.image_bytes
                assert await seal(ctx, dut.loader, content)
            opening = Opening(number, rng.random((2, 2, 20)) < (1 if spec is c else 0.5), seeds=seeds)
            await unlock(ctx, dut.core, plan, opening)
            seen = await play(ctx, dut.core, plan, opening, (4 + plan.slots + 2) * plan.cadence)
            baked = Plan(spec, lanes=lanes, source=source)
            np.testing.assert_array_equal(seen.rows(plan, 2), opening.golden(baked))

    run(dut, bench)


def odd_image(spec: NetworkSpec, lanes: Sequence[LayerLanes]) -> bytes:
    """An image of `spec` whose thresholds and leak factors are noise, which no specification has in part."""
    content, at = bytearray(image.to_bytes(spec, lanes)), 0
    for section in image.sections(spec, lanes):
        if section.name in ("threshold", "leak_factors"):
            content[at : at + section.bytes] = np.random.default_rng(at).bytes(section.bytes)
        at += section.bytes
    return bytes(content)


@pytest.mark.parametrize("each", [True, False])
def test_numbers_that_no_specification_has(each: bool) -> None:
    """No device checks them: gateware and twin take the image, and release the same."""
    rng, lanes = np.random.default_rng(3), 4
    threshold = np.full(8, 9) if each else 9
    first = LayerSpec(rng.integers(-8, 8, (8, 20)), threshold, Leak.shift(2), state_bits=6, weight_bits=4)
    if each:
        first = replace(first, leak=Leak.scale(0, 3), leak_factors=np.arange(1, 9))
    spec = NetworkSpec([first, LayerSpec(rng.integers(-8, 8, (4, 8)), 5, state_bits=5, flip=FlipSpec(1, 3))])
    plan = Plan(spec, lanes=lanes, loadable=True)
    content = odd_image(spec, plan.layer_lanes)
    held = image.from_bytes(spec, plan.layer_lanes, content)
    lowest = [int(np.min(np.asarray(layer.threshold))) for layer in held.layers]
    assert min(lowest) < 1
    dut: Any = Device(plan)
    opening = Opening(1, rng.random((3, 4, 20)) < 0.4)

    async def bench(ctx: Any) -> None:
        await pulse(ctx, dut.loader.control.clear)
        await feed(ctx, dut.loader, content)
        assert await seal(ctx, dut.loader, content)
        await unlock(ctx, dut.core, plan, opening)
        seen = await play(ctx, dut.core, plan, opening, (12 + plan.slots + 2) * plan.cadence)
        found = seen.rows(plan, 4)
        np.testing.assert_array_equal(found, opening.golden(Plan(held, lanes=lanes)))
        np.testing.assert_array_equal(found, by_the_twin(spec, plan.layer_lanes, content, opening))

    run(dut, bench)


def by_the_twin(spec: NetworkSpec, each: tuple[LayerLanes, ...], content: bytes, opening: Opening) -> Any:
    """The output of the model of the complete device with that image."""
    device = DeviceModel(spec, identity(ModelPlan(spec, layer_lanes=each, loadable=True)))
    for at in range(0, len(content), 100):
        device.receive(pack(MessageKind.LOAD, 1, content[at : at + 100], position=at))
    (sealed,) = device.receive(pack(MessageKind.SEAL, 2, length=len(content), crc=zlib.crc32(content)))
    assert unpack(sealed)["result"] == ResultCode.OK
    values = {name: getattr(opening.offer, name) for name in ("lease", "nonce", "quota", "record_steps")}
    device.receive(pack(MessageKind.OPEN, 3, key_bytes(opening.key), **values, format=0))
    data = bitmaps(opening.spikes.reshape(-1, spec.inputs))
    answers = map(unpack, device.receive(pack(MessageKind.INPUT, 4, data, nonce=1, position=0, confirmed=0)))
    output = b"".join(one.data for one in answers if one.kind is MessageKind.OUTPUT)
    return bits(output, spec.outputs, 1).reshape(*opening.spikes.shape[:2], -1)


def test_networks_of_a_kind_differ() -> None:
    """Else the test above would hold for a device that loads nothing."""
    for kind in KINDS[:2]:
        nets = [network(seed, kind) for seed in range(3)]
        assert len({net.fingerprint for net in nets}) == 3
        assert len({image.structure(net) for net in nets}) == 1
        spikes = np.random.default_rng(0).random((2, 2, 20)) < 0.5
        shown = [Opening(1, spikes, seeds=(1, 2)).golden(Plan(net, lanes=3, source="trivium")) for net in nets]
        assert not (shown[0] == shown[1]).all()
        assert not (shown[1] == shown[2]).all()


def test_only_a_whole_image_is_sealed() -> None:
    """Whatever is missing, surplus, changed or stated wrong; while a lease is open nothing moves at all."""
    plan = Plan(network(0, "one threshold"), lanes=4, loadable=True)
    content = plan.image(plan.spec)
    flipped = bytes([*content[:-1], content[-1] ^ 1])
    dut: Any = Loader(plan)

    async def bench(ctx: Any) -> None:
        loader = dut
        assert not ctx.get(loader.control.loaded)
        await feed(ctx, loader, content[:-1])
        assert not await seal(ctx, loader, content[:-1])  # all that came, and it is not all
        await feed(ctx, loader, content[-1:])
        assert not await seal(ctx, loader, content, length=len(content) + 1)
        assert not await seal(ctx, loader, flipped)
        assert not ctx.get(loader.control.loaded)
        await feed(ctx, loader, b"more")
        assert ctx.get(loader.control.position) == len(content)
        assert await seal(ctx, loader, content)
        ctx.set(loader.locked, 1)
        await pulse(ctx, loader.control.clear)
        await feed(ctx, loader, content)
        ctx.set(loader.control.crc, 0)
        await pulse(ctx, loader.control.seal)
        assert ctx.get(loader.control.loaded)
        assert ctx.get(loader.control.position) == len(content)
        ctx.set(loader.locked, 0)
        assert not await seal(ctx, loader, flipped)
        await pulse(ctx, loader.control.clear)
        assert ctx.get(loader.control.position) == 0
        await feed(ctx, loader, flipped)
        assert not await seal(ctx, loader, content)
        assert await seal(ctx, loader, flipped)
        await pulse(ctx, loader.control.clear)
        assert not ctx.get(loader.control.loaded)

    async def watch(ctx: Any) -> None:
        """Words are written while an image comes, each memory's from address 0 on, and at no other time."""
        writes = []
        async for _, _, to, address, position in ctx.tick().sample(dut.load.to, dut.load.address, dut.control.position):
            if to:
                writes.append((to, address))
                assert position
            if len(writes) == 2 * sum(section.words for section in plan.sections):
                break
        expected = [(1 << place, word) for place, section in enumerate(plan.sections) for word in range(section.words)]
        assert writes == expected * 2

    run(dut, bench, watch)


def test_the_bytes_by_hand() -> None:
    """Two lanes, 3-bit weights: a word is one byte. Rows of neurons come first, in each an input after the other."""
    layer = LayerSpec(
        [[1, -1], [2, -2], [3, -4]],
        threshold=[5, 6, 7],
        bias=[-1, 0, 15],
        state_bits=4,
        weight_bits=3,
        flip=FlipSpec(1),
    )
    spec = NetworkSpec([layer, LayerSpec([[1, 1, -128]], threshold=300)])
    each = (LayerLanes(2, 2), LayerLanes(1, 1))
    content = image.to_bytes(spec, each)
    weights = [0b010_001, 0b110_111, 0b011, 0b100]
    biases = [0b00000_11111, 0, 0b01111, 0]
    thresholds = [0b00110_00101, 0, 0b00001_00111, 0]
    assert content[:12] == bytes([*weights, *(b & 255 for b in biases), *(t & 255 for t in thresholds)])
    assert content[12:] == bytes([1, 1, 0x80, 300 & 255, 1, 0])
    assert [section.bytes for section in image.sections(spec, each)] == [4, 4, 4, 3, 3]


def test_thresholds_stand_in_rows_of_neurons_that_are_scanned_at_once() -> None:
    """Four lanes, scanned two by two: the five thresholds are three words of two, the weights two words of four."""
    spec = NetworkSpec(
        [LayerSpec(np.ones((5, 1), int), [5, 6, 7, 8, 9], weight_bits=2, state_bits=7, flip=FlipSpec(1))]
    )
    content = image.to_bytes(spec, [LayerLanes(4, 2)])
    assert content[:2] == bytes([0b01_01_01_01, 0b01])
    assert content[2:] == bytes([5, 6, 7, 8, 9, 1])
    assert image.from_bytes(spec, [LayerLanes(4, 2)], content) == spec


@pytest.mark.parametrize("lanes", [1, 3, 8, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_says_everything_but_the_structure(kind: str, lanes: int) -> None:
    a, b = network(0, kind), network(1, kind)
    for each in (uniform_lanes(a, lanes), Plan(a, lanes=lanes).layer_lanes):
        content = image.to_bytes(b, each)
        assert len(content) == image.size(a, each)
        assert image.from_bytes(a, each, content) == b
        assert image.from_bytes(image.widest_network(a), each, content) == b


def test_structure_is_everything_but_the_numbers() -> None:
    spec = network(0, "one threshold")
    first, second = spec.layers
    assert re.fullmatch("[0-9a-f]{64}", image.structure(spec))
    assert image.structure(NetworkSpec([replace(first, threshold=7), second])) == image.structure(spec)
    for changed in (
        NetworkSpec([replace(first, threshold=np.full(9, 7)), second]),
        NetworkSpec([replace(first, bias=np.zeros(9, int)), second]),
        NetworkSpec([replace(first, spike_limit=31), second]),
        NetworkSpec([first, replace(second, flip=FlipSpec(2, 4))]),
        NetworkSpec([first, second], cadence=10**6),
        NetworkSpec([replace(first, weights=first.weights[:, :19]), second]),
    ):
        assert image.structure(changed) != image.structure(spec)


def test_refuses_in_one_sentence() -> None:
    spec = network(0, "one threshold")
    first, second = spec.layers
    baked, loadable = Plan(spec), Plan(spec, loadable=True)
    odd = NetworkSpec([replace(first, spike_limit=31), second])
    cases = {
        "loadable must be True for an image, not False: the numbers of this network are built in": lambda: baked.image(
            spec
        ),
        f"image network must have the structure {image.structure(spec)[:16]}... of the device, "
        f"not {image.structure(odd)[:16]}...": lambda: loadable.image(odd),
        "layer 0 threshold in an image must be 1 to 65535, not 65536": lambda: loadable.image(
            NetworkSpec([replace(first, threshold=65536), second])
        ),
        "layer 1 bias in an image must be -65536 to 65535, not -65537": lambda: Plan(
            NetworkSpec([first, replace(second, bias=np.full(6, -65537))]), loadable=True
        ),
        "layer 0 potentials must fit 32 bits under any image, and need 33 where all 20 weights are -128": lambda: Plan(
            NetworkSpec([replace(first, state_bits=31, bias=np.zeros(9, int)), second]), loadable=True
        ),
        "loadable must be True or False, not 1": lambda: Plan(spec, loadable=1),  # type: ignore[arg-type]
        f"image must have {image.size(spec, uniform_lanes(spec, 4))} bytes, not 3": lambda: image.from_bytes(
            spec, uniform_lanes(spec, 4), b"abc"
        ),
        "lanes must be 1 to 64, not 65": lambda: uniform_lanes(spec, 65),
        "scan must divide the 6 lanes, not be 4": lambda: LayerLanes(6, 4),
    }
    for sentence, call in cases.items():
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == sentence
