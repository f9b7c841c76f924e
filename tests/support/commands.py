"""Commands of `spikeveil`, called in this process as a user calls them."""

import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from spikeveil.host.cli import main


def invoke(*words: object, code: int = 0, env: Mapping[str, str] | None = None) -> Result:
    """The result of `spikeveil` with these words, which ended with exit code `code`.

    AssertionError with the command, exit code, both streams and the traceback where it ended otherwise, or where an
    exception that is no refusal ended it: such a fault has exit code 1 too, and prints nothing.
    """
    arguments = [str(word) for word in words]
    result = CliRunner().invoke(main, arguments, env=env)
    fault = result.exception is not None and not isinstance(result.exception, SystemExit)
    if result.exit_code != code or fault:
        raise AssertionError(f"spikeveil {' '.join(arguments)}\n{_outcome(result, code)}")
    return result


def _outcome(result: Result, code: int) -> str:
    shown = "".join(traceback.format_exception(*result.exc_info)) if result.exc_info else "none\n"
    log = re.search(r"report it with the file (\S+), which", result.stderr)
    shown += Path(log[1]).read_text() if log else ""
    return (
        f"exit code {result.exit_code}, expected {code}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}\n"
        f"--- exception\n{shown}"
    )
