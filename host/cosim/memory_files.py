"""Contents of large memories moved out of generated Verilog, into files that the simulator reads when it starts.

Yosys writes an assignment for each word. Verilator turns each into a C++ statement, and a compiler needs minutes for
the weights of a large network.
"""

import re
from pathlib import Path

MIN_WORDS = 1024  # a smaller memory stays in the Verilog
_BLOCK = re.compile(r"^  initial begin\n((?:    (\S+)\[\d+\] = \d+'h[0-9a-fx]+;\n)+)  end\n", re.MULTILINE)
_WORD = re.compile(r"^    \S+\[(\d+)\] = \d+'h([0-9a-fx]+);$", re.MULTILINE)


def split_memories(verilog: str, folder: Path) -> tuple[str, dict[str, str]]:
    """`verilog` with `$readmemh` in place of the words of every memory of MIN_WORDS words or more, and the files.

    `folder`: where the files will lie when the simulator starts. File name to text: a line a word, with its address.
    Where the folder's name does not fit a Verilog string, nothing is changed.
    """
    if not str(folder).isascii() or any(letter in str(folder) for letter in '"\\\n'):
        return verilog, {}
    files: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        words = _WORD.findall(match[1])
        if len(words) < MIN_WORDS:
            return match[0]
        name = f"memory_{len(files)}.mem"
        files[name] = "".join(f"@{int(address):x} {value}\n" for address, value in words)
        return f'  initial $readmemh("{folder / name}", {match[2]});\n'

    return _BLOCK.sub(replace, verilog), files
