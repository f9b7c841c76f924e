"""The digits test images through a model of the device, over a real serial line, under a real ledger. No board needed.

Run it from anywhere: `python examples/device/twin.py`. It takes a few seconds and leaves nothing behind.
"""

import tempfile
from pathlib import Path

import numpy as np

from spikeveil.host.data import accuracy, classify
from spikeveil.host.device import Device, Secrets
from spikeveil.host.device.keys import create_key
from spikeveil.host.device.twin_board import TwinBoard
from spikeveil.host.networks.digits_example import CLASSES, held_out, load_network
from spikeveil.host.privacy import Ledger
from spikeveil.pysim import Network, TriviumSource
from spikeveil.pysim.device.top import DeviceModel


def main() -> None:
    """Run the images, compare every released bit with the golden model, and show the claim."""
    spec, (images, labels) = load_network(), held_out()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secrets = Secrets(create_key(folder / "key", 10), False, len(spec.flipped), "drawn for this example")
        with (
            Ledger(folder / "my.ledger", state_directory=folder) as ledger,
            TwinBoard(DeviceModel(spec), folder / "port") as board,
            Device.open(str(board.path)) as device,
        ):
            data = ledger.identify(images, create=True)
            ledger.create_budget("digits", "record", epsilon=400, delta="1e-3", data=data)
            device.load(spec)
            result = device.run(images, ledger=ledger, data_set="digits", lease_records=90, secrets=secrets)
        network = Network(spec, TriviumSource(secrets.next()))
        for lease in np.unique(result.leases):
            under = result.leases == lease
            np.testing.assert_array_equal(result.released[under], network.run(images[under], lease=int(lease)).released)
    print(f"{len(images)} images, every released bit equal to the golden model's;", end=" ")
    print(f"{100 * accuracy(classify(result.released, CLASSES), labels):.1f} % read right from what was released")
    for part, words in result.claim.parts().items():
        print(f"{part}: {words}")


if __name__ == "__main__":
    main()
