"""examples/device: the client in C and the driver at the twin run as they are."""

import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.driver_runs import RECORDS, SPEC, SPIKES, STEPS
from support.paths import EXAMPLES
from support.twin_ports import SpoiledEndpoint

from spikeveil.host.device.twin_board import TwinBoard, TwinEndpoint
from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.pysim import Network, TriviumSource
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.pack import unpack
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.unpack import bitmaps

DEVICE_EXAMPLE = EXAMPLES / "device"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("endpoint", [TwinEndpoint, SpoiledEndpoint])
def test_a_client_in_c_written_from_the_page(tmp_path: Path, endpoint: type[TwinEndpoint]) -> None:
    program = tmp_path / "client"
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(DEVICE_EXAMPLE / "client.c")]
    subprocess.run(command, check=True)
    with TwinBoard(DeviceModel(SPEC, identity(ModelPlan(SPEC), outbox=100)), tmp_path / "port") as board:
        board.endpoint = endpoint(board.endpoint.device)
        printed = subprocess.run([program, board.path], check=True, capture_output=True, text=True).stdout
        described = f"fingerprint {SPEC.fingerprint}\nflags 2\nlanes 16\ninputs 40\noutputs 11\n"
        assert printed == f"{described}releases spikes\nsteps of a record 0\n"
        call = [program, board.path, "7", str(STEPS), str(RECORDS)]
        data = bitmaps(SPIKES.reshape(-1, 40))
        output = subprocess.run(call, check=True, capture_output=True, input=data).stdout
        golden = Network(SPEC, TriviumSource(DEMO_KEY)).run(SPIKES, lease=7).released
        np.testing.assert_array_equal(unpack(output, 11, 1), np.asarray(golden).reshape(-1, 11))
        repeated = subprocess.run(call, check=False, capture_output=True, input=data)
        assert (repeated.returncode, repeated.stdout) == (1, b"")
        assert repeated.stderr == b"client: OPEN gave result 3; the highest lease is 7\n"


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir("/")
    runpy.run_path(str(DEVICE_EXAMPLE / "twin.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown.startswith("360 images, every released bit equal to the golden model's; ")
    assert "\nspent: 4 leases, 1 to 4, of data set 'digits'" in shown
