"""What can go wrong with a build."""


class BuildError(RuntimeError):
    """A tool is missing or failed, or the design does not fit or is too slow; the message says what to do about it."""


class FitError(BuildError):
    """The chip has too little of something; the message says of what, and how much is needed."""
