"""The helper of the command tests raises with all that a command left behind."""

from pathlib import Path

import click
import pytest
from support.commands import invoke

from spikeveil.host.cli.commands import doctor


def test_the_expected_exit_code_gives_the_result() -> None:
    assert "Usage: " in invoke("--help").stdout
    assert "No such command" in invoke("nonsense", code=2).stderr


def test_another_exit_code_raises_with_both_streams() -> None:
    with pytest.raises(AssertionError, match=r"(?s)^spikeveil info none\.snn\nexit code 1, expected 0\n.*No such file"):
        invoke("info", "none.snn")


def test_a_fault_raises_with_its_traceback_whatever_exit_code_was_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(**options: object) -> None:
        click.echo("half a line", nl=False)
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(doctor.doctor, "callback", faulty)
    for code in (0, 1):
        with pytest.raises(AssertionError) as caught:
            invoke("doctor", code=code)
        for part in ("half a line", "Traceback", "in faulty", "ZeroDivisionError: a fault of ours"):
            assert part in str(caught.value)


def test_a_defect_is_one_sentence_that_names_a_file_to_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def faulty(**options: object) -> None:
        secret = "d7098d7a5b8f27cdfb58"
        raise ZeroDivisionError(len(secret))

    monkeypatch.setattr(doctor.doctor, "callback", faulty)
    for _ in range(25):
        shown = invoke("doctor", code=70, env={"XDG_CACHE_HOME": str(tmp_path)})
    logs = sorted((tmp_path / "spikeveil" / "log").iterdir())
    assert len(logs) == 20 and all(log.stat().st_mode & 0o777 == 0o600 for log in logs)
    (line,) = shown.stderr.splitlines()
    assert line.startswith("Error: a defect of spikeveil (ZeroDivisionError): please report it with the file ")
    text = Path(line.split("the file ")[1].split(",")[0]).read_text()
    assert "in faulty" in text and "ZeroDivisionError: 20" in text and text.startswith("spikeveil ")
