"""The length of a training run, and the accountant of a private one."""

from dataclasses import dataclass

from spikeveil.host.training.config import Config
from spikeveil.host.training.privacy_meter import PrivacyMeter


@dataclass(frozen=True)
class TrainingPlan:
    """The length of a run.

    - `steps`: steps of the run, fewer than `configured_steps` where a limit of epsilon comes first;
    - `configured_steps`: steps that the configuration asks for;
    - `steps_per_epoch`: dataset_size / batch_size, rounded up;
    - `meter`: the accountant, None without privacy.
    """

    steps: int
    configured_steps: int
    steps_per_epoch: int
    meter: PrivacyMeter | None


def plan_of(config: Config, dataset_size: int) -> TrainingPlan:
    """The plan of a run. Raises ValueError where not even one step fits the limit of epsilon."""
    configured_steps, steps_per_epoch = config.steps(dataset_size), -(-dataset_size // config.batch_size)
    mechanism = config.mechanism(dataset_size)
    if mechanism is None or config.privacy is None:
        return TrainingPlan(configured_steps, configured_steps, steps_per_epoch, None)
    meter = PrivacyMeter(mechanism, config.privacy.delta, config.privacy.method)
    limit = config.privacy.epsilon_limit
    steps = configured_steps if limit is None else meter.max_steps(limit, configured_steps)
    if steps == 0:
        raise ValueError(f"privacy epsilon_limit must be at least {meter.epsilon(1):.6g}, one step's cost, not {limit}")
    return TrainingPlan(steps, configured_steps, steps_per_epoch, meter)
