"""Optional dependencies: how a missing one is installed."""


def install_command(extra: str) -> str:
    """The command that installs an extra of pyproject.toml from a checkout; the package is on no index."""
    return f"pip install '.[{extra}]' in the checkout"
