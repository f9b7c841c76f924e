"""Train the rows of the DPSNN study one after another; any of them, interrupted, goes on where it stopped.

    python examples/dpsnn/study.py --mnist mnist.npz --runs runs/dpsnn [--only 'net1-ann-*'] [--list] [--tables]

Finished rows are added to study.json beside this file and are not trained again. Fashion-MNIST is read from Debian's
package dataset-fashion-mnist, or downloaded, where --fashion names no folder. One thread each: start a second process
with other rows to use a second core.
"""

import argparse
import fcntl
import json
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from rows import StudyRow, rows
from tables import tables

from spikeveil.host.data.catalogue import load_dataset
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training.loop import TrainingResult, TrainingRun
from spikeveil.host.training.run_folder import versions

STUDY = Path(__file__).with_name("study.json")


def load_study(path: Path = STUDY) -> dict[str, Any]:
    """Finished rows by name."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def add_row(path: Path, name: str, record: dict[str, Any]) -> None:
    """Add a finished row; several processes may do so at the same time."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        study = {**load_study(path), name: record}
        text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(study.items()))
        path.write_text("{\n" + text + "\n}\n")


def evaluation_line(record: dict[str, Any]) -> str:
    """One evaluation in a line."""
    accuracy, cost = 100 * record["test_accuracy"], record["privacy"]["epsilon_pld"]
    return f"epoch {record['epochs']:5.1f}  {record['seconds']:5.0f} s  test {accuracy:.2f} %  epsilon {cost:.3f} (PLD)"


def record_of(row: StudyRow, result: TrainingResult, data: Dataset, ran: dict[str, Any]) -> dict[str, Any]:
    """What the study keeps of a finished row. `accuracy` is that of the last step's weights."""
    last = result.progress.log[-1]
    return {
        "table": row.table,
        "accuracy": last["test_accuracy"],
        "privacy": last["privacy"],
        "seconds": round(result.progress.seconds),
        "steps_lost": result.progress.spent - result.progress.updates,
        "accuracy_by_epoch": [record["test_accuracy"] for record in result.progress.log],
        "config": row.config.to_dict(),
        "data_sha256": data.digest,
        "versions": ran["versions"],
    }


def train(row: StudyRow, data: Dataset, folder: Path, path: Path, stop: list[int]) -> bool:
    """Train one row to its end and add it; False where it was stopped before. Its folder may be half a run."""
    folder.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(row.config, data, folder, resume=True)
    result = run.train(on_evaluation=lambda record: print(f"{row.name}  {evaluation_line(record)}", flush=True),
                       stop=lambda: bool(stop))  # fmt: skip
    if result.finished:
        echo = folder / "config.toml"  # of `spikeveil train`, where that made the run
        ran = tomllib.loads(echo.read_text())["ran"] if echo.exists() else {"versions": versions()}
        add_row(path, row.name, record_of(row, result, data, ran))
    return result.finished


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether the row is this process's alone while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def main() -> None:
    """Read the options, then train, list, or print the tables."""
    parser = argparse.ArgumentParser(description="The DPSNN study: train its rows, or print its tables.")
    parser.add_argument("--mnist", type=Path, help="MNIST: a Keras .npz file or a folder of IDX files")
    parser.add_argument("--fashion", type=Path, help="Fashion-MNIST, likewise")
    parser.add_argument("--runs", type=Path, default=Path("runs/dpsnn"), help="folder of the runs' folders")
    parser.add_argument(
        "--study", type=Path, default=STUDY, help="file of the finished rows (default: study.json here)"
    )
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of row names, such as 'net1-*'")
    parser.add_argument("--list", action="store_true", help="list the rows and which are finished")
    parser.add_argument("--tables", action="store_true", help="print the tables of what is finished")
    options = parser.parse_args()
    chosen = [row for row in rows() if any(fnmatch(row.name, pattern) for pattern in options.only)]
    if options.tables:
        print(tables(load_study(options.study)))
    elif options.list:
        study = load_study(options.study)
        for row in chosen:
            print(f"{row.name:32} {row.table:10} {'finished' if row.name in study else ''}")
    else:
        train_all(chosen, {"mnist": options.mnist, "fashion-mnist": options.fashion}, options.runs, options.study)


def train_all(chosen: list[StudyRow], paths: dict[str, Path | None], runs: Path, study: Path) -> None:
    """Train each row that is neither finished nor another process's, until SIGINT or SIGTERM."""
    torch.set_num_threads(1)
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.append(number))

    @lru_cache(maxsize=2)
    def data_of(name: str) -> Dataset:
        return load_dataset(name, paths.get(name))

    for row in chosen:
        with claimed(runs / row.name) as free:
            if free and row.name not in load_study(study) and not stop:
                train(row, data_of(row.config.data.name), runs / row.name, study, stop)


if __name__ == "__main__":
    main()
