"""Mutated files at every parser: refused in one sentence or read, in time and in bounded memory, nothing changed."""

import random
import resource
import time
from pathlib import Path

import pytest
from support.fuzz_targets import REFUSALS, TARGETS, mutate

SLICE = 60  # mutants of each parser in the always-on suite
COUNT = 10_000  # under `make fuzz`
SECONDS = 2.0
MEMORY = 300 << 20  # bytes beyond what the process had before


def resident() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_mutants_are_refused_or_read(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    target = TARGETS[name]
    seeds = target.seeds(tmp_path)
    dice = random.Random(name)
    path = tmp_path / f"mutant{target.suffix}"
    path.write_bytes(seeds[0])
    meaning, before = target.parse(path), resident()
    accepted = 0
    for number in range(COUNT if request.config.getoption("--fuzz") else SLICE):
        seed = seeds[0] if target.checked else dice.choice(seeds)
        path.write_bytes(mutate(dice, seed, seeds))
        start = time.process_time()
        try:
            found = target.parse(path)
            accepted += 1
            assert not target.checked or found == meaning, f"mutant {number} of {name} means something else"
        except REFUSALS as refusal:
            assert "\n" not in str(refusal), f"mutant {number} of {name}: {refusal}"
        assert time.process_time() - start < SECONDS, f"mutant {number} of {name} takes too long"
        for other in tmp_path.glob("mutant*"):
            other.unlink()
    assert resident() - before < MEMORY
