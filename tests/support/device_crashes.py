"""Kills drivers with SIGKILL and power-cycles a device at random moments. Run by tests/device/test_faults.py.

python device_crashes.py FOLDER MOMENTS SEED twin|gateware

Drivers run jobs, one after the other, through a pseudo-terminal that this process serves, so that it sees every byte. A
driver that was killed is started again on the same job. Prints one JSON object of counts.
"""

import json
import os
import random
import select
import signal
import sys
import time
import tty
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support.audit import Audit
from support.exchanges import PATIENT, TwinLine

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import VirtualBoard
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.device.identity import identity
from spikeveil.pysim.device.top import DeviceModel

STEPS, RECORDS, LEASE_RECORDS = 16, 24, 6
KEY = bytes.fromhex("5b0c61d2a9e7340f8812")
MAX_INTERVAL = 0.4  # seconds between two moments
JOB_TIMEOUT = 1200.0  # seconds for a job without crashes
MAX_EXTENSION = 50  # times as many moments, until both kinds have occurred


def network() -> NetworkSpec:
    """One small private layer."""
    weights = np.random.default_rng(4).integers(-8, 8, (20, 24))
    return NetworkSpec([LayerSpec(weights, 9, Leak.shift(3), weight_bits=4, flip=FlipSpec.for_epsilon(1.0, 8))])


def board_spec() -> BoardSpec:
    """The gateware of that network, with a byte port."""
    return BoardSpec(Plan(network(), 4), pins="bytes")


def data(job: int) -> NDArray[np.bool_]:
    """The records of a job."""
    return np.random.default_rng(job).random((RECORDS, STEPS, network().inputs)) < 0.3


class Twin:
    """The twin in this process."""

    def __init__(self) -> None:
        self.line = TwinLine(DeviceModel(network(), identity(board_spec().plan, clock_hz=board_spec().clock)))
        self.output = b""

    def fileno(self) -> int | None:
        """None: the twin answers at once."""
        return None

    def write(self, content: bytes) -> None:
        """Send bytes to the device."""
        self.output += self.line.send(content)

    def read(self) -> bytes:
        """Bytes that the device has sent."""
        output, self.output = self.output, b""
        return output

    def power_cycle(self) -> None:
        """Restart the device."""
        self.line.send(None)


class Gateware:
    """The device as a virtual board."""

    def __init__(self) -> None:
        self.board = VirtualBoard(board_spec())
        self._port = os.open(self.board.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def fileno(self) -> int | None:
        """The board's port, readable when the device has sent something."""
        return self._port

    def write(self, content: bytes) -> None:
        """Send bytes to the device."""
        while content:
            with suppress(BlockingIOError):
                content = content[os.write(self._port, content) :]

    def read(self) -> bytes:
        """Bytes that the device has sent."""
        with suppress(BlockingIOError):
            return os.read(self._port, 4096)
        return b""

    def power_cycle(self) -> None:
        """Restart the device."""
        self.board.power_cycle()


class CrashRun:
    """The pseudo-terminal, the device behind it, and the driver process at its other end."""

    def __init__(self, folder: Path, seed: int, device: Twin | Gateware) -> None:
        self.folder, self.device, self.dice = folder, device, random.Random(seed)
        self.path, self.state = folder / "ledger", folder / "state"
        self.identity = identity(board_spec().plan, clock_hz=board_spec().clock)
        with Ledger(self.path, state_directory=self.state) as ledger:
            ledger.create_budget("data", "record", 10**12, Fraction(1, 2))
        self.audit, self.counts = Audit(self.path), Counter[str]()
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self.port, self.pending = os.ttyname(slave), b""
        self.job, self.child = 0, 0

    def start(self) -> None:
        """Start a driver on the current job."""
        self.counts["drivers"] += 1
        self.child = os.fork()
        if self.child == 0:
            os._exit(self._drive())

    def _drive(self) -> int:
        """In the child process: exit code 0 when the job is complete, 3 after a DeviceError."""
        try:
            with (
                Ledger(self.path, create=False, timeout=60, state_directory=self.state) as ledger,
                Device.open(self.port, timing=PATIENT) as device,
            ):
                device.load(network())
                results = Results(network(), data(self.job), self.folder / f"{self.job}.npz")
                secrets = Secrets(KEY, False, 1, "a test")
                options = {"lease_records": LEASE_RECORDS, "secrets": secrets, "results": results}
                device.run(data(self.job), ledger=ledger, data_set="data", **options)
        except DeviceError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 3
        except BaseException as error:
            print(f"a driver failed: {error!r}", file=sys.stderr)
            return 1
        return 0

    def serve(self, seconds: float) -> None:
        """Transfer bytes for `seconds`, or until the driver has ended."""
        until = time.monotonic() + seconds
        device = self.device.fileno()
        while (remaining := until - time.monotonic()) > 0 and not self._ended():
            ends = [self.master] if device is None else [self.master, device]
            select.select(ends, [self.master] if self.pending else [], [], min(remaining, 0.02))
            with suppress(BlockingIOError, OSError):
                content = os.read(self.master, 4096)
                self.audit.record("up", content)
                self.device.write(content)
            output = self.device.read()
            self.audit.record("down", output)
            self.pending += output
            with suppress(BlockingIOError):
                self.pending = self.pending[os.write(self.master, self.pending) :]

    def _ended(self) -> bool:
        if self.child:
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                self._end(os.waitstatus_to_exitcode(status))
        return not self.child

    def _end(self, code: int) -> None:
        """Handle a driver that ended by itself: the job is complete, or a DeviceError was printed."""
        self.child = 0
        if code not in (0, 3):
            raise SystemExit(f"a driver ended with exit code {code}")
        self.counts["done" if code == 0 else "one sentence"] += 1
        if code == 0:
            self._compare()
            self.job += 1

    def _compare(self) -> None:
        """The job's file is complete, and equal to what the device sent."""
        results = Results(network(), data(self.job), self.folder / f"{self.job}.npz")
        if not results.received.all():
            raise SystemExit("a job ended without all of its records")
        self.audit.check_rows(results.released, results.leases, results.lease_indices, self.identity)

    def moment(self) -> None:
        """Let a driver run for a random time; then kill it, or restart the device, or both."""
        if not self.child:
            self.start()
        self.serve(self.dice.uniform(0, MAX_INTERVAL))
        draw = self.dice.random()
        if draw < 0.7 and self.child:
            self.counts["killed"] += 1
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
            self.child = 0
        if draw > 0.5:
            self.counts["power cycles"] += 1
            self.device.power_cycle()

    def both(self) -> bool:
        """Whether a driver was killed and the device was restarted, at least once each."""
        return bool(self.counts["killed"] and self.counts["power cycles"])

    def finish(self) -> None:
        """Complete the last job without crashes, then check the whole transcript."""
        job = self.job
        while self.job == job:
            inherited, before = bool(self.child), self.counts["one sentence"]
            if not self.child:
                self.start()
            self.serve(JOB_TIMEOUT)
            if self.child or (not inherited and self.counts["one sentence"] > before):
                raise SystemExit("a driver without crashes did not finish")
        with Ledger(self.path, create=False, state_directory=self.state) as ledger:
            self.counts["steps"] = self.audit.check(network(), self.identity, ledger)
        self.counts["leases"] = len(self.audit.leased())
        self.counts["opened"] = len(self.audit.leases)


def main() -> None:
    folder, moments, seed, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    run = CrashRun(folder, seed, Twin() if kind == "twin" else Gateware())
    done = 0
    while done < moments or (done < MAX_EXTENSION * moments and not run.both()):
        run.moment()
        done += 1
    run.finish()
    print(json.dumps({"moments": done, **run.counts}))


if __name__ == "__main__":
    main()
