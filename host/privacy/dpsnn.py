"""The privacy columns of DPSNN (Wang, Zhao, Shen, Zhang, Zeng; arXiv 2205.12718), computed anew, beside a sound bound.

DPSNN trains spiking networks by DP-SGD with batches of 250 out of 60,000 images at delta = 1e-5, and gives two figures
for each noise multiplier and number of epochs: "MA" (moments accountant, here the Rényi bound of `DpSgd`) and "CLT"
(the central-limit approximation, which is not a bound). The third column here is the privacy-loss-distribution bound:
what may be claimed.

The settings are those of the paper's tables 1 (MNIST), 2 (Fashion-MNIST) and 4 (time window). Of its printed
epsilons only one was at hand when this was written, 23.20 (MA, MNIST, noise 0.5); the others are None and shown as a
dash: they were NOT compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from spikeveil.host.privacy.dpsgd import DpSgd

BATCH, IMAGES, DELTA = 250, 60_000, 1e-5


@dataclass(frozen=True)
class PrintedSetting:
    """One row of the paper: its place, its noise multiplier, whole epochs, and the MA and CLT epsilons as printed."""

    table: int
    task: str
    noise: float
    epochs: int
    printed_ma: str | None = None
    printed_clt: str | None = None

    @property
    def mechanism(self) -> DpSgd:
        return DpSgd(self.noise, BATCH, IMAGES)

    @property
    def steps(self) -> int:
        return self.mechanism.steps(self.epochs)


SETTINGS: tuple[PrintedSetting, ...] = (
    PrintedSetting(1, "MNIST", 1.6, 60),
    PrintedSetting(1, "MNIST", 1.3, 58),
    PrintedSetting(1, "MNIST", 1.0, 56),
    PrintedSetting(1, "MNIST", 0.7, 50),
    PrintedSetting(1, "MNIST", 0.5, 60, printed_ma="23.20"),
    PrintedSetting(2, "Fashion-MNIST", 1.6, 72),
    PrintedSetting(2, "Fashion-MNIST", 1.3, 76),
    PrintedSetting(2, "Fashion-MNIST", 1.0, 80),
    PrintedSetting(2, "Fashion-MNIST", 0.7, 80),
    PrintedSetting(2, "Fashion-MNIST", 0.5, 69),
    PrintedSetting(4, "window T = 10", 1.0, 75),
    PrintedSetting(4, "window T = 15", 1.0, 76),
)


@dataclass(frozen=True)
class Row:
    """A setting and its epsilons at delta = 1e-5 for all steps; `sound` is None where dp-accounting was not asked."""

    setting: PrintedSetting
    ma: float
    clt: float
    sound: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether both figures round to the digits the paper prints; None where none of its digits are known."""
        pairs = ((self.setting.printed_ma, self.ma), (self.setting.printed_clt, self.clt))
        known = [f"{value:.{len(text.partition('.')[2])}f}" == text for text, value in pairs if text is not None]
        return all(known) if known else None

    @property
    def clt_below_sound(self) -> bool:
        """True where the CLT figure is smaller than the sound bound."""
        return self.sound is not None and self.clt < self.sound


def rows(sound: bool = True) -> Iterator[Row]:
    """Every row in the paper's order. `sound` False leaves out the column that needs dp-accounting."""
    for setting in SETTINGS:
        mechanism, steps = setting.mechanism, setting.steps
        yield Row(
            setting,
            mechanism.epsilon(steps, DELTA, "rdp"),
            mechanism.epsilon(steps, DELTA, "clt"),
            mechanism.epsilon(steps, DELTA, "pld") if sound else None,
        )
