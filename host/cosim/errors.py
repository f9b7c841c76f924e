"""Errors of simulations."""


class SimulatorError(RuntimeError):
    """The simulator could not be built, or did not finish. The message states the remedy or the end of the log."""
