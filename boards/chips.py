"""FPGA chips: the tools' options for them, and their resources."""

from dataclasses import dataclass
from typing import Any, Literal

from amaranth.vendor import GowinPlatform, LatticeICE40Platform, LatticePlatform

Family = Literal["ice40", "ecp5", "gowin"]
RESOURCES = ("lut", "ff", "bram", "spram", "dsp")


@dataclass(frozen=True)
class Chip:
    """An FPGA.

    | field | meaning |
    |---|---|
    | `name`, `family` | Amaranth's name of the device; its chip family |
    | `options` | options for the place-and-route tool |
    | `lut` | 4-input LUTs, including those of carry cells |
    | `ff` | flip-flops |
    | `bram`, `bram_bits` | block RAMs; bits of each |
    | `spram` | 256-Kbit single-port RAMs (iCE40 UltraPlus) |
    | `dsp` | 18x18 multipliers (iCE40: 16x16) |
    """

    name: str
    family: Family
    options: tuple[str, ...]
    lut: int
    ff: int
    bram: int
    spram: int
    dsp: int
    bram_bits: int

    def available(self, resource: str) -> int:
        """The amount of a resource, by its name in `RESOURCES`."""
        count: int = getattr(self, resource)
        return count


#: Amaranth's device name -> nextpnr's option, and the amounts in the order of `RESOURCES`
_ICE40 = {
    "iCE40UP5K": ("--up5k", (5280, 5280, 30, 4, 8)),
    "iCE40HX8K": ("--hx8k", (7680, 7680, 32, 0, 0)),
    "iCE40HX4K": ("--hx8k", (7680, 7680, 32, 0, 0)),
    "iCE40HX1K": ("--hx1k", (1280, 1280, 16, 0, 0)),
}
_ECP5 = {
    "LFE5U-12F": ("--12k", (24288, 24288, 56, 0, 28)),
    "LFE5U-25F": ("--25k", (24288, 24288, 56, 0, 28)),
    "LFE5U-45F": ("--45k", (43848, 43848, 108, 0, 72)),
    "LFE5U-85F": ("--85k", (83640, 83640, 208, 0, 156)),
}
_GOWIN = {"GW1N-9C": ("family=GW1N-9C", (8640, 6480, 26, 0, 20))}
_BLOCK_RAM_BITS: dict[Family, int] = {"ice40": 4096, "ecp5": 18432, "gowin": 18432}
_ECP5_PACKAGES = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381", "BG554": "CABGA554"}
_PACKAGE_SUFFIX = {"iCE40HX4K": ":4k"}


def chip(platform: Any) -> Chip:
    """The chip of an Amaranth platform. ValueError where it is not supported."""
    if isinstance(platform, LatticeICE40Platform) and platform.device in _ICE40:
        option, counts = _ICE40[platform.device]
        package = str(platform.package).lower() + _PACKAGE_SUFFIX.get(platform.device, "")
        return _chip(platform.device, "ice40", (option, "--package", package), counts)
    if isinstance(platform, LatticePlatform) and platform.device in _ECP5 and platform.package in _ECP5_PACKAGES:
        option, counts = _ECP5[platform.device]
        options = (option, "--package", _ECP5_PACKAGES[platform.package], "--speed", str(platform.speed))
        return _chip(platform.device, "ecp5", options, counts)
    if isinstance(platform, GowinPlatform):
        die = platform.family.replace("GW1NR-", "GW1N-")  # R: the same die beside a memory die
        if die in _GOWIN:
            option, counts = _GOWIN[die]
            return _chip(die, "gowin", ("--device", platform.part, "--vopt", option), counts)
    device = getattr(platform, "device", getattr(platform, "part", type(platform).__name__))
    supported = ", ".join([*_ICE40, *_ECP5, *_GOWIN])
    raise ValueError(f"the board's chip must be one of {supported}, not {device!r}")


def _chip(name: str, family: Family, options: tuple[str, ...], counts: tuple[int, ...]) -> Chip:
    return Chip(name, family, options, **dict(zip(RESOURCES, counts, strict=True)), bram_bits=_BLOCK_RAM_BITS[family])
