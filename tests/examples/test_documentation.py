"""docs/library.rst, run: the Python of each section is a program, in a process of its own.

The page says what `url` and `token` stand for, and here they are set. A comment behind a `print` is what it must
print. A block that is also in a file of examples/, word for word, is run by that file's test instead. The examples
in the docstrings of the library are run likewise.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections import defaultdict

import pytest

from tests.examples.conftest import EXAMPLES, World, assert_silent
from tests.support.processes import Process

PAGE = EXAMPLES.parent / "docs" / "library.rst"

_TITLE = re.compile(r"^(.+)\n(?:={3,}|-{3,})$", re.MULTILINE)
_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", re.MULTILINE)
_PRINTED = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


def blocks() -> dict[str, list[str]]:
    """The blocks of Python below each title."""
    text = PAGE.read_text()
    titles = [(match.start(), match[1]) for match in _TITLE.finditer(text)]
    found: dict[str, list[str]] = defaultdict(list)
    for block in _BLOCK.finditer(text):
        title = [name for start, name in titles if start < block.start()][-1]
        found[title].append(textwrap.dedent(block[1]).strip("\n"))
    return found


def examples() -> list[str]:
    return [file.read_text() for file in EXAMPLES.glob("*.py")]


def programs() -> dict[str, str]:
    """What is to be run of each section that has something."""
    files = examples()
    parts = {
        title: [block for block in its if not any(block in file for file in files)]
        for title, its in blocks().items()
    }
    return {title: "\n".join(its) for title, its in parts.items() if its}


@pytest.mark.parametrize("title", programs())
def test_a_section_does_what_it_says(world: World, title: str) -> None:
    program = programs()[title]
    names = f"url = {world.url!r}\ntoken = {world.key!r}\n"
    with Process(
        [sys.executable, "-c", names + program], env={"SSL_CERT_FILE": str(world.ca_file)}
    ) as process:
        assert process.wait_exit() == 0, process.output
    assert process.out == _PRINTED.findall(program), process.output
    assert_silent(process)


def test_examples_in_docstrings() -> None:
    package = EXAMPLES.parent / "linksocks"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules"]
    with Process([*argv, str(package / "library"), str(package / "__init__.py")]) as process:
        assert process.wait_exit() == 0, process.output
    assert re.search(r"\d+ passed", process.out[-1]), process.output


def test_every_block_is_run() -> None:
    """Nothing on the page looks like Python and is none: `::` is for the command line."""
    for text in re.findall(r"::\n\n((?:    .*\n|\n)+)", _BLOCK.sub("", PAGE.read_text())):
        for line in text.split("\n"):
            assert not line or re.match(r"    (pip|gunicorn|celery|#) ", line), line
