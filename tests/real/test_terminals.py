"""The interactive interpreter at a terminal, on systems that describe terminals here, there or nowhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect
import pytest

from tests.real.roots import Root

pytestmark = [pytest.mark.real, pytest.mark.ci]

# Of ncurses' descriptions, one that no interpreter knows without a file.
RARE = "wyse60"
KNOWN = ("xterm", "xterm-256color", "screen-256color", "tmux-256color", "linux", "vt100", "rxvt-256color", "dumb")
TAB, CTRL_D = "\t", "\x04"
PATIENCE_S = 20


@pytest.fixture
def root(bare_root: Root) -> Root:
    """A system that describes no terminal, and where nobody has typed anything yet."""
    shutil.rmtree(bare_root.path / "tmp")
    (bare_root.path / "tmp").mkdir()
    return bare_root


def described(root: Root, terminal: str, **environment: str) -> bool:
    """Whether curses knows a terminal."""
    ask = "import curses, sys; curses.setupterm(sys.argv[1], 1); print(len(curses.tigetstr('cr') or b''))"
    ran = root.run("-I", "-c", ask, terminal, **environment)
    assert ran.code in (0, 1), ran.err
    return ran.code == 0


@pytest.mark.parametrize("terminal", KNOWN)
def test_the_common_terminals_are_known_where_none_is_described(root: Root, terminal: str) -> None:
    assert described(root, terminal)


@pytest.mark.parametrize("place", ["etc/terminfo", "lib/terminfo", "usr/share/terminfo"])
def test_a_terminal_is_found_where_systems_describe_it(root: Root, place: str) -> None:
    description = root.tree.root / "share" / "terminfo" / RARE[0] / RARE
    assert not described(root, RARE)
    root.put(f"{place}/{RARE[0]}/{RARE}", description.read_bytes())
    assert described(root, RARE)
    shutil.rmtree(root.path / place)


def test_what_no_system_describes_is_in_the_tree(root: Root) -> None:
    assert described(root, RARE, TERMINFO_DIRS=f"/{root.tree.root.relative_to(root.path)}/share/terminfo")


@contextmanager
def interactive(root: Root, **environment: str) -> Iterator[tuple[pexpect.spawn[str], str]]:
    """An interactive interpreter at a terminal of its own, and how that terminal's arrow keys begin."""
    program, *arguments = root.command("-q")
    given = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    child = pexpect.spawn(
        program, arguments, env={**given, **environment}, encoding="utf-8", timeout=PATIENCE_S, dimensions=(24, 120)
    )
    try:
        child.expect_exact(">>> ")
        # What an arrow sends is as the terminal was told at the first prompt (DECCKM).
        yield child, "\x1bO" if "\x1b[?1h" in (child.before or "") else "\x1b["
    finally:
        child.close(force=True)


@pytest.mark.parametrize("kind", ["PYTHON_BASIC_REPL", "NOTHING"])
@pytest.mark.parametrize("terminal", ["xterm-256color", "vt100"])
def test_lines_are_edited_recalled_and_completed(root: Root, kind: str, terminal: str) -> None:
    with interactive(root, TERM=terminal, **{kind: "1"}) as (child, arrow):
        child.send("print(1234)" + f"{arrow}D" * 3 + "*0x\r")  # print(12*0x34)
        child.expect_exact("624\r\n")
        child.expect_exact(">>> ")
        child.send(f"{arrow}A\r")
        child.expect_exact("624\r\n")
        child.expect_exact(">>> ")
        child.send("import sys\r")
        child.expect_exact(">>> ")
        child.send("sys.byteor" + TAB + "\r")
        child.expect_exact("'little'")
        child.send(CTRL_D)
        child.expect(pexpect.EOF)


def test_the_history_outlives_the_interpreter(root: Root) -> None:
    for kind in ("PYTHON_BASIC_REPL", "NOTHING"):
        with interactive(root, **{kind: "1"}) as (child, arrow):
            child.send(f"print('of', {kind!r}[:4])\r")
            child.expect_exact(f"of {kind[:4]}")
            child.send(CTRL_D)
            child.expect(pexpect.EOF)
        with interactive(root, **{kind: "1"}) as (child, arrow):
            child.send(f"{arrow}A\r")
            child.expect_exact(f"of {kind[:4]}")


def test_a_history_that_is_cut_to_a_length_is_read_again(root: Root) -> None:
    ask = """
import readline
for number in range(5):
    readline.add_history(f"line {number}")
readline.set_history_length(3)
readline.write_history_file("/tmp/history")
readline.clear_history()
readline.read_history_file("/tmp/history")
print([readline.get_history_item(number) for number in range(1, 5)])
"""
    ran = root.run("-I", "-c", ask)
    assert (ran.out, ran.err) == ("['line 2', 'line 3', 'line 4', None]\n", "")


SPEEDS = """
import os, termios
line = os.openpty()[1]
for name in ("B1200", "B9600", "B38400", "B115200", "B4000000"):
    speed = getattr(termios, name)
    wanted = [*termios.tcgetattr(line)[:4], speed, speed, termios.tcgetattr(line)[6]]
    termios.tcsetattr(line, termios.TCSANOW, wanted)
    assert termios.tcgetattr(line)[4:6] == [speed, speed], name
print("set and read back")
"""


def test_the_speed_of_a_line_can_be_set(bare_root: Root) -> None:
    ran = bare_root.run("-I", "-c", SPEEDS)
    assert (ran.code, ran.out) == (0, "set and read back\n"), ran.err
