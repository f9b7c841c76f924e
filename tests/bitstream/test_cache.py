"""The digest that names a build."""

from pathlib import Path

import pytest
from support.fake_tools import PLAN, SPEC

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import cache, tools

pytest.importorskip("amaranth_boards")


def test_digest_knows_plan_board_and_tools(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = find("hx8k")
    digests = {
        cache.digest(PLAN, board),
        cache.digest(Plan(SPEC, lanes=2), board),
        cache.digest(Plan(SPEC, lanes=4, source="lfsr"), board),
        cache.digest(PLAN, board.at(baud=115_200)),
        cache.digest(PLAN, board.at(clock_hz=48_000_000)),
        cache.digest(PLAN, find("icebreaker")),
    }
    monkeypatch.setattr(tools, "version", lambda tool: "2")
    digests.add(cache.digest(PLAN, board))
    assert len(digests) == 7
