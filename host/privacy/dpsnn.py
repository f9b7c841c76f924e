"""The tables of DPSNN (Wang, Zhao, Shen, Zhang, Zeng; arXiv 2205.12718 v1), its privacy columns computed anew.

DPSNN trains spiking networks by DP-SGD at delta = 1e-5 and prints three figures for each row: "MA" (moments accountant,
here the Rényi bound of `DpSgd`), "CLT" (the central-limit approximation, which is no bound) and its mu. The fourth
column here is the privacy-loss-distribution bound: what may be claimed.

The paper does not print how many epochs a row has. Those below are INFERRED: they are the numbers at which its privacy
columns come out as printed. Its accuracies are those of the best epoch, a choice that no epsilon here covers.

Table 3 is not of one data set size: MA agrees at N = 12,544 (28 subjects x 448 images), CLT and mu at N = 12,992
(29 x 448). The sound bound is computed at the smaller N, where it is larger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from spikeveil.host.privacy.dpsgd import DpSgd

DELTA = 1e-5
TITLES = {
    1: "table 1: MNIST, Net2, T = 5",
    2: "table 2: Fashion-MNIST, Net2, T = 5",
    3: "table 3: Extended YaleB, T = 5",
    4: "table 4: Fashion-MNIST, Net2, sigma = 1",
}


@dataclass(frozen=True)
class PrintedSetting:
    """One row of the paper.

    - `table`, `noise`: its place and its noise multiplier; `window`: time steps T;
    - `snn`, `ann`: test accuracies in per cent as printed, None where none is printed;
    - `ma`, `clt`, `mu`: privacy columns as printed;
    - `epochs`: inferred;
    - `batch`, `images`: B, and the N at which MA agrees; `clt_images`: the N at which CLT and mu agree.
    """

    table: int
    noise: float
    snn: str
    ann: str | None
    ma: str
    clt: str
    mu: str
    epochs: int
    window: int = 5
    batch: int = 250
    images: int = 60_000
    clt_images: int = 60_000

    @property
    def mechanism(self) -> DpSgd:
        """One step at the N of MA."""
        return DpSgd(self.noise, self.batch, self.images)

    @property
    def clt_mechanism(self) -> DpSgd:
        """One step at the N of CLT and mu."""
        return DpSgd(self.noise, self.batch, self.clt_images)

    @property
    def steps(self) -> int:
        """Steps of all epochs at the N of MA, rounded up."""
        return ceil(Fraction(self.epochs * self.images, self.batch))

    @property
    def clt_steps(self) -> int:
        """Steps of all epochs at the N of CLT and mu, rounded up."""
        return ceil(Fraction(self.epochs * self.clt_images, self.batch))


def _yale(noise: float, snn: str, ma: str, clt: str, mu: str, epochs: int) -> PrintedSetting:
    return PrintedSetting(3, noise, snn, None, ma, clt, mu, epochs, batch=256, images=12_544, clt_images=12_992)


SETTINGS: tuple[PrintedSetting, ...] = (
    PrintedSetting(1, 1.6, "97.96", "95.35", "1.46", "1.32", "0.35", 60),
    PrintedSetting(1, 1.3, "98.19", "96.57", "1.93", "1.74", "0.44", 58),
    PrintedSetting(1, 1.0, "98.36", "97.31", "2.93", "2.60", "0.63", 56),
    PrintedSetting(1, 0.7, "98.55", "97.95", "6.55", "5.31", "1.18", 50),
    PrintedSetting(1, 0.5, "98.63", "98.45", "23.20", "21.65", "3.66", 60),
    PrintedSetting(2, 1.6, "87.31", "83.82", "1.61", "1.46", "0.38", 72),
    PrintedSetting(2, 1.3, "87.51", "84.75", "2.23", "2.02", "0.51", 76),
    PrintedSetting(2, 1.0, "87.93", "85.90", "3.55", "3.18", "0.76", 80),
    PrintedSetting(2, 0.7, "88.34", "87.72", "8.28", "7.02", "1.49", 80),
    PrintedSetting(2, 0.5, "88.37", "88.33", "24.98", "23.77", "3.93", 69),
    _yale(2.5, "99.30", "2.21", "1.96", "0.49", 71),
    _yale(2.0, "99.58", "3.05", "2.71", "0.66", 77),
    _yale(1.5, "99.55", "4.42", "3.89", "0.9", 74),
    PrintedSetting(4, 1.0, "87.93", None, "3.55", "3.18", "0.76", 80, window=5),
    PrintedSetting(4, 1.0, "88.49", None, "3.43", "3.06", "0.73", 75, window=10),
    PrintedSetting(4, 1.0, "89.0", None, "3.45", "3.09", "0.74", 76, window=15),
)


@dataclass(frozen=True)
class Row:
    """A setting and its figures at delta = 1e-5 for all steps; `sound` is None where dp-accounting was not asked."""

    setting: PrintedSetting
    ma: float
    clt: float
    mu: float
    sound: float | None

    @property
    def agrees(self) -> bool:
        """Whether MA, CLT and mu all round to the digits that the paper prints."""
        setting = self.setting
        pairs = ((setting.ma, self.ma), (setting.clt, self.clt), (setting.mu, self.mu))
        return all(f"{value:.{len(text.partition('.')[2])}f}" == text for text, value in pairs)

    @property
    def clt_below_sound(self) -> bool:
        """Whether the CLT figure is smaller than the sound bound."""
        return self.sound is not None and self.clt < self.sound


def rows(sound: bool = True) -> Iterator[Row]:
    """Every row in the paper's order. `sound` False leaves out the column that needs dp-accounting."""
    for setting in SETTINGS:
        mechanism, steps = setting.mechanism, setting.steps
        yield Row(
            setting,
            mechanism.epsilon(steps, DELTA, "rdp"),
            setting.clt_mechanism.epsilon(setting.clt_steps, DELTA, "clt"),
            setting.clt_mechanism.mu(setting.clt_steps),
            mechanism.epsilon(steps, DELTA, "pld") if sound else None,
        )
