"""The driver: runs records through a device, each lease paid for in a ledger first."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.host.device.connection import Connection
from spikeveil.host.device.errors import WrongDevice
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.lease_account import LeaseAccount
from spikeveil.host.device.record_run import RecordRun, RunProgress, RunResult
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.ledger import DataIdentity, Ledger, probability
from spikeveil.host.privacy.walls import Wall, walls, walls_behind
from spikeveil.pysim.device.wire import MAX_QUOTA, MAX_RECORD_STEPS
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.spec import NetworkSpec


class Device(Connection):
    """A device that runs records. Open one with `Device.open(port)`, call `load`, then `run`.

    It serves one thread. See `Connection` for attributes, `open`, `close`, `identify`, `status` and `load`.
    """

    def run(
        self,
        spikes: ArrayLike,
        *,
        ledger: Ledger,
        data_set: str,
        delta: float | str | Fraction = "1e-6",
        lease_records: int = 64,
        demonstration: bool = False,
        secrets: Secrets | None = None,
        results: Results | None = None,
        progress: Callable[[RunProgress], None] = lambda state: None,
        data: ArrayLike | None = None,
        first_record: int = 0,
    ) -> RunResult:
        """Run records through the network that `load` was called with; every lease is paid for before it is opened.

        | argument | meaning |
        |---|---|
        | `spikes` | bool (records, steps, inputs) |
        | `ledger`, `data_set` | the ledger, and the data set in it whose budgets pay |
        | `delta` | delta of each lease |
        | `lease_records` | records of a lease: the most that a crash loses; larger leases cost less epsilon a record |
        | `demonstration` | allow a device that protects nothing (LFSR, fast schedule); charge nominal figures |
        | `secrets` | the key; by default a fresh one for each lease, which is not stored |
        | `results` | results of an interrupted run, whose records are not run again; updated after every lease |
        | `progress` | called with the state of the run whenever bytes were transferred |
        | `data` | the whole data set that `spikes` are from; by default `spikes` is all of it |
        | `first_record` | index of the first record of `spikes` in the data set |

        When the port vanishes and comes back, or the device loses power, the run continues: under the same lease where
        the device still holds it, otherwise under a new one.

        Raises LedgerError or BudgetRefused if the ledger refuses a lease, DeviceError for a fault of the device, and
        ValueError for a bad argument. `results` then hold every record received so far.
        """
        if self.spec is None:
            raise ValueError("call `load` before `run`: the device's network is not known")
        records = np.ascontiguousarray(checks.spikes(spikes, self.spec.inputs))
        steps = checks.integer("steps of a record", records.shape[1], 1, MAX_RECORD_STEPS)
        checks.integer("lease records", lease_records, 1, MAX_QUOTA)
        exact_delta = probability("delta", delta if isinstance(delta, Fraction) else str(delta))
        self.require_private(demonstration, secrets)
        wall = self._wall(self.spec, steps, exact_delta)
        identity = self._identity(ledger, data_set, records, data, first_record)
        account = LeaseAccount(
            ledger=ledger,
            data_set=data_set,
            wall=wall,
            later=walls_behind(walls(self.spec, steps), wall),
            source="lfsr" if self.lfsr else "trivium",
            specification=self.spec.fingerprint,
            delta=exact_delta,
            demonstration=demonstration,
            data=identity,
            first_record=first_record,
        )
        return RecordRun(
            device=self,
            records=records,
            account=account,
            secrets=secrets or Secrets.fresh(self.lfsr, len(self.spec.randomised)),
            results=results or Results(self.spec, records),
            lease_records=min(lease_records, MAX_QUOTA // steps),
            show=progress,
        ).run()

    @staticmethod
    def _identity(
        ledger: Ledger, data_set: str, records: NDArray[np.bool_], data: ArrayLike | None, first_record: int
    ) -> DataIdentity | None:
        """The file that the records are from, where the budget is bound to data; None where it is not."""
        if not ledger.binding(data_set).parts:
            return None
        whole = records if data is None else np.asarray(data, dtype=bool)
        if not np.array_equal(whole[first_record : first_record + len(records)], records):
            raise ValueError(f"records must be those of their data from number {first_record} on")
        return ledger.identify(whole)

    def require_private(self, demonstration: bool, secrets: Secrets | None = None) -> None:
        """Unless for a demonstration: WrongDevice if the device protects nothing, ValueError if the key does."""
        if secrets is not None and secrets.public and not demonstration:
            raise ValueError(
                "the key is published or a pattern, which protects nothing: only an insecure demonstration may use it"
            )
        reason = "its flips come from an LFSR" if self.lfsr else "it is on the fast schedule"
        if not demonstration and (self.lfsr or not self.private_schedule):
            raise WrongDevice(
                f"the device at {self.name} protects nothing, because {reason}: it runs only as an insecure "
                "demonstration"
            )

    def _wall(self, spec: NetworkSpec, steps: int, delta: Fraction) -> Wall:
        """The flipped layer, or the decision, that a lease pays for. ValueError where there is none."""
        wall = Claim.of(spec, steps, source="trivium", delta=delta).wall
        if wall is None:
            raise ValueError("a network without a flipper releases its input unprotected: no budget covers it")
        return wall
