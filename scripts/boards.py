"""Build a bitstream for every board, simulate the results of the tools, and write a table (`make boards`).

    python scripts/boards.py [--only BOARD ...] [--jobs 2] [--out out]

Each row is `spikeveil build`, then `spikeveil check` for its levels, two rows side by side. Finished stages are in the
cache: a run that was stopped goes on there. boards.json and boards.txt are written anew after each row. The exit code
is 1 where a build fails or misses its clock, or a spike differs from the golden model's.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.tables import figures_table
from spikeveil.host.data import load_digits
from spikeveil.host.networks.digits_example import encode, load_float, load_network
from spikeveil.host.networks.search import quantise_network
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.model.files import write_atomically


@cache
def digits_4() -> NetworkSpec:
    """The digits network with 4-bit weights and 12-bit potentials, for chips with little block RAM."""
    spikes = encode(load_digits().train_images)
    # the scale is written down, so that the chips' figures of all times are those of one network
    rounded = quantise_network(load_float(), spikes, weight_bits=4, state_bits=12, exponents=[3, 3]).spec
    pairs = zip(rounded.layers, load_network().layers, strict=True)
    return NetworkSpec([replace(layer, flip=of.flip, input_cap=of.input_cap) for layer, of in pairs])


#: a row's network: a word or a file that `spikeveil build` takes, or what makes one
MNIST = str(Path(__file__).parent.parent / "examples" / "mnist" / "mnist.snn")
NETWORKS: dict[str, str | Callable[[], NetworkSpec]] = {"digits": "digits", "digits-4": digits_4, "mnist": MNIST}


@dataclass(frozen=True)
class Row:
    """A board, a network of `NETWORKS`, its lanes; which levels are simulated, with so many records: digits images, or
    for other networks spikes by chance. `loadable`: weights come over the link.
    """

    board: str
    network: str
    lanes: int
    levels: tuple[str, ...] = ()
    records: int = 20
    loadable: bool = False


#: the agreed set, what takes longest first
ROWS = (
    Row("tang-nano-9k", "digits", 4, ("synthesised",)),
    Row("hx8k", "digits-4", 2, ("routed", "bitstream")),
    Row("icebreaker", "mnist", 16, ("routed",), 1, loadable=True),
    Row("ulx3s-85f", "mnist", 16),
    Row("ulx3s-12f", "digits", 8, ("routed",)),
    Row("icebreaker", "digits-4", 1, ("routed",)),
    Row("ulx3s-85f", "digits", 16),
    Row("orangecrab", "digits", 16),
    Row("colorlight", "digits", 16),
)


def main() -> None:
    """Run the rows, write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted({row.board for row in ROWS}), help="these boards alone")
    parser.add_argument("--jobs", type=int, default=2, help="rows side by side")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for row in ROWS if not options.only or row.board in options.only]
    networks = {name: network_file(name, options.out) for name in {row.network for row in rows}}
    start, found = time.monotonic(), dict[Row, dict[str, Any]]()
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(run, row, networks[row.network], options.out): row for row in rows}
        for job in as_completed(jobs):
            found[jobs[job]] = record = job.result()
            what = f"{record['board']}, {record['network']}"
            print(f"{time.monotonic() - start:5.0f} s  {what}: {verdict(record)}", flush=True)
            write(options.out, [found[row] for row in rows if row in found], time.monotonic() - start)
    print((options.out / "boards.txt").read_text())
    sys.exit(int(any(not passed(record) for record in found.values())))


def network_file(name: str, out: Path) -> str:
    """What `spikeveil build` is told: a word, or a file that is made here."""
    made = NETWORKS[name]
    if isinstance(made, str):
        return made
    file = out / f"{name}.snn"
    made().save(file)
    return str(file)


def chance(out: Path) -> Path:
    """A record of MNIST's size in which an input spikes as often as one there does, 13 of 100."""
    file = out / "chance.npz"
    np.savez(file, spikes=np.random.default_rng(1).random((1, 4, 784)) < 0.13)
    return file


def run(row: Row, network: str, out: Path) -> dict[str, Any]:
    """Build a row, then check its levels; a step that fails ends it, with the reason."""
    start = time.monotonic()
    record: dict[str, Any] = {"board": row.board, "network": row.network, "lanes": row.lanes, "checks": []}
    target = [network, "--board", row.board, "--lanes", str(row.lanes), "--json", *["--loadable"] * row.loadable]
    data = str(chance(out)) if row.network == "mnist" and row.levels else "digits"
    report, error = command("build", *target)
    record |= {"error": error if report is None else None, "report": report}
    record["build_seconds"] = round(time.monotonic() - start, 1)
    for level in row.levels if report else ():
        begun = time.monotonic()
        options = ["--level", level, "--data", data, "--records", str(row.records)]
        checked, error = command("check", *target, *options)
        if checked is None:
            record["error"] = error
            break
        record["checks"].append({**checked, "seconds": round(time.monotonic() - begun, 1)})
    return record


def command(name: str, *arguments: str) -> tuple[dict[str, Any] | None, str]:
    """The JSON of a `spikeveil` command, None where it printed none, and its error stream's last words."""
    program = [str(Path(sys.executable).with_name("spikeveil")), name, *arguments]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    said = done.stderr[done.stderr.rfind("Error:") :].strip() if "Error:" in done.stderr else done.stderr[-400:]
    return (json.loads(done.stdout) if done.stdout else None), said


def passed(record: dict[str, Any]) -> bool:
    """Whether all of a row came out as it should."""
    same = all(not check["different"] for check in record["checks"])
    return record["error"] is None and record["report"]["meets_timing"] and same


def verdict(record: dict[str, Any]) -> str:
    """A row in words."""
    if record["error"] is not None:
        return str(record["error"])
    fmax = min(clock["fmax_mhz"] for clock in record["report"]["clocks"])
    met = "met" if record["report"]["meets_timing"] else "NOT met"
    spikes = [f"{c['level']} {c['bits_compared']:,} spikes, {c['different']} different" for c in record["checks"]]
    return "; ".join([f"{fmax:.1f} MHz, {record['report']['clock_hz'] / 1e6:g} {met}", *spikes])


def tabulate(records: list[dict[str, Any]]) -> Table:
    """All rows as a table."""
    columns = ("network", "lanes", "LUT", "FF", "RAM", "MHz", "of", "met", "simulated", "spikes", "different", "s")
    shown = figures_table("boards", "board", *columns)
    for record in records:
        checks, report = record["checks"], record["report"]
        seconds = record["build_seconds"] + sum(check["seconds"] for check in checks)
        figures = [""] * 6 if report is None else figures_of(report)
        spikes = [", ".join(f"{check[key]}" for check in checks) for key in ("level", "bits_compared", "different")]
        if record["error"] is not None:
            spikes[0] = "FAILED"
        shown.add_row(record["board"], record["network"], str(record["lanes"]), *figures, *spikes, f"{seconds:.0f}")
    return shown


def figures_of(report: dict[str, Any]) -> list[str]:
    """What a report has for the table."""
    used = [str(report["resources"][name]["used"]) for name in ("lut", "ff", "bram")]
    fmax = min(clock["fmax_mhz"] for clock in report["clocks"])
    return [*used, f"{fmax:.1f}", f"{report['clock_hz'] / 1e6:g}", "yes" if report["meets_timing"] else "NO"]


def write(out: Path, records: list[dict[str, Any]], seconds: float) -> None:
    """boards.json and boards.txt, whole."""
    content = json.dumps({"seconds": round(seconds), "boards": records}, indent=1) + "\n"
    write_atomically(out / "boards.json", content.encode())
    text = io.StringIO()
    Console(file=text, width=160).print(tabulate(records))
    write_atomically(out / "boards.txt", text.getvalue().encode())


if __name__ == "__main__":
    main()
