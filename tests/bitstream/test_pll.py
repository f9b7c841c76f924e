"""PLL dividers: those of the vendors' programs, and inside the data sheet."""

from typing import Any

import pytest

from spikeveil.boards.pll import Ecp5Pll, Ice40Pll


@pytest.mark.parametrize(
    ("pll", "expected"),
    [
        (Ice40Pll.solve(12_000_000, 60_000_000), (0, 79, 4, 1)),  # what icepll prints
        (Ice40Pll.solve(12_000_000, 24_000_000), (0, 63, 5, 1)),
        (Ice40Pll.solve(100_000_000, 50_000_000), (0, 7, 4, 5)),
        (Ecp5Pll.solve(25_000_000, 100_000_000), (1, 4, 6)),  # what ecppll prints
        (Ecp5Pll.solve(48_000_000, 96_000_000), (1, 2, 6)),
        (Ecp5Pll.solve(25_000_000, 120_000_000), (5, 24, 5)),
    ],
)
def test_pll_settings(pll: Any, expected: tuple[int, ...]) -> None:
    assert tuple(vars(pll).values()) == expected


def test_pll_settings_stay_inside_the_data_sheet() -> None:
    for output in range(16, 276):
        try:
            pll = Ice40Pll.solve(12_000_000, output * 1_000_000)
        except ValueError:
            continue
        assert 533e6 <= pll.output(12_000_000) * 2**pll.divq <= 1066e6
        assert 10e6 <= 12e6 / (pll.divr + 1) <= 133e6
    for output in range(10, 401):
        try:
            pll = Ecp5Pll.solve(25_000_000, output * 1_000_000)
        except ValueError:
            continue
        assert 400e6 <= pll.output(25_000_000) * pll.divider <= 800e6
