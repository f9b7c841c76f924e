"""Errors of a build."""


class BuildError(RuntimeError):
    """A tool is missing or failed, or the design is unsuitable; the message includes the remedy where there is one."""


class FitError(BuildError):
    """The chip has too little of a resource; the message has the resource and the amount needed."""
