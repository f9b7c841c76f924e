"""What can go wrong with a simulation."""


class SimulatorError(RuntimeError):
    """The simulator could not be built or did not finish; the message names what to do or the log to read."""
