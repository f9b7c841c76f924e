"""PLL settings for an exact output frequency, found by exhaustive search."""

from dataclasses import dataclass
from typing import NoReturn

from spikeveil.pysim.model import checks

MHZ = 1_000_000


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40: VCO = input * (divf + 1) / (divr + 1), output = VCO / 2^divq (Lattice TN1251)."""

    divr: int
    divf: int
    divq: int
    filter_range: int

    def output(self, input_hz: int) -> float:
        """Output frequency in Hz."""
        return input_hz * (self.divf + 1) / ((self.divr + 1) << self.divq)

    @classmethod
    def solve(cls, input_hz: int, output_hz: int) -> "Ice40Pll":
        """Settings for exactly this output. ValueError, with the nearest possible frequencies, where there are none."""
        _check(input_hz, output_hz, 16 * MHZ, 275 * MHZ)
        candidates = [
            cls(divr, divf, divq, _filter_range(input_hz // (divr + 1)))
            for divr in range(16)
            if 10 * MHZ <= input_hz / (divr + 1) <= 133 * MHZ
            for divf in range(128)
            for divq in range(1, 7)
            if 533 * MHZ <= input_hz * (divf + 1) / (divr + 1) <= 1066 * MHZ
        ]
        exact = [pll for pll in candidates if pll.output(input_hz) == output_hz]
        return exact[0] if exact else _refuse(input_hz, output_hz, {pll.output(input_hz) for pll in candidates})


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL, fed back from its first output: output = input * feedback / reference, VCO = output * divider.

    Lattice TN-02200: VCO 400 to 800 MHz, input over `reference` at least 3.125 MHz.
    """

    reference: int
    feedback: int
    divider: int

    def output(self, input_hz: int) -> float:
        """Output frequency in Hz."""
        return input_hz * self.feedback / self.reference

    @classmethod
    def solve(cls, input_hz: int, output_hz: int) -> "Ecp5Pll":
        """Settings for exactly this output. ValueError, with the nearest possible frequencies, where there are none."""
        _check(input_hz, output_hz, 10 * MHZ, 400 * MHZ)
        candidates = [
            cls(reference, feedback, max(1, round(600 * MHZ * reference / (input_hz * feedback))))
            for reference in range(1, 129)
            if input_hz / reference >= 3.125 * MHZ
            for feedback in range(1, 81)
            if 10 * MHZ <= input_hz * feedback / reference <= 400 * MHZ
        ]
        candidates = [
            pll for pll in candidates if pll.divider <= 128 and 400 <= pll.divider * pll.output(input_hz) / MHZ <= 800
        ]
        exact = [pll for pll in candidates if pll.output(input_hz) == output_hz]
        return exact[0] if exact else _refuse(input_hz, output_hz, {pll.output(input_hz) for pll in candidates})


def _check(input_hz: int, output_hz: int, output_min: int, output_max: int) -> None:
    checks.integer("input_hz", input_hz, 10 * MHZ, 133 * MHZ)
    checks.integer("output_hz", output_hz, output_min, output_max)


def _filter_range(reference_hz: int) -> int:
    """Setting of the loop filter for a phase detector at `reference_hz`."""
    return next((value for value, limit in enumerate((17, 26, 44, 66, 101), 1) if reference_hz < limit * MHZ), 6)


def _refuse(input_hz: int, output_hz: int, reachable: set[float]) -> NoReturn:
    nearest_below = max((value for value in reachable if value < output_hz), default=min(reachable))
    nearest_above = min((value for value in reachable if value > output_hz), default=max(reachable))
    raise ValueError(
        f"the PLL cannot make {output_hz / MHZ:g} MHz from {input_hz / MHZ:g} MHz; the nearest it can are "
        f"{nearest_below / MHZ:.6g} and {nearest_above / MHZ:.6g} MHz"
    )
