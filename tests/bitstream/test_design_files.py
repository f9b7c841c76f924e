"""The files that Amaranth writes for a board: the same text every time."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("amaranth_boards")


def test_design_is_the_same_text_every_time() -> None:
    """In another process, with another seed of its hashes; and no folder of this machine is in it."""
    program = (
        "import hashlib, numpy as np\n"
        "from spikeveil.boards.catalogue import find\n"
        "from spikeveil.hdl.engine.plan import Plan\n"
        "from spikeveil.host.bitstream.design_files import design_files\n"
        "from spikeveil.pysim.model.flipper import FlipSpec\n"
        "from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec\n"
        "layer = LayerSpec(np.ones((6, 8), int), threshold=3, weight_bits=3, flip=FlipSpec.for_epsilon(1.0))\n"
        "text = design_files(Plan(NetworkSpec([layer]), lanes=4), find('hx8k'))['top.il']\n"
        "print(hashlib.sha256(text.encode()).hexdigest(), text.count('src \"hdl/'), text.count('src \"/'))\n"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert int(shown[0][1]) > 100
    assert int(shown[0][2]) == 0
