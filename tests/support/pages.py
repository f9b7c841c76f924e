"""The runnable blocks of a page, how each of them runs, and what it prints.

A block is a fence of ```sh or ```python. An HTML comment before its fence says how it runs. Without a comment it runs
in every test run and must succeed:

| comment | meaning |
|---|---|
| `<!-- run: soak -->` | only with `--soak`: minutes, or a download |
| `<!-- run: background until PATH -->` | a program that goes on until the page ends; the page waits until PATH exists |
| `<!-- run: exit 1 -->` | ends with this exit code |
| `<!-- run: no: REASON -->` | never runs: a board, an installation |
| `<!-- file: NAME -->` | the block is a file of this name, which later blocks use; it is not run by itself |
| `<!-- given: NAME -->` | a file that the reader has: `GIVEN` makes a small one in its place |
| `<!-- output -->` | before a ```text fence: what the block before it prints; `output: time` masks times in both |
| `<!-- output: beginning -->` | the same, of which the page shows only the first lines |

Several comments may stand before one fence; `soak` goes with the others: `run: soak, background until PATH`.
"""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^```(\w*)\s*$")
COMMENT = re.compile(r"^<!-- (run|file|given|output)(?:: (.*?))? -->$")
COMMAND = re.compile(r"^(\$ )?(spikeveil|python3?|pip|make|cc|git|sudo|\. \.venv|\./)( |$)")

#: parts of an output that differ from run to run, by the name that a page gives
MASKS = {
    "time": r"\b\d[\d,.]* ?(?:ms|s|seconds?|minutes?)\b",
    "path": r"(?:/[\w.@+-]+){2,}",
    "hash": r"\b[0-9a-f]{12,64}\b",
    "key": r"\b[0-9a-f]{20}\b",
    "rate": r"(?<=[\s])\d{1,3}(?:,\d{3})+(?=\s*$)",
    "released accuracy": r"released[ ,A-Za-z]*\b\d{1,3}\.\d %",
    "shares": r" +-?\d+\.\d % +-?\d+\.\d to +-?\d+\.\d %",
    "released spikes": r"released spikes per record +[\d.]+",
    "lines": r"\b\d[\d,]* lines\b",
    "bytes": r"\b\d[\d,]* bytes\b",
}


class PageError(Exception):
    """A page that cannot be read, or a block that does not do what its page says."""


@dataclass
class Block:
    """One runnable block of a page."""

    language: str
    text: str
    line: int  # of its fence, counted from 1
    soak: bool = False
    until: str | None = None  # in the background, ready when this path exists
    status: int = 0
    refused: str | None = None  # why it never runs
    file: str | None = None
    given: list[str] = field(default_factory=list)
    output: str | None = None  # what the page shows of its output
    beginning: bool = False  # the page shows only the first lines
    masks: tuple[str, ...] = ()


def blocks_of(text: str) -> list[Block]:
    """The runnable blocks of a page, in order. PageError for a comment that means nothing."""
    blocks: list[Block] = []
    comments: list[tuple[str, str]] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        fence, comment = FENCE.match(lines[number]), COMMENT.match(lines[number])
        if comment:
            comments.append((comment[1], comment[2] or ""))
        elif fence:
            end = lines.index("```", number + 1)
            body = "\n".join(lines[number + 1 : end]) + "\n"
            if fence[1] in ("sh", "python"):
                blocks.append(_block(fence[1], body, number + 1, comments))
            elif comments:
                _show_output(blocks, body, number + 1, comments)
            comments = []
            number = end
        elif lines[number].strip() and comments:
            raise PageError(f"line {number + 1}: a comment of a block must stand right before its fence")
        number += 1
    return blocks


def _block(language: str, body: str, line: int, comments: list[tuple[str, str]]) -> Block:
    block = Block(language, body, line)
    for kind, value in comments:
        if kind == "file":
            block.file = value
        elif kind == "given":
            block.given.append(value)
        elif kind == "run" and value.startswith("no: "):
            block.refused = value.removeprefix("no: ")
        elif kind == "run":
            for word in value.split(", "):
                _set_mode(block, word)
        else:
            raise PageError(f"line {line}: 'output' belongs before a ```text block")
    return block


def _set_mode(block: Block, word: str) -> None:
    if word == "soak":
        block.soak = True
    elif match := re.fullmatch(r"background until (\S+)", word):
        block.until = match[1]
    elif match := re.fullmatch(r"exit (\d+)", word):
        block.status = int(match[1])
    else:
        raise PageError(f"line {block.line}: 'run: {word}' is none of soak, background until PATH, exit N, no: REASON")


def _show_output(blocks: list[Block], body: str, line: int, comments: list[tuple[str, str]]) -> None:
    ((kind, names),) = comments
    words = [name for name in names.split(", ") if name]
    masks = tuple(name for name in words if name != "beginning")
    unknown = set(masks) - set(MASKS)
    if kind != "output" or unknown or not blocks:
        raise PageError(f"line {line}: {kind} {names}: expected 'output' with names out of {', '.join(MASKS)}")
    blocks[-1].output, blocks[-1].masks, blocks[-1].beginning = body, masks, "beginning" in words


def unfenced_commands(text: str) -> list[str]:
    """Shell commands in indented blocks: they would never be run."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in outside.splitlines() if line.startswith("    ") and COMMAND.match(line.strip())]


def masked(text: str, masks: tuple[str, ...]) -> list[str]:
    """The lines of an output without its variable parts, trailing blanks, and blank lines at its ends."""
    for name in masks:
        text = re.sub(MASKS[name], f"<{name}>", text, flags=re.MULTILINE)
    if masks:  # the width of a column follows what stands in it
        text = re.sub(r"[ \t]+", " ", re.sub("[─━]+", "─", text))
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()
