"""What can go wrong with a build."""


class BuildError(RuntimeError):
    """A tool is missing or failed, or the design does not fit or is too slow; the message says what to do about it."""
