"""How a build that is followed is shown: live on a terminal, line by line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from master.cli.rest import EXCEPTION, FAILURE, SKIPPED, SUCCESS, WARNINGS
from master.cli.views import Step
from workers.progress import seconds

MARKS = {SUCCESS: ("✓", "green"), WARNINGS: ("!", "yellow"), FAILURE: ("✗", "red"), SKIPPED: ("-", "bright_black")}
LINES_SHOWN = 6
SILENCE_S = 120.0
# Steps whose output matters only when they fail: what git says of itself.
WORDY = ("checkout",)


def mark(result: int) -> tuple[str, str]:
    return MARKS.get(result, ("✗", "red"))


def took(value: float) -> str:
    """Buildbot counts whole seconds."""
    return f"{value:.0f} s" if value < 10 else seconds(value)


def summary(step: Step) -> str:
    """The step's line without its name where it begins with that: `openssl 3.5.7: built`, not `cpython-3.13: built`."""
    text = step.text
    for said_twice in (f"{step.name}: ", f"{step.name} "):
        text = text.removeprefix(said_twice)
    text = "" if text == step.name else text.strip()
    return "" if text in ("pending", "running", "finished") else text


class Display(Protocol):
    """What `follow` tells: steps as they stand, lines as they come, each step once it has ended, and other words."""

    def say(self, text: str) -> None: ...

    def steps(self, steps: Sequence[Step]) -> None: ...

    def lines(self, step: Step, lines: Sequence[str]) -> None: ...

    def ended(self, step: Step) -> None: ...

    def close(self) -> None: ...


class Plain:
    """For logs and pipes: each line of the worker's programs as it comes, each step when it has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._held: dict[int, list[str]] = {}
        self._spoke = time.monotonic()

    def say(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._console.print(text, soft_wrap=True, markup=False)

    def steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.running and time.monotonic() - self._spoke > SILENCE_S:
                self.say(f"  {step.name}: {summary(step) or 'at it'}, {took(step.seconds(time.time()))} so far")

    def ended(self, step: Step) -> None:
        result = EXCEPTION if step.result is None else step.result
        if result not in (SUCCESS, WARNINGS):
            for line in self._held.get(step.id, []):
                self.say(f"  {step.name} | {line}")
        self.say(f"{mark(result)[0]} {step.name}: {summary(step) or 'done'} ({took(step.seconds(time.time()))})")

    def lines(self, step: Step, lines: Sequence[str]) -> None:
        if step.name in WORDY:
            self._held.setdefault(step.id, []).extend(lines)
            return
        for line in lines:
            self.say(f"  {step.name} | {line}")

    def close(self) -> None:
        """Nothing is held open."""


class LiveSteps:
    """For terminals: a line a step, the running one with its progress and the last lines that its program printed."""

    def __init__(self, console: Console) -> None:
        self._steps: list[Step] = []
        self._last: list[str] = []
        self._of: int | None = None
        self._spinner = Spinner("dots")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=False)
        self._live.start()

    def say(self, text: str) -> None:
        self._live.console.print(text, soft_wrap=True, markup=False)

    def steps(self, steps: Sequence[Step]) -> None:
        self._steps = list(steps)

    def lines(self, step: Step, lines: Sequence[str]) -> None:
        if step.id != self._of:
            self._of, self._last = step.id, []
        self._last = [*self._last, *lines][-LINES_SHOWN:]

    def ended(self, step: Step) -> None:
        """Its line stands there already."""

    def close(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        now = time.time()
        for step in self._steps:
            if step.started is None:
                continue
            symbol: RenderableType = self._spinner if step.result is None else Text(*mark(step.result))
            time_taken = Text(took(step.seconds(now)), "bright_black")
            table.add_row(symbol, Text(step.name), Text(summary(step)), time_taken)
        return Group(table, *self._tail())

    def _tail(self) -> list[Text]:
        """The last lines of the step that runs, or of the one that failed; of one that went well nothing is left."""
        step = next((step for step in self._steps if step.id == self._of), None)
        if step is None or step.result in (SUCCESS, WARNINGS):
            return []
        return [Text(f"    {line}", "bright_black" if step.running else "") for line in self._last]


def display_for(console: Console) -> Display:
    return LiveSteps(console) if console.is_terminal else Plain(console)
