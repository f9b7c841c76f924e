"""Count the registers of exported Verilog that have no name of their own.

python scripts/unnamed_registers.py FILE.v ...

Amaranth names a signal after the variable that it is assigned to. One that never was, or that shared its line with
another (`a, b = Signal(), Signal()`), is called `$signal`, `$signal$1` and so on: waveforms and timing reports then
show a number in place of a role. The exit status is 1 when there is such a register.
"""

import argparse
import re
import sys
from pathlib import Path

REGISTER = re.compile(r"^\s*reg\s(?:signed\s)?(?:\[\d+:\d+\]\s)?\\\$signal(?:\$\d+)?\s", re.MULTILINE)


def unnamed_registers(verilog: str) -> list[int]:
    """The numbers of the lines that declare a register called `$signal`."""
    return [verilog.count("\n", 0, match.end()) + 1 for match in REGISTER.finditer(verilog)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    total = 0
    for path in parser.parse_args().files:
        text = path.read_text()
        lines = text.splitlines()
        unnamed = unnamed_registers(text)
        for number in unnamed:
            print(f"{path}:{number}: {lines[number - 1].strip()}")
        print(f"{path}: {len(unnamed)} registers without a name")
        total += len(unnamed)
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
