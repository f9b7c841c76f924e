"""A run of one component as data, and its playback cycle by cycle, for any simulator."""

from dataclasses import dataclass, field

STALL_BITS = 64


@dataclass(frozen=True)
class Stalls:
    """Cycles, as bits of a repeated 64-bit pattern, in which the input offers and the output takes nothing."""

    i: int = 0
    o: int = 0


NO_STALLS = Stalls()


@dataclass(frozen=True)
class Job:
    """What a component's ports get, and which of them are recorded. Ports of an interface are named `PATH__PORT`.

    `offers`: payloads for each input stream, offered in turn. `sinks`: output streams, whose payloads are taken.
    `pins`: the value of a plain input in each cycle; 0 after the last one. `watch`: plain outputs. `restart`: the pin
    that withdraws what the sinks are offered.
    """

    cycles: int
    offers: dict[str, list[int]] = field(default_factory=dict)
    sinks: tuple[str, ...] = ()
    pins: dict[str, list[int]] = field(default_factory=dict)
    watch: tuple[str, ...] = ()
    stalls: Stalls = NO_STALLS
    restart: str | None = None


Response = dict[str, list[tuple[int, int]]]  # (cycle, payload) of a sink, each one taken; (cycle, value) of a pin


class Playback:
    """Plays a job on a simulator that sets `inputs`, lets the logic settle, hands over `outputs`, and ticks the clock.

    It holds the component to the stream laws: what is offered stays, unchanged, until it is taken.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.response: Response = {name: [] for name in (*job.sinks, *job.watch)}
        self.outputs = [f"{stream}__ready" for stream in job.offers]
        self.outputs += [f"{stream}__{port}" for stream in job.sinks for port in ("valid", "payload")]
        self.outputs += job.watch
        self._waiting = {stream: list(payloads) for stream, payloads in job.offers.items()}
        self._offered = dict.fromkeys(job.offers, False)
        self._stalled: dict[str, int | None] = dict.fromkeys(job.sinks)

    def inputs(self, cycle: int) -> dict[str, int]:
        """Every input port's value in this cycle."""
        values = {port: line[cycle] if cycle < len(line) else 0 for port, line in self.job.pins.items()}
        for stream, payloads in self._waiting.items():
            stalls = self.job.stalls.i >> cycle % STALL_BITS & 1
            self._offered[stream] = bool(payloads) and (self._offered[stream] or not stalls)
            values[f"{stream}__valid"] = int(self._offered[stream])
            if payloads:
                values[f"{stream}__payload"] = payloads[0]
        for stream in self.job.sinks:
            values[f"{stream}__ready"] = self._ready(cycle)
        return values

    def observe(self, cycle: int, values: dict[str, int]) -> None:
        """Take the values of `outputs` in this cycle."""
        for stream, offered in self._offered.items():
            if offered and values[f"{stream}__ready"]:
                self._waiting[stream].pop(0)
                self._offered[stream] = False
        for stream in self.job.sinks:
            self._observe_sink(stream, cycle, values[f"{stream}__valid"], values[f"{stream}__payload"])
        for port in self.job.watch:
            self.response[port].append((cycle, values[port]))

    def finish(self) -> Response:
        """The response, after the last cycle; AssertionError where not every payload was taken."""
        for stream, payloads in self._waiting.items():
            assert not payloads, f"{len(payloads)} payloads of {stream} were never taken"
        return self.response

    def _observe_sink(self, stream: str, cycle: int, valid: int, payload: int) -> None:
        stalled, offer = self._stalled[stream], payload if valid else None
        assert stalled in (None, offer), f"{stream} withdrew or changed an offer in cycle {cycle}"
        self._stalled[stream] = None if self._ready(cycle) or self._restarts(cycle) else offer
        if valid and self._ready(cycle):
            self.response[stream].append((cycle, payload))

    def _restarts(self, cycle: int) -> bool:
        line = self.job.pins[self.job.restart] if self.job.restart else []
        return cycle < len(line) and bool(line[cycle])

    def _ready(self, cycle: int) -> int:
        return int(not self.job.stalls.o >> cycle % STALL_BITS & 1)
