"""What two neighbouring inputs differ in, and how many released bits that may change."""

from enum import Enum


class Unit(Enum):
    """The unit of protection of an epsilon. Neighbours are two rasters of RAW spikes (T steps, N neurons) of the
    flipped layer, before any spike limit, that differ by substitution in one unit:

    - `SPIKE`: in one bit (one neuron in one step);
    - `NEURON`: in one neuron's whole train (T bits);
    - `STEP`: in every neuron of one step (N bits);
    - `RECORD`: in anything (T*N bits);
    - `SUBJECT`: in every record of one subject (T*N bits of each of them).

    A change of the network's input can change every later raw spike: it is a `RECORD` change.
    """

    SPIKE = "spike"
    NEURON = "neuron"
    STEP = "step"
    RECORD = "record"
    SUBJECT = "subject"

    @classmethod
    def _missing_(cls, value: object) -> "Unit":
        raise ValueError(f"unit must be spike, neuron, step, record or subject, not {value!r}")

    @property
    def relation(self) -> str:
        """The neighbouring relation, as a phrase: two rasters are neighbours when they differ in ..."""
        return _RELATIONS[self]

    def bits(
        self, steps: int, neurons: int, *, spike_limit: int | None = None, step_spike_limit: int | None = None
    ) -> int:
        """How many bits at the flipper may differ between neighbours: the composition count of one release.

        steps, neurons: T and N of one record, 1 or more. spike_limit: raw spikes admitted a record (m);
        step_spike_limit: raw spikes admitted a step (c); 1 or more each, None for no limit. ValueError otherwise.
        A limit that cannot bind (c >= N; m >= T*N, or m >= T*c) counts as none.

        Without a limit the raw bits reach the flipper as they are: 1, T, N or T*N.

        A limit admits the first m raw spikes of a record and the first c of a step (within a step the lowest neuron
        first). Two admitted rasters hold at most m spikes each, so at most 2m bits differ whatever the unit: this
        is the record's bound. But a limit also COUPLES the bits: one raw spike more takes the place of one that was
        admitted after it, so a neighbour that differs in d raw bits may differ in 2d admitted ones, never in more.
        A limit therefore lowers the count of a record and can double the count of the smaller units:

        | unit | no limit | step limit c only | record limit m, with or without c |
        |---|---|---|---|
        | spike | 1 | min(2, N) | min(2, T*N) |
        | neuron | T | min(2T, T*N) | min(2T, 2m, T*N) |
        | step | N | min(N, 2c) | min(2N, 2c, 2m, T*N) |
        | record | T*N | min(T*N, 2cT) | min(T*N, 2cT, 2m) |

        Why 2d: change the d bits one at a time. With m alone, a spike added before the m-th admitted one is admitted
        and at most one other is suppressed: two bits. Removing a spike is the reverse. With c as well, c is applied
        first and changes at most two bits, both in one step, one added and one removed; m then still changes at
        most two. Why 2c in a step under m: if A and B are the step's admitted sets, |A xor B| bits differ in that
        step, and at most ||A| - |B|| in later ones, together 2 max(|A - B|, |B - A|) <= 2c.
        """
        for name, value in (("steps", steps), ("neurons", neurons)):
            _check_positive(name, value)
        for name, limit in (("spike limit", spike_limit), ("step spike limit", step_spike_limit)):
            if limit is not None:
                _check_positive(name, limit)
        if step_spike_limit is not None and step_spike_limit >= neurons:
            step_spike_limit = None
        if spike_limit is not None and spike_limit >= steps * (step_spike_limit or neurons):
            spike_limit = None
        raw = {Unit.SPIKE: 1, Unit.NEURON: steps, Unit.STEP: neurons}.get(self, steps * neurons)
        if spike_limit is None and step_spike_limit is None:
            return raw
        touched_steps = 1 if self in (Unit.SPIKE, Unit.STEP) else steps
        bounds = [2 * raw, steps * neurons]
        if step_spike_limit is not None:
            bounds.append(2 * step_spike_limit * touched_steps)
        if spike_limit is not None:
            bounds.append(2 * spike_limit)
        else:
            bounds.append(neurons * touched_steps)
        return min(bounds)


_RELATIONS = {
    Unit.SPIKE: "one raw spike of the flipped layer",
    Unit.NEURON: "one neuron's raw spike train over the whole record",
    Unit.STEP: "the raw spikes of every neuron in one time step",
    Unit.RECORD: "the whole record of raw spikes",
    Unit.SUBJECT: "every record of one subject, grouped beforehand by a public column",
}

#: the units within one record, the smallest first
RECORD_UNITS = (Unit.SPIKE, Unit.NEURON, Unit.STEP, Unit.RECORD)
#: units that mean something only for one layer of one network
SMALL_UNITS = frozenset({Unit.SPIKE, Unit.NEURON, Unit.STEP})


def _check_positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of 1 or more, not {value!r}")
