"""Every runnable block of the pages runs, in the order of its page, from a clean checkout, and prints what is shown."""

import re
from pathlib import Path

import pytest
from support.page_run import GIVEN, PageRun
from support.pages import PageError, blocks_of, masked, unfenced_commands
from support.paths import DOCS, EXAMPLES, ROOT

from spikeveil.host.cli import COMMANDS

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(EXAMPLES.glob("*/README.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_page(page: Path, soak: bool, tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(page.read_text()) if soak or not block.soak]
    if not blocks:
        return
    with PageRun(page, tmp_path) as run:
        for block in blocks:
            run.run(block)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_stand_in_fences(page: Path) -> None:
    assert unfenced_commands(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_nothing_is_installed_from_an_index_that_does_not_have_it(page: Path) -> None:
    assert re.findall(r"pip install '?spikeveil\b", page.read_text()) == []


def test_readme_names_every_page_and_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in NAMES[1:] if f"({name})" not in readme] == []
    assert [name for name in COMMANDS if not re.search(rf"`(spikeveil )?{name}\b", readme)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


PAGE = """\
# A page

```sh
echo one
```
<!-- output -->
```text
one
```

<!-- given: mnist.npz -->
<!-- run: soak, exit 3 -->
```sh
exit 3
```
<!-- run: no: needs a board -->
```sh
false
```
<!-- file: mine.py -->
```python
x = 1
```
"""


def test_a_page_is_read() -> None:
    shown, slow, board, file = blocks_of(PAGE)
    assert (shown.language, shown.text, shown.line, shown.output) == ("sh", "echo one\n", 3, "one\n")
    assert (slow.soak, slow.status, slow.given) == (True, 3, ["mnist.npz"])
    assert board.refused == "needs a board"
    assert file.file == "mine.py"
    assert set(slow.given) <= set(GIVEN)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("<!-- run: later -->\n```sh\nls\n```\n", "line 2: 'run: later' is none of soak, "),
        ("<!-- run: soak -->\nText.\n", "line 2: a comment of a block must stand right before its fence"),
        (
            "<!-- output: colour -->\n```text\nx\n```\n",
            "line 2: output colour: expected 'output' with names out of time",
        ),
    ],
)
def test_a_comment_that_means_nothing_is_an_error(page: str, sentence: str) -> None:
    with pytest.raises(PageError, match=re.escape(sentence)):
        blocks_of(page)


def run_page(text: str, tmp_path: Path) -> None:
    with PageRun(ROOT / "README.md", tmp_path) as run:
        for block in blocks_of(text):
            run.run(block)


def test_blocks_share_a_folder_and_python_its_names(tmp_path: Path) -> None:
    run_page(
        "```python\nx = 41\n```\n```sh\necho hello > note\n```\n"
        "```python\nprint(x + 1, open('note').read())\n```\n<!-- output -->\n```text\n42 hello\n```\n"
        "```sh\nseq 3\n```\n<!-- output: beginning -->\n```text\n1\n2\n```\n",
        tmp_path,
    )


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("```sh\nfalse\n```\n", "README.md:1: exit code 1, not 0"),
        ("Text.\n\n```python\nspec.layers\n```\n", "NameError: name 'spec' is not defined"),
        ("```sh\necho two\n```\n<!-- output -->\n```text\none\n```\n", "the output differs in line 1"),
        ("```sh\nseq 3\n```\n<!-- output: beginning -->\n```text\n1\n3\n```\n", "the output differs in line 2"),
        ("```sh\npip install '.[nothing]'\n```\n", ".[nothing]: nothing is called nothing"),
        ("```sh\npip install leftpad\n```\n", "leftpad: nothing is called leftpad"),
        ("<!-- run: background until port -->\n```sh\nexit 1\n```\n", "port did not appear"),
    ],
)
def test_a_block_that_fails_is_named(page: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=re.escape(sentence)):
        run_page(page, tmp_path)


def test_a_program_in_the_background_ends_with_the_page(tmp_path: Path) -> None:
    run_page(
        "<!-- run: background until pid -->\n```sh\nsleep 1000 & echo $! > pid.new; mv pid.new pid; wait\n```\n",
        tmp_path,
    )
    stat = Path("/proc") / (tmp_path / "spikeveil" / "pid").read_text().strip() / "stat"
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("mask", "one", "other"),
    [
        ("time", "done in 5 s", "done in 17.3 s"),
        ("path", "file /tmp/a/b.bit", "file /home/c.bit"),
        ("hash", "sha256      f03c2cb0874edbf4", "sha256      0123456789ab"),
        ("rate", "cycles a second   1,312,639", "cycles a second     809,363"),
        ("released accuracy", "released, LFSR  98.6 %", "released, LFSR  100.0 %"),
        ("released spikes", "released spikes per record   204.65", "released spikes per record   99.5"),
        ("lines", "16,030 lines", "985 lines"),
        ("bytes", "13,003,356 bytes", "12 bytes"),
    ],
)
def test_masks_hide_what_varies_and_nothing_else(mask: str, one: str, other: str) -> None:
    assert masked(one, (mask,)) == masked(other, (mask,))
    assert masked(one, ()) != masked(other, ())
    assert masked(f"a {one}", (mask,)) != masked(f"b {other}", (mask,))
